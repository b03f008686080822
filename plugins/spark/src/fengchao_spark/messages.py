"""
A conversation as Spark wants it over WebSocket. Pure.

Source: the vendor's Web.html and ImageUnderstanding.html in copies of 2024 and 2025, and what its SDK does with system texts.
Inferred: results of functions travel as user messages, for there is no role for them; so do late system texts.
"""

from __future__ import annotations

from collections.abc import Sequence

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import Notes
from fengchao_core.types import ImagePart, Message, TextPart, ToolCall
from fengchao_spark.endpoints import Endpoint


def turns(messages: Sequence[Message], endpoint: Endpoint, notes: Notes) -> list[dict[str, object]]:
    """The conversation as the vendor wants it: a system text first or nowhere, a picture before all, a user last."""
    system: list[str] = []
    pictures: list[str] = []
    said: list[dict[str, object]] = []
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for at, message in enumerate(messages):
        text = _text(message, endpoint, pictures)
        if message.role in ("system", "developer") and not said:
            system.append(text)
        elif message.role == "assistant":
            said.append(_turn(message, "assistant", _with_calls(text, message.tool_calls)))
        elif message.role == "tool":
            name = message.name or names.get(message.tool_call_id or "", "")
            result = f"函数 {name} 的返回结果：{text}"
            if at and messages[at - 1].role == "tool":
                said[-1]["content"] = f"{said[-1]['content']}\n{result}"
            else:
                said.append(_turn(message, "user", result))
            _note_once(
                notes,
                "results of tools were sent as user messages: this provider has no role for them",
            )
        else:
            if message.role != "user":
                _note_once(
                    notes,
                    "a system message after the first turn was sent as a user message, "
                    "as this provider wants it",
                )
            if text or not _has_picture(message):
                said.append(_turn(message, "user", text))
    if pictures:
        said = _pictured(said, pictures)
    if not said or said[-1]["role"] != "user":
        raise InvalidParameter(
            "this provider's conversations end with a user message", param="messages"
        )
    return _instructed("\n\n".join(system), said, endpoint, notes)


def _turn(message: Message, role: str, content: str) -> dict[str, object]:
    turn: dict[str, object] = {"role": role, "content": content}
    for key, value in message.extra.items():
        turn.setdefault(key, value)
    return turn


def _instructed(
    system: str, turns: list[dict[str, object]], endpoint: Endpoint, notes: Notes
) -> list[dict[str, object]]:
    """The conversation with its system text: as a message where the model takes one, within the first user text elsewhere."""
    if not system:
        return turns
    if endpoint.takes_system:
        return [{"role": "system", "content": system}, *turns]
    notes.append("the system text was put into the first user message, as this model wants it")
    first = next(
        (t for t in turns if t["role"] == "user" and t.get("content_type") != "image"), None
    )
    if first is None:
        return [*turns, {"role": "user", "content": system}]
    first["content"] = f"{system}\n\n{first['content']}"
    return turns


def _pictured(turns: list[dict[str, object]], pictures: list[str]) -> list[dict[str, object]]:
    if len(pictures) > 1:
        raise InvalidParameter(
            f"this provider takes one picture in a conversation, found {len(pictures)}",
            param="messages",
        )
    for turn in turns:
        if turn["role"] == "user":
            turn.setdefault("content_type", "text")
    return [{"role": "user", "content": pictures[0], "content_type": "image"}, *turns]


def _text(message: Message, endpoint: Endpoint, pictures: list[str]) -> str:
    """The text of a message; its pictures go into `pictures`."""
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    for part in message.content:
        if isinstance(part, ImagePart):
            if not endpoint.takes_pictures:
                raise lacks(endpoint, "pictures", "messages")
            pictures.append(_picture(part.url))
        elif not isinstance(part, TextPart):
            kind = type(part).__name__.removesuffix("Part").lower()
            raise InvalidParameter(f"this provider takes no {kind} in messages", param="messages")
    return message.text


def _picture(url: str) -> str:
    head, _, data = url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or not data:
        raise InvalidParameter(
            "this provider takes a picture as data only: expected data:image/png;base64,…, found an address",
            param="messages",
        )
    return data


def _has_picture(message: Message) -> bool:
    return isinstance(message.content, tuple) and any(
        isinstance(part, ImagePart) for part in message.content
    )


def _with_calls(text: str, calls: Sequence[ToolCall]) -> str:
    """An assistant's text; where it only called functions, the calls as text, since they have no other place."""
    if text or not calls:
        return text
    return "\n".join(f"调用函数 {call.name}，参数：{call.arguments}" for call in calls)


def _note_once(notes: Notes, note: str) -> None:
    if note not in notes:
        notes.append(note)


def lacks(endpoint: Endpoint, what: str, param: str) -> InvalidParameter:
    """The refusal of what a model does not take."""
    return InvalidParameter(
        f"this provider's model '{endpoint.domain}' takes no {what} over WebSocket", param=param
    )
