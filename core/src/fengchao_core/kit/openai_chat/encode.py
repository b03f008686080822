"""A `ChatRequest` as a chat-completions body."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import orjson

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat.dialect import CHAT_COMPLETIONS, Dialect, Notes
from fengchao_core.types import (
    DEFAULT_PARAMS,
    ChatParams,
    ChatRequest,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
)

_OURS = frozenset({"model", "messages", "stream"})
"""What `extra` may never replace."""

_KNOBS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "stop",
    "n",
    "seed",
    "do_sample",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
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

_values = attrgetter(*_KNOBS)  # all of them at once: most requests give two or three of twenty

_FEATURES = frozenset({"n", "logprobs", "top_logprobs", "tools", "tool_choice", "response_format"})
"""Knobs without which the answer would be another one: a vendor that lacks them refuses the request."""

_REWRITTEN = frozenset({"tools", "response_format", "stop"})
"""Knobs whose values JSON takes in another shape than ours."""

_MEANS_NOTHING: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tool_choice": ("auto",),
    "do_sample": (True,),
    "repetition_penalty": (1.0,),
    "response_format": (ResponseFormat(),),
}
"""Values that say no more than leaving the knob out."""


class Encoded(NamedTuple):
    """A body ready to be sent, and what was adapted in it."""

    body: bytes
    notes: tuple[str, ...]


def encode(request: ChatRequest, dialect: Dialect = CHAT_COMPLETIONS) -> Encoded:
    """
    A request as JSON bytes.

    Raises:
        InvalidParameter: the vendor lacks a feature that is asked for, or a value cannot be written as JSON.
    """
    body, notes = build(request, dialect)
    return Encoded(dump(body), tuple(notes))


def build(
    request: ChatRequest, dialect: Dialect = CHAT_COMPLETIONS
) -> tuple[dict[str, Any], Notes]:
    """A request as the dict that `encode` writes, and what was adapted. Raises as `encode`."""
    notes: Notes = []
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, dialect) for message in request.messages],
    }
    params = request.params
    if params is not DEFAULT_PARAMS:
        _knobs(params, dialect, body, notes)
        if params.extra:
            _extra(params.extra, body, notes)
    if request.stream:
        body["stream"] = True
        if dialect.include_usage:
            options = body.get("stream_options")
            body["stream_options"] = (
                {**options, "include_usage": True}
                if isinstance(options, Mapping)
                else {"include_usage": True}
            )
    else:
        body.pop("stream_options", None)  # vendors refuse it without a stream
    if dialect.amend is not None:
        dialect.amend(body, request, notes)
    return body, notes


def dump(body: object) -> bytes:
    """
    JSON bytes of a body of ours.

    Raises:
        InvalidParameter: something in it cannot be written as JSON.
    """
    try:
        return orjson.dumps(body, default=_plain)
    except orjson.JSONEncodeError as error:
        raise InvalidParameter(
            "the request holds a value that JSON cannot carry (half of a surrogate pair, an integer beyond 64 bits, "
            "a key that is not text, or an object that is no JSON value)"
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _message(message: Message, dialect: Dialect) -> dict[str, Any]:
    role = dialect.roles.get(message.role)
    if role is None:
        raise InvalidParameter(
            f"this provider takes no messages of role '{message.role}'", param="messages"
        )
    content = message.content
    if content is None or isinstance(content, str):
        wire: dict[str, Any] = {"role": role, "content": content}
    else:
        wire = {"role": role, "content": [_part(part, dialect) for part in content]}
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.refusal is not None:
        wire["refusal"] = message.refusal
    if message.reasoning is not None and dialect.reasoning_back is not None:
        wire[dialect.reasoning_back] = message.reasoning
    if message.extra:
        for key, value in message.extra.items():
            wire.setdefault(key, value)
    return wire


def _part(part: object, dialect: Dialect) -> dict[str, Any]:
    write = dialect.parts.get(type(part))
    if write is None:
        kind = type(part).__name__.removesuffix("Part").lower()
        raise InvalidParameter(f"this provider takes no {kind} in messages", param="messages")
    return write(part)


def _tool_call(call: ToolCall) -> dict[str, Any]:
    if call.type == "custom":
        return {
            "id": call.id,
            "type": "custom",
            "custom": {"name": call.name, "input": call.arguments},
        }
    return {
        "id": call.id,
        "type": call.type,
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _knobs(params: ChatParams, dialect: Dialect, body: dict[str, Any], notes: Notes) -> None:
    knobs, adapts = dialect.knobs, dialect.adapt
    for name, given in zip(_KNOBS, _values(params), strict=True):
        if given is None or given == ():
            continue
        field = knobs.get(name)
        if field is None:
            _lacks(name, given, dialect, body, notes)
            continue
        value = given
        if adapts and (adapt := adapts.get(name)) is not None:
            value, note = adapt(name, given)
            if note is not None:
                notes.append(note)
        body[field] = _value(name, value, dialect) if name in _REWRITTEN else value


def _lacks(name: str, value: object, dialect: Dialect, body: dict[str, Any], notes: Notes) -> None:
    if value in _MEANS_NOTHING.get(name, ()):
        return
    if name in _FEATURES:
        raise InvalidParameter(f"this provider has no '{name}'", param=name)
    if name == "do_sample" and (field := dialect.knobs.get("temperature")) is not None:
        body[field] = 0
        notes.append("do_sample=false was sent as temperature 0, which this provider takes instead")
        return
    notes.append(f"{name} was left out: this provider has no such parameter")


def _value(name: str, value: Any, dialect: Dialect) -> Any:
    if name == "tools":
        return [_tool(tool) for tool in value]
    if name == "response_format":
        return _response_format(value, dialect)
    return list(value)


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.type != "function":
        return {"type": tool.type, **tool.body}
    given = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {
        "type": "function",
        "function": {key: value for key, value in given.items() if value is not None},
    }


def _response_format(form: ResponseFormat, dialect: Dialect) -> dict[str, Any]:
    if form.type not in dialect.response_formats:
        raise InvalidParameter(
            f"this provider has no response format '{form.type}'; it has: "
            f"{', '.join(sorted(dialect.response_formats))}",
            param="response_format",
        )
    if form.type != "json_schema":
        return {"type": form.type}
    given = {
        "name": form.name or "answer",
        "description": form.description,
        "schema": form.schema,
        "strict": form.strict,
    }
    return {
        "type": "json_schema",
        "json_schema": {key: value for key, value in given.items() if value is not None},
    }


def _extra(extra: Mapping[str, object], body: dict[str, Any], notes: Notes) -> None:
    for key, value in extra.items():
        if key in _OURS:
            notes.append(f"the extra parameter '{key}' was left out: it has a place of its own")
        else:
            body[key] = value
