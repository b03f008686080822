"""Texts to vectors, on the wire of both generations. Pure."""

from __future__ import annotations

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import EmbeddingRequest, EmbeddingResult, Usage

PATH = "/embeddings"
"""V2's path; V1 has one for each model."""

_MAX_INPUTS = 16
_ONE_BY_ONE = ("tao-8k", "tao_8k")


class _Usage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)


class _Vector(BaseModel):
    index: int
    embedding: list[float] = Field(min_length=1)


class _Answer(BaseModel):
    data: list[_Vector]
    usage: _Usage = _Usage()


def most_inputs(model: str) -> int:
    """How many texts one call takes."""
    return 1 if model.lower().endswith(_ONE_BY_ONE) else _MAX_INPUTS


def encode(request: EmbeddingRequest, *, v2_model: str | None = None) -> bytes:
    """
    A call for at most `most_inputs` vectors.

    Args:
        request: what is asked.
        v2_model: V2's name of the model; None for V1, where the path names it.

    Raises:
        InvalidParameter: it asks for vectors of another length, which the vendor's models cannot give.
    """
    if request.dimensions is not None:
        raise InvalidParameter(
            "this provider's vectors have one length for each model; leave 'dimensions' out",
            param="dimensions",
        )
    body: dict[str, object] = {**request.extra, "input": list(request.inputs)}
    if v2_model is not None:
        body |= {"model": v2_model, "encoding_format": "float"}
    if request.user is not None:
        body["user" if v2_model is not None else "user_id"] = request.user
    return dump(body)


def decode(body: bytes, count: int, classify: Classify) -> EmbeddingResult:
    """
    The vectors, in the order of the inputs.

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
    usage = Usage(answer.usage.prompt_tokens or answer.usage.total_tokens)
    return EmbeddingResult(vectors=tuple(vector.embedding for vector in vectors), usage=usage)
