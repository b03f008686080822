"""What Moonshot checks in the fields of a chat body. Explicit nulls count as absent, unknown fields are not looked at."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fengchao_core.types import ModelCard
from fengchao_moonshot.sandbox.messages import check_messages
from fengchao_moonshot.sandbox.refusals import invalid

Body = Mapping[str, Any]
Check = Callable[[str, Any], None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_MOST_BYTES = 2_097_152
_NEAR_ZERO = 0.01


def check_chat(body: Mapping[str, Any], card: ModelCard) -> Body:
    """
    Check a chat body.

    Returns:
        the body without its nulls.

    Raises:
        Refusal: something in it is missing, of the wrong type, out of range, or does not go with the rest.
    """
    given = {name: value for name, value in body.items() if value is not None}
    size = len(orjson.dumps(given.get("messages")))
    if size > _MOST_BYTES:
        raise invalid(f"total message size {size} exceeds limit {_MOST_BYTES}")
    for name, check in _FIELDS.items():
        if name in given:
            check(name, given[name])
    if is_thinking(card):
        for name in _SAMPLING:
            if name in given:
                raise invalid(f"{name} is fixed for this model, leave it out")
    else:
        if given.get("n", 1) > 1 and given.get("temperature", 0) < _NEAR_ZERO:
            raise invalid("n must be 1 when temperature is close to 0")
        if given.get("tool_choice", "auto") not in ("auto", "none"):
            raise invalid("tool_choice must be auto or none for this model")
        if _form(given) == "json_schema":
            raise invalid("response_format json_schema is not supported by this model")
    check_messages(given.get("messages"), card, thinks=thinks(given, card))
    if _form(given) != "text" and given["messages"][-1].get("partial"):
        raise invalid("partial mode does not work with response_format")
    return given


def is_thinking(card: ModelCard) -> bool:
    """Whether a model can think."""
    return "reasoning" in card.capabilities


def thinks(body: Body, card: ModelCard) -> bool:
    """Whether a model thinks this time: those that can do, unless they are told not to."""
    return is_thinking(card) and body.get("thinking", {}).get("type") != "disabled"


def _number(low: float, high: float) -> Check:
    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(f"{param} must be a number")
        if not low <= value <= high:
            raise invalid(f"{param} must be between {low} and {high}")

    return check


def _integer(low: int, high: int) -> Check:
    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise invalid(f"{param} must be an integer")
        if not low <= value <= high:
            raise invalid(f"{param} must be between {low} and {high}")

    return check


def _of_type(kind: type, name: str) -> Check:
    def check(param: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise invalid(f"{param} must be {name}")

    return check


def _stop(param: str, value: Any) -> None:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise invalid(f"{param} must be a string or a list of strings")
    if len(words) > 5:
        raise invalid(f"{param} takes at most 5 strings")
    if any(len(word.encode()) > 32 for word in words):
        raise invalid(f"{param} takes strings of at most 32 bytes")


def _typed(*kinds: str) -> Check:
    """An object whose `type` is one of some words."""

    def check(param: str, value: Any) -> None:
        kind = value.get("type") if isinstance(value, Mapping) else None
        if kind not in kinds:
            raise invalid(f"{param}.type must be one of {', '.join(kinds)}")

    return check


def _tools(param: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) > 128:
        raise invalid(f"{param} must be a list of at most 128 tools")
    seen = set()
    for tool in value:
        _typed("function", "builtin_function")(param, tool)
        inner = tool.get("function")
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if not isinstance(name, str):
            raise invalid(f"{param}.function.name is missing")
        if name in seen:
            raise invalid(f"function name {name} is duplicated")
        seen.add(name)
        if tool["type"] == "builtin_function":
            if name != "$web_search":
                raise invalid(f"builtin function {name} is unknown")
        elif not _NAME.match(name):
            raise invalid(f"function name {name} is invalid")


def _tool_choice(param: str, value: Any) -> None:
    if isinstance(value, Mapping):
        _typed("function")(param, value)
    elif value not in ("auto", "none", "required"):
        raise invalid(f"{param} must be auto, none or required")


def _form(body: Body) -> str:
    return str(body.get("response_format", {}).get("type", "text"))


_BOOL = _of_type(bool, "a boolean")
_TOKENS = _integer(1, 1_048_576)

_FIELDS: Mapping[str, Check] = {
    "stream": _BOOL,
    "stream_options": _of_type(dict, "an object"),
    "max_tokens": _TOKENS,
    "max_completion_tokens": _TOKENS,
    "temperature": _number(0, 1),
    "top_p": _number(0, 1),
    "n": _integer(1, 5),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "stop": _stop,
    "response_format": _typed("text", "json_object", "json_schema"),
    "thinking": _typed("enabled", "disabled"),
    "tools": _tools,
    "tool_choice": _tool_choice,
}
