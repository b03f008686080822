"""Vectors on Ark's wire: of texts, and of texts, pictures and films together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from fengchao_core.errors import InvalidParameter, ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import PARTS, dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import (
    ContentPart,
    EmbeddingRequest,
    EmbeddingResult,
    ImagePart,
    TextPart,
    Usage,
    VideoPart,
)

PATH = "/embeddings"
MULTIMODAL_PATH = "/embeddings/multimodal"

MAX_INPUTS = 256
"""Texts in one call; by write-ups of the documentation, not confirmed."""

_TAKEN = (TextPart, ImagePart, VideoPart)


class _Usage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)

    def tokens(self) -> Usage:
        return Usage(self.prompt_tokens or self.total_tokens)


class _Vector(BaseModel):
    index: int | None = None
    embedding: list[float] = Field(min_length=1)


class _Answer(BaseModel):
    data: list[_Vector]
    usage: _Usage = _Usage()


class _Single(BaseModel):
    data: _Vector
    usage: _Usage = _Usage()


def is_multimodal(model: str) -> bool:
    """Whether a model makes one vector of texts, pictures and films together."""
    return "embedding-vision" in model


def encode(request: EmbeddingRequest) -> bytes:
    """A call for the vectors of at most `MAX_INPUTS` texts."""
    # Floats are asked for by name: another client's default is base64.
    body: dict[str, object] = {
        "model": request.model,
        "input": list(request.inputs),
        "encoding_format": "float",
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        body["user"] = request.user
    return dump({**body, **request.extra})


def encode_parts(
    model: str,
    parts: Sequence[ContentPart],
    *,
    dimensions: int | None,
    extra: Mapping[str, object],
) -> bytes:
    """
    A call for the one vector of all these parts.

    Raises:
        InvalidParameter: a part is a sound or a file.
    """
    if not all(isinstance(part, _TAKEN) for part in parts):
        raise InvalidParameter("vectors are made of texts, pictures and films only", param="input")
    body: dict[str, object] = {
        "model": model,
        "input": [PARTS[type(part)](part) for part in parts],
        "encoding_format": "float",
    }
    if dimensions is not None:
        body["dimensions"] = dimensions
    return dump({**body, **extra})


def decode(body: bytes, count: int, classify: Classify) -> EmbeddingResult:
    """
    The vectors, in the order of the inputs.

    Args:
        count: how many texts were sent.

    Raises:
        ProviderError: the body is an error.
        ProviderProtocolError: it is not what the vendor documents, or not `count` vectors.
    """
    answer = read_reply(_Answer, body, classify)
    by_index = {
        position if vector.index is None else vector.index: vector.embedding
        for position, vector in enumerate(answer.data)
    }
    if sorted(by_index) != list(range(count)) or len(answer.data) != count:
        raise ProviderProtocolError(
            f"the provider answered {len(answer.data)} vectors to {count} texts, or misnumbered them"
        )
    vectors = tuple(by_index[index] for index in range(count))
    return EmbeddingResult(vectors=vectors, usage=answer.usage.tokens())


def decode_single(body: bytes, classify: Classify) -> EmbeddingResult:
    """The one vector. Raises as `decode`."""
    answer = read_reply(_Single, body, classify)
    return EmbeddingResult(vectors=(answer.data.embedding,), usage=answer.usage.tokens())
