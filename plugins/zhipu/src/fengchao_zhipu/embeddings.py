"""Zhipu's embeddings on the wire. Pure."""

from __future__ import annotations

from pydantic import BaseModel

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import EmbeddingRequest, EmbeddingResult, Usage

PATH = "/embeddings"

MAX_INPUTS = 64
"""Texts in one call for embeddings; by third-party copies of the documentation, not confirmed."""


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Vector(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    data: list[_Vector]
    usage: _Usage = _Usage()


def encode(request: EmbeddingRequest) -> bytes:
    """A call for at most `MAX_INPUTS` vectors."""
    inputs = request.inputs
    body: dict[str, object] = {
        "model": request.model,
        "input": inputs[0] if len(inputs) == 1 else list(inputs),
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return dump({**body, **request.extra})


def decode(body: bytes, count: int, classify: Classify) -> EmbeddingResult:
    """
    The vectors, in the order of the inputs.

    Args:
        body: the answer.
        count: how many texts were sent.
        classify: makes the error of a body that is one.

    Raises:
        ProviderError: the body is an error.
        ProviderProtocolError: it is not what the vendor documents, or not `count` vectors.
    """
    answer = read_reply(_Answer, body, classify)
    vectors = sorted(answer.data, key=lambda vector: vector.index)
    if list(range(count)) != [vector.index for vector in vectors]:
        raise ProviderProtocolError(
            f"the provider answered {len(vectors)} vectors to {count} texts, or misnumbered them"
        )
    usage = Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)
    return EmbeddingResult(vectors=tuple(vector.embedding for vector in vectors), usage=usage)
