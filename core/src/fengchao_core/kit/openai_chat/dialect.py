"""What may differ between the vendors that speak chat completions, as one frozen table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fengchao_core.kit.errors import ErrorClass
from fengchao_core.types import (
    AudioPart,
    ChatRequest,
    FilePart,
    FinishReason,
    ImagePart,
    Role,
    TextPart,
    VideoPart,
)

Notes = list[str]
"""What was adapted, one English sentence each; reaches the caller as `Completion.notes`."""

Adapt = Callable[[str, Any], tuple[Any, str | None]]
"""From our knob's name and its value to the value to send, and a note where that differs."""

Amend = Callable[[dict[str, Any], ChatRequest, Notes], None]
"""Last changes to a body, for rules that concern several fields."""

WritePart = Callable[[Any], dict[str, Any]]
"""From one of our content parts to the vendor's."""


def clamp(low: float, high: float) -> Adapt:
    """Keep a number within what the vendor takes."""

    def adapt(name: str, value: Any) -> tuple[Any, str | None]:
        if low <= value <= high:
            return value, None
        nearest = min(max(value, low), high)
        return nearest, f"{name} {value} is outside {low} to {high} and was sent as {nearest}"

    return adapt


def at_most(count: int) -> Adapt:
    """Keep the first `count` of a list."""

    def adapt(name: str, value: Any) -> tuple[Any, str | None]:
        if len(value) <= count:
            return value, None
        return value[:count], f"only the first {count} of {len(value)} {name} values were sent"

    return adapt


OPENAI_KNOBS: Mapping[str, str] = MappingProxyType(
    {
        name: name
        for name in (
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "n",
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
            "reasoning_effort",
            "user",
        )
    }
)
"""The knobs of `ChatParams` that OpenAI has, under their own names."""

EXTENDED_KNOBS: Mapping[str, str] = MappingProxyType(
    {name: name for name in ("top_k", "repetition_penalty", "do_sample")}
)
"""The knobs that OpenAI lacks and many compatible vendors have."""

_FINISH: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
    }
)

_ROLES: Mapping[Role, str] = MappingProxyType(
    {
        "system": "system",
        "developer": "developer",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
    }
)


def _image(part: ImagePart) -> dict[str, Any]:
    image = {"url": part.url} if part.detail is None else {"url": part.url, "detail": part.detail}
    return {"type": "image_url", "image_url": image}


def _file(part: FilePart) -> dict[str, Any]:
    given = {"file_id": part.file_id, "filename": part.filename, "file_data": part.data}
    return {
        "type": "file",
        "file": {key: value for key, value in given.items() if value is not None},
    }


PARTS: Mapping[type, WritePart] = MappingProxyType(
    {
        TextPart: lambda part: {"type": "text", "text": part.text},
        ImagePart: _image,
        AudioPart: lambda part: {
            "type": "input_audio",
            "input_audio": {"data": part.data, "format": part.format},
        },
        FilePart: _file,
        VideoPart: lambda part: {"type": "video_url", "video_url": {"url": part.url}},
    }
)
"""How each kind of content part is written; `VideoPart` is a common extension that OpenAI itself lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """
    One vendor's way of speaking chat completions. Make it with `dataclasses.replace(CHAT_COMPLETIONS, …)`.

    Attributes:
        knobs: which `ChatParams` are sent, and under which name. One that is missing is dropped with a note; where that
            would change what the answer means (tools, a response format, several choices, log-probabilities), the
            request is refused instead.
        adapt: changes to the values of knobs, by our names.
        roles: how roles are called; a role that is missing is refused.
        parts: which content parts the vendor takes, and how they are written; others are refused.
        response_formats: the types of response format it knows.
        include_usage: ask for usage at the end of streams by `stream_options`.
        reasoning_back: the message field in which an earlier turn's reasoning is sent back; None leaves it out.
        amend: last changes to a body.
        finish: the vendor's finish reasons; one that is missing is a protocol error.
        finish_errors: finish reasons that mean that the answer failed, and the class of the error.
        reasoning_fields: where reasoning text may stand in an answer; the first that holds any counts.
        think_tags: take a leading `<think>…</think>` in the text as reasoning.
        keep: fields at the top of an answer or a chunk to pass on in `Delta.extra`.
        keep_message: fields of a message or a delta to pass on in `Delta.extra`.
        ends_silently: the vendor may end a stream with neither a finish reason nor `[DONE]`; elsewhere that is an
            answer that was cut off.
    """

    knobs: Mapping[str, str] = field(default_factory=lambda: OPENAI_KNOBS)
    adapt: Mapping[str, Adapt] = field(default_factory=dict)
    roles: Mapping[Role, str] = field(default_factory=lambda: _ROLES)
    parts: Mapping[type, WritePart] = field(default_factory=lambda: PARTS)
    response_formats: frozenset[str] = frozenset({"text", "json_object", "json_schema"})
    include_usage: bool = True
    reasoning_back: str | None = None
    amend: Amend | None = None
    finish: Mapping[str, FinishReason] = field(default_factory=lambda: _FINISH)
    finish_errors: Mapping[str, ErrorClass] = field(default_factory=dict)
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning")
    think_tags: bool = False
    keep: tuple[str, ...] = ()
    keep_message: tuple[str, ...] = ("annotations", "audio")
    ends_silently: bool = False


CHAT_COMPLETIONS = Dialect()
"""The dialect as most speak it."""
