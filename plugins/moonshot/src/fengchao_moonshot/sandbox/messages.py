"""What Moonshot checks in the messages of a chat: roles, content, the order of tool messages, partial mode, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fengchao_core.types import Capability, ModelCard
from fengchao_moonshot.sandbox.refusals import invalid

_ROLES = ("system", "user", "assistant", "tool")
_MEDIA: Mapping[object, Capability] = {"image_url": "vision", "video_url": "video"}
"""Content parts with a URL, and what a model needs to take them."""


def check_messages(messages: Any, card: ModelCard, *, thinks: bool) -> None:
    """
    Check the messages of a chat.

    Args:
        messages: as they came.
        card: the model's.
        thinks: whether it thinks this time.

    Raises:
        Refusal: one is wrong, or they do not follow each other as they should.
    """
    if not isinstance(messages, list) or not messages:
        raise invalid("messages must be a list that is not empty")
    for index, message in enumerate(messages):
        _check_message(f"message at position {index}", message, card)
        if message.get("partial") and (index + 1 < len(messages) or message["role"] != "assistant"):
            raise invalid("partial is only for the last message, with role assistant")
    _check_tool_order(messages)
    if thinks:
        _check_reasoning(messages)


def _check_message(where: str, message: Any, card: ModelCard) -> None:
    if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
        raise invalid(f"{where} must have one of the roles {', '.join(_ROLES)}")
    role, content = message["role"], message.get("content")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise invalid(f"{where} with role 'tool' must have a tool_call_id")
    if isinstance(content, list):
        for part in content:
            _check_part(where, part, role, card)
    elif not isinstance(content, str) and not (role == "assistant" and message.get("tool_calls")):
        raise invalid(f"{where} with role '{role}' must have a content of text or parts")
    if role in ("system", "user") and not content:
        raise invalid(f"{where} with role '{role}' must not be empty")


def _check_part(where: str, part: Any, role: str, card: ModelCard) -> None:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return
    needed = _MEDIA.get(kind)
    if needed is None or role != "user":
        raise invalid(f"{where} has a part of the unknown type {kind}")
    if needed not in card.capabilities:
        raise invalid(f"{kind} is not supported by this model")
    medium = str(kind).removesuffix("_url")
    if not _url(part).startswith((f"data:{medium}/", "ms://")):
        raise invalid(f"unsupported {medium} url")


def _check_tool_order(messages: Sequence[Mapping[str, Any]]) -> None:
    waiting: dict[str, Mapping[str, Any]] = {}
    for message in messages:
        if message["role"] == "tool":
            call = waiting.pop(message["tool_call_id"], None)
            if call is None:
                raise invalid("tool_call_id is not found")
            function = call.get("function") or {}
            if function.get("name") == "$web_search" and (
                message.get("content") != function.get("arguments")
            ):
                raise invalid("the content for $web_search must be its arguments, unchanged")
            continue
        if waiting:
            break
        waiting = {
            str(call.get("id")): call
            for call in message.get("tool_calls") or ()
            if isinstance(call, Mapping)
        }
    if waiting:
        raise invalid(
            "an assistant message with 'tool_calls' must be followed by tool messages for each 'tool_call_id'"
        )


def _check_reasoning(messages: Sequence[Mapping[str, Any]]) -> None:
    """In the tool loop that is under way, the thinking that led to the calls has to come back."""
    for message in reversed(messages):
        if message["role"] == "user":
            return
        if message.get("tool_calls") and not message.get("reasoning_content"):
            raise invalid("thinking is enabled but reasoning_content is missing")


def _url(part: Mapping[str, Any]) -> str:
    """The URL of a picture or a film: in an object, or bare."""
    inner = part.get(str(part.get("type")))
    url = inner.get("url") if isinstance(inner, Mapping) else inner
    return url if isinstance(url, str) else ""
