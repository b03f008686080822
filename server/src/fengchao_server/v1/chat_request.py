"""
The body of `POST /v1/chat/completions`: read, checked, translated.

Explicit nulls count as absent. Fields that nobody here knows travel to the vendor untouched (`ChatParams.extra`), but for
a few that would do harm: those that would change what is asked behind the gateway's back, those whose answers have no
place in it, and those that would falsify the bill. They are refused, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import DEFAULT_PARAMS, EMPTY, ChatCall, ChatParams, ResponseFormat, Tool
from fengchao_server.v1.messages import read_messages
from fengchao_server.v1.reading import (
    Reader,
    flag,
    integer,
    items,
    mapping,
    number,
    one_of,
    refuse,
    text,
    word,
)

_MOST_STOPS: Final = 16

HARMFUL: Final = {
    "functions": "it is the retired form; use 'tools'",
    "function_call": "it is the retired form; use 'tool_choice'",
    "audio": "spoken answers are not served",
    "api_key": "the vendors' credentials are the operator's to set",
    "api_base": "where the vendors are is the operator's to set",
    "base_url": "where the vendors are is the operator's to set",
    "extra_headers": "headers to the vendors are the operator's to set",
}
"""Fields that are refused, and why."""

_READ_BEFORE: Final = frozenset({"model", "messages", "stream", "stream_options"})
HANDLED: Final = _READ_BEFORE | {"modalities", "service_tier"}


class ChatBody(NamedTuple):
    """
    What was asked.

    Attributes:
        include_usage: whether the stream ends with a chunk that holds the usage.
    """

    call: ChatCall
    stream: bool
    include_usage: bool


def read_chat(document: Mapping[str, Any], request_id: str) -> ChatBody:
    """
    Read a body.

    Args:
        request_id: what the call is known by from here on.

    Raises:
        InvalidParameter: naming the field.
    """
    model = word(document.get("model"), "model")
    stream = document.get("stream")
    if stream is not None:
        flag(stream, "stream")
    options = document.get("stream_options")
    call = ChatCall(
        model=model,
        messages=read_messages(document.get("messages")),
        params=_params(document),
        request_id=request_id,
    )
    include_usage = options is not None and _include_usage(options, bool(stream))
    return ChatBody(call, bool(stream), include_usage)


def _params(document: Mapping[str, Any]) -> ChatParams:
    known: dict[str, Any] = {}
    extra: dict[str, object] = {}
    for name, value in document.items():
        if value is None or name in _READ_BEFORE:
            continue
        entry = READERS.get(name)
        if entry is not None:
            field, read = entry
            known[field] = read(value, name)
        elif name == "modalities":
            _only_text(value)
        elif name == "service_tier":
            _standard_tier(value)
        elif name in HARMFUL:
            raise InvalidParameter(f"'{name}' is not taken: {HARMFUL[name]}", param=name)
        else:
            extra[name] = value
    if not known and not extra:
        return DEFAULT_PARAMS
    newer = document.get("max_completion_tokens")
    if newer is not None and document.get("max_tokens") is not None:
        known["max_tokens"] = int(newer)
    if "top_logprobs" in known and not known.get("logprobs"):
        raise InvalidParameter("'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
    known["extra"] = extra or EMPTY
    return ChatParams(**known)


def _include_usage(value: Any, stream: bool) -> bool:  # noqa: FBT001  # two readings of one body
    options = mapping(value, "stream_options")
    if not stream:
        raise InvalidParameter("'stream_options' needs 'stream' to be true", param="stream_options")
    include = options.get("include_usage")
    return False if include is None else flag(include, "stream_options.include_usage")


def _only_text(value: Any) -> None:
    if value != ["text"]:
        raise InvalidParameter(
            "'modalities' must be ['text']: only text is served", param="modalities"
        )


def _standard_tier(value: Any) -> None:
    """Other tiers have other prices than those the usage is booked at."""
    if value not in ("auto", "default"):
        raise InvalidParameter(
            "'service_tier' must be 'auto' or 'default': the gateway books the standard price",
            param="service_tier",
        )


def _stop(value: Any, path: str) -> tuple[str, ...]:
    if type(value) is str:
        return (value,) if value else ()
    if type(value) is not list:
        refuse(path, "a string or an array of strings", value)
    if len(value) > _MOST_STOPS:
        raise InvalidParameter(f"'{path}' must hold at most {_MOST_STOPS} texts", param=path)
    return tuple(word(item, f"{path}[{index}]") for index, item in enumerate(value))


def _logit_bias(value: Any, path: str) -> dict[str, float]:
    bias = number(-100, 100)
    return {token: bias(v, f"{path}.{token[:20]}") for token, v in mapping(value, path).items()}


def _tools(value: Any, path: str) -> tuple[Tool, ...]:
    return tuple(_tool(item, f"{path}[{i}]") for i, item in enumerate(items(value, path)))


def _tool(value: Any, path: str) -> Tool:
    fields = mapping(value, path)
    kind = word(fields.get("type"), f"{path}.type")
    if kind != "function":
        return Tool(type=kind, body={k: v for k, v in fields.items() if k != "type"})
    path = f"{path}.function"
    function = mapping(fields.get("function"), path)
    name = word(function.get("name"), f"{path}.name")
    description, parameters = function.get("description"), function.get("parameters")
    strict = function.get("strict")
    return Tool(
        name=name,
        description=None if description is None else text(description, f"{path}.description"),
        parameters=None if parameters is None else mapping(parameters, f"{path}.parameters"),
        strict=None if strict is None else flag(strict, f"{path}.strict"),
    )


def _tool_choice(value: Any, path: str) -> str | dict[str, object]:
    if type(value) is str:
        return str(one_of("none", "auto", "required")(value, path))
    choice = mapping(value, path)
    word(choice.get("type"), f"{path}.type")
    return dict(choice)


def _response_format(value: Any, path: str) -> ResponseFormat:
    fields = mapping(value, path)
    kind = one_of("text", "json_object", "json_schema")(fields.get("type"), f"{path}.type")
    if kind != "json_schema":
        return ResponseFormat(kind)
    path = f"{path}.json_schema"
    inner = mapping(fields.get("json_schema"), path)
    description, schema, strict = (inner.get(k) for k in ("description", "schema", "strict"))
    return ResponseFormat(
        "json_schema",
        name=word(inner.get("name"), f"{path}.name"),
        description=None if description is None else text(description, f"{path}.description"),
        schema=None if schema is None else mapping(schema, f"{path}.schema"),
        strict=None if strict is None else flag(strict, f"{path}.strict"),
    )


READERS: Final[dict[str, tuple[str, Reader]]] = {
    "temperature": ("temperature", number(0, 2)),
    "top_p": ("top_p", number(0, 1)),
    "top_k": ("top_k", integer(-1)),
    "max_tokens": ("max_tokens", integer(1)),
    "max_completion_tokens": ("max_tokens", integer(1)),
    "stop": ("stop", _stop),
    "n": ("n", integer(1, 128)),
    "seed": ("seed", integer(-(2**63), 2**63 - 1)),
    "do_sample": ("do_sample", flag),
    "presence_penalty": ("presence_penalty", number(-2, 2)),
    "frequency_penalty": ("frequency_penalty", number(-2, 2)),
    "repetition_penalty": ("repetition_penalty", number(0, 10)),
    "logit_bias": ("logit_bias", _logit_bias),
    "logprobs": ("logprobs", flag),
    "top_logprobs": ("top_logprobs", integer(0, 20)),
    "tools": ("tools", _tools),
    "tool_choice": ("tool_choice", _tool_choice),
    "parallel_tool_calls": ("parallel_tool_calls", flag),
    "response_format": ("response_format", _response_format),
    "reasoning_effort": ("reasoning_effort", word),
    "user": ("user", text),
}
"""Field of the body -> field of `ChatParams`, and how it is read."""
