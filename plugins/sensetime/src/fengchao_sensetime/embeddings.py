"""SenseNova's embeddings on the wire. Pure."""

from __future__ import annotations

from pydantic import BaseModel

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import EmbeddingRequest, EmbeddingResult, Usage
from fengchao_sensetime.decode import usage_of

PATH = "/embeddings"

MAX_INPUTS = 32
"""Texts in one call; by a public client."""

DIMENSIONS = 1536
"""The one length of a vector; likewise."""

_WELL = (None, 0, 200)


class _Vector(BaseModel):
    index: int
    embedding: list[float] = []
    status_code: int | None = None
    status_message: str | None = None


class _Answer(BaseModel):
    embeddings: list[_Vector]
    usage: dict[str, object] = {}


def encode(request: EmbeddingRequest) -> bytes:
    """
    A call for at most `MAX_INPUTS` vectors.

    Raises:
        InvalidParameter: vectors of another length are asked for than the vendor makes.
    """
    if request.dimensions not in (None, DIMENSIONS):
        raise InvalidParameter(
            f"this provider's vectors have {DIMENSIONS} dimensions, found {request.dimensions} asked for",
            param="dimensions",
        )
    return dump({"model": request.model, "input": list(request.inputs), **request.extra})


def decode(body: bytes, count: int, classify: Classify) -> EmbeddingResult:
    """
    The vectors, in the order of the inputs.

    Args:
        body: the answer.
        count: how many texts were sent.
        classify: makes the error of a body that is one, and of a text that failed by itself.

    Raises:
        ProviderError: the body is an error, or one of the texts failed.
        ProviderProtocolError: it is not what the vendor documents, or not `count` vectors.
    """
    answer = read_reply(_Answer, body, classify)
    vectors = sorted(answer.embeddings, key=lambda vector: vector.index)
    for vector in vectors:
        if vector.status_code not in _WELL:
            failed = {"code": vector.status_code, "message": vector.status_message}
            raise classify(200, {}, dump({"error": failed}))
    if list(range(count)) != [vector.index for vector in vectors]:
        raise ProviderProtocolError(
            f"the provider answered {len(vectors)} vectors to {count} texts, or misnumbered them"
        )
    return EmbeddingResult(
        vectors=tuple(vector.embedding for vector in vectors),
        usage=usage_of(answer.usage) or Usage(source="none"),
    )
