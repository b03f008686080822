"""Small checked accessors for what vendors send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fengchao_core.errors import ProviderProtocolError


def parse(body: bytes) -> object:
    """A JSON value. Raises `ProviderProtocolError` where the bytes are none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # and raised below: the decoder's own error carries the whole text with it
    raise ProviderProtocolError("the provider's answer is not JSON; expected a JSON object")


def is_error(chunk: Mapping[str, Any], *, has_choices: bool) -> bool:
    """Whether an answer under HTTP 200 is an error in one of the shapes that vendors use."""
    if chunk.get("error"):
        return True
    if has_choices:
        return False
    if isinstance(base := chunk.get("base_resp"), dict) and base.get("status_code"):
        return True
    if "choices" in chunk or "usage" in chunk:
        return False
    return chunk.get("object") == "error" or "message" in chunk or "code" in chunk


def texts(content: object) -> tuple[str, str]:
    """Text and thinking of a message's content: text, nothing, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    if content is None:
        return "", ""
    if not isinstance(content, list):
        raise ProviderProtocolError(
            f"'content' of the provider's answer is {kind(content)}; expected text"
        )
    text = "".join(part_text(part, "text") for part in content)
    return text, "".join(part_text(part, "thinking") for part in content)


def part_text(part: object, field: str) -> str:
    """The text in one field of a content part; a part that is bare text has it in `text`."""
    if isinstance(part, str):
        return part if field == "text" else ""
    if not isinstance(part, dict):
        raise ProviderProtocolError(
            f"a content part of the provider's answer is {kind(part)}; expected an object"
        )
    value = part.get(field)
    if isinstance(value, list):
        return "".join(part_text(inner, "text") for inner in value if isinstance(inner, dict | str))
    return value if isinstance(value, str) else ""


def reasoning(message: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    """The thinking of a message: the first of the fields that holds any, or the texts of `reasoning_details`."""
    for field in fields:
        value = message.get(field)
        if value and isinstance(value, str):
            return value
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    return "".join(part_text(detail, "text") for detail in details if isinstance(detail, dict))


def logprobs(logprobs: object) -> Sequence[object] | None:
    """The log-probabilities of a choice, as a list with one entry per token."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    return content if isinstance(content, list) and content else None


def kind(value: object) -> str:
    """What a JSON value is, for messages."""
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")
