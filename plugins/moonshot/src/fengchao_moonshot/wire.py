"""
Moonshot's chat wire: two dialects of chat completions, and the error types.

Pure. Sources: the vendor's public documentation, read in November 2026, and recorded requests of the SDK it documents;
the README says what could not be confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fengchao_core.errors import (
    ContentRefused,
    InvalidParameter,
    ProviderAuthFailed,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import ErrorClass, classify_by
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    OPENAI_KNOBS,
    PARTS,
    Dialect,
    Notes,
    at_most,
    build,
    clamp,
    dump,
)
from fengchao_core.types import ChatRequest, ImagePart, ResponseFormat, TextPart, Tool, VideoPart

CHAT = "/chat/completions"
ESTIMATE = "/tokenizers/estimate-token-count"

ERRORS: Mapping[str, ErrorClass] = {
    "content_filter": ContentRefused,
    # A prompt that is too long has this type, too, and nothing but its words to tell it by.
    "invalid_request_error": RequestRejected,
    "invalid_authentication_error": ProviderAuthFailed,
    "incorrect_api_key_error": ProviderAuthFailed,
    "permission_denied_error": ProviderAuthFailed,
    "resource_not_found_error": RequestRejected,
    # The three meanings of HTTP 429; the second also comes with 403.
    "engine_overloaded_error": ProviderOverloaded,
    "exceeded_current_quota_error": QuotaExhausted,
    "rate_limit_reached_error": RateLimited,
    "server_error": ProviderUnavailable,
    "unexpected_output": ProviderUnavailable,
}
"""The vendor's error types; it sends no codes."""

classify = classify_by(ERRORS)

_MOST_STOPS = 5
_MOST_STOP_BYTES = 32
_MOST_CHOICES = 5
_WARM = 0.3  # what the vendor recommends
_NEAR_ZERO = 0.1


def is_classic(model: str) -> bool:
    """Whether a model is of the moonshot-v1 family, by the vendor's name of it. The others think."""
    return "moonshot-v1" in model


def dialect_for(model: str) -> Dialect:
    """The dialect of a model, by the vendor's name of it."""
    return _CLASSIC if is_classic(model) else _THINKING


def encode_estimate(request: ChatRequest) -> bytes:
    """
    The body that asks how long a prompt is: what is read, without what says how to answer.

    Raises:
        InvalidParameter: as for the chat itself.
    """
    body, _ = build(request, dialect_for(request.model))
    return dump({key: body[key] for key in ("model", "messages", "tools") if key in body})


def _choices(_: str, n: int) -> tuple[int, None]:
    if not 1 <= n <= _MOST_CHOICES:
        raise InvalidParameter(
            f"n is {n}; this provider gives 1 to {_MOST_CHOICES} choices", param="n"
        )
    return n, None


def _stops(name: str, words: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    short = tuple(w for w in words if len(w.encode("utf-8", "replace")) <= _MOST_STOP_BYTES)
    sent, note = at_most(_MOST_STOPS)(name, short)
    left_out = len(words) - len(short)
    if left_out:
        told = f"{left_out} {name} values longer than {_MOST_STOP_BYTES} bytes were left out"
        note = told if note is None else f"{told}; {note}"
    return sent, note


def _thinking(_: str, effort: str) -> tuple[dict[str, str], str]:
    kind = "disabled" if effort in ("none", "minimal") else "enabled"
    return {"type": kind}, f"reasoning_effort '{effort}' was sent as thinking '{kind}'"


def _tool_choice(_: str, choice: str | Mapping[str, object]) -> tuple[str, None]:
    if choice not in ("auto", "none"):
        raise InvalidParameter(
            "the moonshot-v1 models only take tool_choice 'auto' or 'none'", param="tool_choice"
        )
    return str(choice), None


def _media(part: ImagePart | VideoPart) -> dict[str, Any]:
    kind = "image_url" if isinstance(part, ImagePart) else "video_url"
    if not part.url.startswith(("data:", "ms://")):
        raise InvalidParameter(
            "this provider fetches no pictures or films by their addresses; expected a data: URL, or ms:// and the id "
            "of a file that was uploaded for the purpose 'image' or 'video'",
            param="messages",
        )
    return {"type": kind, kind: {"url": part.url}}


def _amend(body: dict[str, Any], request: ChatRequest, _: Notes) -> None:
    if body.get("stop") == []:
        del body["stop"]
    _check_partial(body["messages"], request.params.response_format)
    names = [name for tool in request.params.tools if (name := _function_name(tool))]
    if len(names) != len(set(names)):
        raise InvalidParameter("this provider takes no two tools of one name", param="tools")


def _amend_classic(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    _amend(body, request, notes)
    if (request.params.n or 1) > 1 and "temperature" not in request.params.extra:
        # Near zero all choices would be one and the same, and the vendor refuses to make them; zero is its default.
        temperature = body.get("temperature")
        if temperature is None or temperature < _NEAR_ZERO:
            body["temperature"] = _WARM
            was = "not given" if temperature is None else temperature
            notes.append(
                f"temperature was {was} and was sent as {_WARM}: near 0 this provider gives one choice only"
            )


def _check_partial(messages: Sequence[Mapping[str, Any]], form: ResponseFormat | None) -> None:
    """The beginning of the answer stands last, is the assistant's, and does not go with a JSON mode."""
    for index, message in enumerate(messages):
        if not message.get("partial"):
            continue
        if index + 1 < len(messages) or message["role"] != "assistant":
            raise InvalidParameter(
                "'partial' belongs to the last message, and only where it is the assistant's",
                param=f"messages[{index}].partial",
            )
        if form is not None and form.type != "text":
            raise InvalidParameter(
                "'partial' and a JSON mode exclude each other: begin the JSON in the partial message instead",
                param="response_format",
            )


def _function_name(tool: Tool) -> object:
    if tool.type == "function":
        return tool.name
    inner = tool.body.get("function")
    return inner.get("name") if isinstance(inner, Mapping) else None


_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")

_COMMON = replace(
    CHAT_COMPLETIONS,
    knobs={**OPENAI_KNOBS, "max_tokens": "max_completion_tokens"},
    adapt={"n": _choices, "stop": _stops},
    roles={**CHAT_COMPLETIONS.roles, "developer": "system"},
    parts={TextPart: PARTS[TextPart], ImagePart: _media, VideoPart: _media},
    amend=_amend,
    reasoning_fields=("reasoning_content",),
)
_CLASSIC = replace(
    _COMMON,
    knobs={name: field for name, field in _COMMON.knobs.items() if name != "reasoning_effort"},
    adapt={
        **_COMMON.adapt,
        "temperature": clamp(0, 1),
        "top_p": clamp(0, 1),
        "presence_penalty": clamp(-2, 2),
        "frequency_penalty": clamp(-2, 2),
        "tool_choice": _tool_choice,
    },
    response_formats=frozenset({"text", "json_object"}),
    amend=_amend_classic,
)
_THINKING = replace(
    _COMMON,
    # These models sample with fixed values and refuse others.
    knobs={
        **{name: field for name, field in _COMMON.knobs.items() if name not in _SAMPLING},
        "reasoning_effort": "thinking",
    },
    adapt={**_COMMON.adapt, "reasoning_effort": _thinking},
    # In a tool loop the vendor insists on the thinking that led to the calls.
    reasoning_back="reasoning_content",
)
