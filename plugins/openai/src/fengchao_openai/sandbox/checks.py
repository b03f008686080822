"""What OpenAI checks in a body before it serves it. Explicit nulls count as absent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fengchao_openai.sandbox.refusals import Refusal

Body = Mapping[str, Any]
Check = Callable[[str, Any], None]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_PARTS = {
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
    "system": {"text"},
    "developer": {"text"},
    "tool": {"text"},
}


def _wrong_type(param: str, expected: str, value: object) -> Refusal:
    got = {str: "a string", bool: "a boolean", dict: "an object", list: "an array"}.get(
        type(value), "a number"
    )
    return Refusal(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )


def _wrong_value(param: str, reason: str) -> Refusal:
    return Refusal(400, f"Invalid '{param}': {reason}", param=param, code="invalid_value")


def number(low: float, high: float) -> Check:
    """A number within a range."""

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(param, "a decimal", value)
        _within(param, value, low, high)

    return check


def integer(low: int, high: int) -> Check:
    """A whole number within a range."""

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(param, "an integer", value)
        _within(param, value, low, high)

    return check


def one_of(*values: str) -> Check:
    """One of some words."""

    def check(param: str, value: Any) -> None:
        if value not in values:
            raise _wrong_value(param, f"supported values are: {', '.join(map(repr, values))}.")

    return check


def of_type(kind: type, name: str) -> Check:
    """A value of a JSON type."""

    def check(param: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise _wrong_type(param, name, value)

    return check


def _within(param: str, value: float, low: float, high: float) -> None:
    if value < low:
        raise Refusal(
            400,
            f"Invalid '{param}': decimal below minimum value. Expected a value >= {low}, but got {value} instead.",
            param=param,
            code="decimal_below_min_value",
        )
    if value > high:
        raise Refusal(
            400,
            f"Invalid '{param}': decimal above maximum value. Expected a value <= {high}, but got {value} instead.",
            param=param,
            code="decimal_above_max_value",
        )


def _stop(param: str, value: Any) -> None:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _wrong_type(param, "a string or an array of strings", value)
    if len(words) > 4:
        raise _wrong_value(param, "array too long. Expected an array with maximum length 4.")


def _response_format(param: str, value: Any) -> None:
    kind = value.get("type") if isinstance(value, Mapping) else None
    one_of("text", "json_object", "json_schema")(f"{param}.type", kind)
    if kind == "json_schema":
        schema = value.get("json_schema")
        if not isinstance(schema, Mapping) or not isinstance(schema.get("schema"), Mapping):
            raise _missing(f"{param}.json_schema.schema")
        if not _NAME.match(str(schema.get("name", ""))):
            raise _wrong_value(
                f"{param}.json_schema.name", "expected 1 to 64 of letters, digits, '_' and '-'."
            )


def _tools(param: str, value: Any) -> None:
    of_type(list, "an array")(param, value)
    for index, tool in enumerate(value):
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        one_of("function", "custom")(f"{param}[{index}].type", kind)
        inner = tool.get(kind)
        if not isinstance(inner, Mapping) or not _NAME.match(str(inner.get("name", ""))):
            raise _wrong_value(
                f"{param}[{index}].{kind}.name", "expected 1 to 64 of letters, digits, '_' and '-'."
            )


def _tool_choice(param: str, value: Any) -> None:
    if isinstance(value, Mapping):
        one_of("function", "custom", "allowed_tools")(f"{param}.type", value.get("type"))
    else:
        one_of("none", "auto", "required")(param, value)


_BOOL = of_type(bool, "a boolean")
_TEXT = of_type(str, "a string")
_OBJECT = of_type(dict, "an object")

CHAT: Mapping[str, Check | None] = {
    "model": _TEXT,
    "messages": None,
    "stream": _BOOL,
    "stream_options": _OBJECT,
    "max_completion_tokens": integer(1, 1_000_000),
    "max_tokens": integer(1, 1_000_000),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "n": integer(1, 128),
    "stop": _stop,
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "logit_bias": _OBJECT,
    "logprobs": _BOOL,
    "top_logprobs": integer(0, 20),
    "seed": integer(-(2**63), 2**63 - 1),
    "response_format": _response_format,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _BOOL,
    "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "verbosity": one_of("low", "medium", "high"),
    "modalities": None,
    "audio": None,
    "metadata": _OBJECT,
    "store": _BOOL,
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "prediction": None,
    "web_search_options": None,
    "moderation": None,
    "prompt_cache_key": _TEXT,
    "prompt_cache_options": None,
    "prompt_cache_retention": None,
    "safety_identifier": _TEXT,
    "user": _TEXT,
    "functions": None,
    "function_call": None,
}
"""The fields of a chat body. None: taken as they are, or checked elsewhere."""

EMBEDDINGS: Mapping[str, Check | None] = {
    "model": _TEXT,
    "input": None,
    "dimensions": integer(1, 3072),
    "encoding_format": one_of("float", "base64"),
    "user": _TEXT,
}

IMAGES: Mapping[str, Check | None] = {
    "model": _TEXT,
    "prompt": _TEXT,
    "n": integer(1, 10),
    "size": _TEXT,
    "quality": one_of("low", "medium", "high", "xhigh", "max", "auto"),
    "background": one_of("transparent", "opaque", "auto"),
    "output_format": one_of("png"),
    "output_compression": integer(0, 100),
    "moderation": one_of("low", "auto"),
    "stream": _BOOL,
    "partial_images": integer(0, 3),
    "user": _TEXT,
    "safety_identifier": _TEXT,
}


def check_fields(
    body: Mapping[str, Any], fields: Mapping[str, Check | None], required: Sequence[str]
) -> Body:
    """
    Check a body's fields one by one.

    Returns:
        the body without its nulls.

    Raises:
        Refusal: a field is unknown, missing, of the wrong type or out of range.
    """
    given = {name: value for name, value in body.items() if value is not None}
    for name in given:
        if name not in fields:
            raise Refusal(
                400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter"
            )
    for name in required:
        if name not in given:
            raise _missing(name)
    for name, value in given.items():
        check = fields[name]
        if check is not None:
            check(name, value)
    return given


def check_chat(body: Body) -> None:
    """
    What concerns several fields of a chat body, and its messages.

    Raises:
        Refusal: they do not go together.
    """
    if "top_logprobs" in body and body.get("logprobs") is not True:
        raise _wrong_value("top_logprobs", "only allowed when 'logprobs' is enabled.")
    if "stream_options" in body and body.get("stream") is not True:
        raise _wrong_value("stream_options", "only allowed when 'stream' is enabled.")
    if ("tool_choice" in body or "parallel_tool_calls" in body) and not body.get("tools"):
        raise _wrong_value("tool_choice", "only allowed when 'tools' are specified.")
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise _wrong_value(
            "max_tokens", "'max_tokens' and 'max_completion_tokens' cannot both be set."
        )
    messages = body["messages"]
    of_type(list, "an array")("messages", messages)
    if not messages:
        raise _wrong_value("messages", "empty array. Expected an array with minimum length 1.")
    for index, message in enumerate(messages):
        _check_message(f"messages[{index}]", message)
    _check_tool_order(messages)
    form = body.get("response_format")
    if form is not None and form["type"] == "json_object" and "json" not in str(messages).lower():
        raise _wrong_value(
            "messages",
            "must contain the word 'json' to use 'response_format' of type 'json_object'.",
        )


def _check_message(param: str, message: Any) -> None:
    of_type(dict, "an object")(param, message)
    role = message.get("role")
    one_of(*_PARTS)(f"{param}.role", role)
    content = message.get("content")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise _missing(f"{param}.tool_call_id")
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("refusal")):
            return
        raise _wrong_value(
            f"{param}.content", "expected a string or an array of parts, but got null instead."
        )
    if isinstance(content, str):
        return
    of_type(list, "a string or an array of parts")(f"{param}.content", content)
    for index, part in enumerate(content):
        where = f"{param}.content[{index}]"
        kind = part.get("type") if isinstance(part, Mapping) else None
        one_of(*sorted(_PARTS[role]))(f"{where}.type", kind)
        if kind not in part:
            raise _missing(f"{where}.{kind}")
        if kind == "image_url":
            _check_image(f"{where}.image_url", part["image_url"])


def _check_image(param: str, image: Any) -> None:
    url = image.get("url") if isinstance(image, Mapping) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://", "data:image/")):
        raise _wrong_value(
            f"{param}.url", "expected an https URL or a base64 data URL of an image."
        )
    one_of("auto", "low", "high", "original")(f"{param}.detail", image.get("detail") or "auto")


def _check_tool_order(messages: Sequence[Body]) -> None:
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise _wrong_value(
                    f"messages[{index}].role",
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                )
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            break
        waiting = {
            str(call.get("id"))
            for call in message.get("tool_calls") or ()
            if isinstance(call, Mapping)
        }
    if waiting:
        raise _wrong_value(
            "messages",
            "an assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following did not have response messages: {', '.join(sorted(waiting))}",
        )


def _missing(param: str) -> Refusal:
    return Refusal(
        400,
        f"Missing required parameter: '{param}'.",
        param=param,
        code="missing_required_parameter",
    )
