"""
The Messages API: a `ChatRequest` as a body, and errors as classes.

Pure. Sources: the requests of the vendor's own clients, recorded, and its documentation, both of autumn 2026; see the
README for what is documented and what is inferred. `decode.py` reads the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import orjson

from fengchao_anthropic.abilities import abilities_of
from fengchao_anthropic.blocks import Block
from fengchao_anthropic.knobs import Draft, turn_knobs
from fengchao_anthropic.turns import build_turns
from fengchao_core.errors import (
    ContextTooLong,
    InvalidParameter,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import ErrorClass, ErrorFacts, classify_by
from fengchao_core.kit.openai_chat import dump
from fengchao_core.types import ChatRequest, ModelCard

Version = Literal["2023-06-01", "2026-10-21"]

OLDER: Version = "2023-06-01"
NEWEST: Version = "2026-10-21"

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"

LONGEST_WHOLE = 21_333
"""Beyond this a whole answer may take more than ten minutes, by the vendor's clients, which then want a stream."""

_DEFAULT_LONGEST = 4096  # every Claude takes it
_DEFAULT_LONGEST_THINKING = 32_000  # every Claude that thinks takes it, and thinking needs room
_SAMPLERS = ("temperature", "top_p", "top_k")
_OURS = frozenset({"model", "messages", "stream"})
_MERGED = frozenset({"metadata", "output_config"})
_COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")

ERRORS: Mapping[str, ErrorClass] = {
    "invalid_request_error": RequestRejected,
    "authentication_error": ProviderAuthFailed,
    "billing_error": QuotaExhausted,
    "permission_error": ProviderAuthFailed,
    "not_found_error": RequestRejected,
    "conflict_error": ProviderUnavailable,  # the vendor's clients try again
    "request_too_large": ContextTooLong,
    "rate_limit_error": RateLimited,
    "api_error": ProviderUnavailable,
    "timeout_error": ProviderUnavailable,
    "overloaded_error": ProviderOverloaded,
}
"""The vendor's error types. A prompt beyond the context is an `invalid_request_error` that only its words tell apart."""


class Encoded(NamedTuple):
    """
    A body ready to be sent.

    Attributes:
        notes: what was adapted in it.
        version: the generation of the API by which it must be sent.
        answers_by_tool: the text of the answer will be the arguments of a function.
    """

    body: bytes
    notes: tuple[str, ...]
    version: Version
    answers_by_tool: bool


def encode(
    request: ChatRequest,
    *,
    version: Version | None = None,
    default_max_tokens: int | None = None,
) -> Encoded:
    """
    A request as JSON bytes.

    Args:
        request: the request.
        version: the generation of the API to speak; None: the newest that takes what is asked.
        default_max_tokens: the longest answer where the request names none; None: by the model's card.

    Raises:
        InvalidParameter: the vendor lacks a feature that is asked for, or cannot be told this conversation.
    """
    draft = _build(request, version, default_max_tokens)
    needed = version or (OLDER if _wants_older(draft.body) else NEWEST)
    return Encoded(dump(draft.body), tuple(draft.notes), needed, draft.answers_by_tool)


def encode_count(request: ChatRequest, *, version: Version | None = None) -> tuple[bytes, Version]:
    """A request as a question how many tokens it has, and the generation to ask it by. Raises as `encode`."""
    body = _build(request, version or NEWEST, None).body
    counted = {name: body[name] for name in _COUNTED if name in body}
    return dump(counted), version or (OLDER if _wants_older(counted) else NEWEST)


def _build(request: ChatRequest, version: Version | None, longest: int | None) -> Draft:
    params = request.params
    able = abilities_of(request.model)
    draft = Draft(able, takes_sampling=version != NEWEST)
    system, messages = build_turns(request.messages, draft.notes)
    draft.body = {
        "model": request.model,
        "max_tokens": longest or _longest(request.card, thinks=able.thinking != "none"),
        "messages": messages,
    }
    if params.max_tokens is None and not request.stream:
        draft.body["max_tokens"] = min(draft.body["max_tokens"], LONGEST_WHOLE)
    if system is not None:
        draft.body["system"] = system
    draft.loops_unsigned = _loops_unsigned(messages)
    turn_knobs(draft, params)
    _extra(draft, params.extra)
    _think_or_sample(draft)
    if request.stream:
        draft.body["stream"] = True
    return draft


def _longest(card: ModelCard | None, *, thinks: bool) -> int:
    if card is not None and card.max_output_tokens is not None:
        return card.max_output_tokens
    return _DEFAULT_LONGEST_THINKING if thinks else _DEFAULT_LONGEST


def _extra(draft: Draft, extra: Mapping[str, object]) -> None:
    body = draft.body
    for name, value in extra.items():
        if name in _OURS:
            draft.notes.append(
                f"the extra parameter '{name}' was left out: it has a place of its own"
            )
        elif name == "system" and name in body:
            raise InvalidParameter(
                "there is system text in the messages and in the extra parameter 'system'; give one of them",
                param="system",
            )
        elif name in _MERGED and isinstance(value, Mapping):
            body[name] = {**body.get(name, {}), **value}
        else:
            body[name] = value


def _think_or_sample(draft: Draft) -> None:
    """A thinking model samples in its own way; the vendor refuses both together."""
    thinking = draft.body.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind not in ("enabled", "adaptive"):
        return
    for name in _SAMPLERS:
        if draft.body.pop(name, None) is not None:
            draft.notes.append(f"{name} was left out: this provider takes none while it thinks")


def _loops_unsigned(messages: list[Block]) -> bool:
    """Whether the conversation goes on after calls that came without their thinking."""
    if len(messages) < 2 or not _blocks(messages[-1], "tool_result"):
        return False
    calling = messages[-2]
    return not (_blocks(calling, "thinking") or _blocks(calling, "redacted_thinking"))


def _wants_older(body: Mapping[str, Any]) -> bool:
    """Whether a body holds what the newest generation refuses."""
    if any(name in body for name in _SAMPLERS):
        return True
    return any(
        _blocks(message, "document")
        if message["role"] == "assistant"
        else any(block.get("citations") for block in _blocks(message, "text"))
        for message in body["messages"]
    )


def _blocks(message: Block, kind: str) -> list[Block]:
    content = message["content"]
    return [] if isinstance(content, str) else [b for b in content if b.get("type") == kind]


def _read_error(body: bytes) -> ErrorFacts:
    """The facts of `{"type": "error", "error": {"type", "message", "details": {"error_code"}}}`."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorFacts(message=body.decode("utf-8", "replace") or None)
    error = tree.get("error") if isinstance(tree, dict) else None
    if not isinstance(error, dict):
        return ErrorFacts(message=str(error) if error else None)
    kind, message, details = error.get("type"), error.get("message"), error.get("details")
    # A code of its own says more than the type, which its clients fall back on where they do not know the code.
    code = details.get("error_code") if isinstance(details, dict) else None
    return ErrorFacts(
        tuple(name for name in (code, kind) if isinstance(name, str) and name),
        message if isinstance(message, str) else None,
    )


_classify = classify_by(ERRORS, read=_read_error)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error that an answer, or an error event within a stream, means."""
    error = _classify(status, headers, body)
    if status == 429 and error.vendor_code == "rate_limit_error" and not _says_when(headers):
        # Documented: a tier's spend cap is a 429 without retry-after, a rate limit always has one.
        error = QuotaExhausted(
            str(error),
            status=status,
            vendor_code=error.vendor_code,
            vendor_message=error.vendor_message,
        )
    if not headers.get("request-id"):
        error.vendor_request_id = _request_id(body)
    return error


def _says_when(headers: Mapping[str, str]) -> bool:
    return any(name.lower() in ("retry-after", "retry-after-ms") for name in headers)


def _request_id(body: bytes) -> str | None:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    value = tree.get("request_id") if isinstance(tree, dict) else None
    return value if isinstance(value, str) else None
