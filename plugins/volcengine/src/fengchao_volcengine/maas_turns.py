"""A conversation as the legacy MaaS API takes it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import Notes
from fengchao_core.types import ImagePart, Message, TextPart

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "function",
}


def turns(
    messages: Sequence[Message], version: Literal[1, 2], notes: Notes
) -> list[dict[str, Any]]:
    """
    The messages as they are sent.

    Turns should take turns: texts of the same speaker that follow each other are joined by a line end, which is noted.

    Args:
        version: 1 has text only, and functions in the older form; 2 has pictures and tools.
        notes: gets what was adapted.

    Raises:
        InvalidParameter: a message holds what the vendor does not take.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    sent: list[dict[str, Any]] = []
    joined = 0
    for message in messages:
        turn = _turn(message, version, names)
        before = sent[-1] if sent else {}
        if _is_plain(turn) and _is_plain(before) and turn["role"] == before["role"]:
            before["content"] += "\n" + turn["content"]
            joined += 1
        else:
            sent.append(turn)
    if joined:
        notes.append(
            f"{joined} messages were joined to the one before of the same role: this provider wants them to take turns"
        )
    return sent


def _turn(message: Message, version: int, names: dict[str, str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": _ROLES[message.role], "content": _content(message, version)}
    if message.role == "tool":
        name = message.name or names.get(message.tool_call_id or "")
        if name:
            turn["name"] = name
        if version == 2 and message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
    elif message.name is not None:
        turn["name"] = message.name
    if message.tool_calls:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
        if version == 2:
            turn["tool_calls"] = calls
        elif len(calls) > 1:
            raise InvalidParameter(
                "the legacy models make one call at a time, but a message holds several",
                param="messages",
            )
        else:
            turn["function_call"] = calls[0]["function"]
    for key, value in message.extra.items():
        turn.setdefault(key, value)
    return turn


def _content(message: Message, version: int) -> str | list[dict[str, Any]]:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    if all(isinstance(part, TextPart) for part in content):
        return message.text
    if version == 1:
        raise InvalidParameter("the legacy models take text only in messages", param="messages")
    return [_part(part) for part in content]


def _part(part: object) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if not isinstance(part, ImagePart):
        raise InvalidParameter("the legacy models take text and pictures only", param="messages")
    image = (
        {"image_bytes": part.url.partition(",")[2]}
        if part.url.startswith("data:")
        else {"url": part.url}
    )
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _is_plain(turn: dict[str, Any]) -> bool:
    """Whether a turn says nothing but its text, so that another can be joined to it. System texts stay apart."""
    return (
        set(turn) == {"role", "content"}
        and turn["role"] in ("user", "assistant")
        and isinstance(turn["content"], str)
    )
