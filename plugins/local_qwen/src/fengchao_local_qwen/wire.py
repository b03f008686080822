"""The engine's wire as the gateway speaks it: the dialect, the errors, the vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field

from fengchao_core.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderProtocolError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import Classify, ErrorClass, classify_by
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    EXTENDED_KNOBS,
    OPENAI_KNOBS,
    PARTS,
    dump,
)
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import EmbeddingRequest, EmbeddingResult, TextPart, Usage

CHAT = "/chat/completions"
EMBEDDINGS = "/embeddings"

ERRORS: Mapping[str, ErrorClass] = {
    "context_length_exceeded": ContextTooLong,
    "engine_busy": RateLimited,
    "engine_failed": ProviderUnavailable,
    "invalid_api_key": ProviderAuthFailed,
    "invalid_json": RequestRejected,
    "invalid_messages": RequestRejected,
    "invalid_parameter": RequestRejected,
    "model_not_found": RequestRejected,
}
"""The engine's own codes."""

classify = classify_by(ERRORS)

DIALECT = replace(
    CHAT_COMPLETIONS,
    knobs={**OPENAI_KNOBS, **EXTENDED_KNOBS},
    parts={TextPart: PARTS[TextPart]},
    reasoning_back="reasoning_content",
    reasoning_fields=("reasoning_content",),
    keep=("notes",),
)
"""Chat completions with the knobs of local models; messages hold text only."""


class _Vector(BaseModel):
    index: int
    embedding: list[float] = Field(min_length=1)


class _VectorUsage(BaseModel):
    prompt_tokens: int = Field(ge=0)


class _Vectors(BaseModel):
    data: list[_Vector]
    usage: _VectorUsage


def encode_embeddings(request: EmbeddingRequest) -> bytes:
    """The body that asks for vectors. Raises `InvalidParameter` where it cannot be written as JSON."""
    body: dict[str, Any] = {"model": request.model, "input": list(request.inputs)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return dump(body)


def decode_embeddings(body: bytes, count: int, classify: Classify) -> EmbeddingResult:
    """
    The vectors in the order of the inputs.

    Raises:
        ProviderProtocolError: the answer does not hold `count` vectors, numbered.
    """
    answer = read_reply(_Vectors, body, classify)
    by_index: dict[int, Sequence[float]] = {item.index: item.embedding for item in answer.data}
    if sorted(by_index) != list(range(count)):
        raise ProviderProtocolError(
            f"the engine answered {len(answer.data)} vectors; expected {count}, numbered"
        )
    return EmbeddingResult(
        vectors=tuple(by_index[index] for index in range(count)),
        usage=Usage(answer.usage.prompt_tokens, source="tokenizer"),
    )
