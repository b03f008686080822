"""Texts to vectors, on OpenAI's wire."""

from __future__ import annotations

import sys
from array import array
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import NO_USAGE, EmbeddingRequest, EmbeddingResult, Usage

EMBEDDINGS = "/embeddings"


class _EmbeddingUsage(BaseModel):
    prompt_tokens: int = Field(default=0, ge=0)
    total_tokens: int = Field(default=0, ge=0)


class _Embedding(BaseModel):
    index: int | None = None
    embedding: str | list[float]


class _Embeddings(BaseModel):
    data: list[_Embedding]
    usage: _EmbeddingUsage | None = None


def encode_embeddings(request: EmbeddingRequest, encoding: str) -> bytes:
    """The body that asks for vectors. Raises `InvalidParameter` where it cannot be written as JSON."""
    body: dict[str, Any] = {
        **request.extra,
        "model": request.model,
        "input": request.inputs[0] if len(request.inputs) == 1 else list(request.inputs),
        "encoding_format": encoding,
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        body["user"] = request.user
    return dump(body)


def decode_embeddings(body: bytes, count: int, classify: Classify) -> EmbeddingResult:
    """
    The vectors in the order of the inputs, be they lists or base64 of little-endian float32.

    Raises:
        ProviderProtocolError: the answer does not hold `count` vectors, numbered.
        ProviderError: as `read_reply`.
    """
    answer = read_reply(_Embeddings, body, classify)
    by_index = {
        position if item.index is None else item.index: item.embedding
        for position, item in enumerate(answer.data)
    }
    if sorted(by_index) != list(range(count)) or len(answer.data) != count:
        raise ProviderProtocolError(
            f"the provider answered {len(answer.data)} vectors; expected {count}, numbered"
        )
    usage = answer.usage
    return EmbeddingResult(
        vectors=tuple(_floats(by_index[index]) for index in range(count)),
        usage=NO_USAGE if usage is None else Usage(usage.prompt_tokens or usage.total_tokens),
    )


def _floats(vector: str | list[float]) -> Sequence[float]:
    if not isinstance(vector, str):
        if vector:
            return vector
        raise ProviderProtocolError("a vector of the provider is empty")
    floats = array("f")
    try:
        floats.frombytes(a2b_base64(vector, strict_mode=True))
    except (Base64Error, ValueError):
        floats = array("f")
    if not floats:
        raise ProviderProtocolError("a vector of the provider is not base64 of float32 numbers")
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
