"""The messages of a chat body: read and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import (
    EMPTY,
    AudioPart,
    ContentPart,
    FilePart,
    ImagePart,
    Message,
    Role,
    TextPart,
    ToolCall,
    VideoPart,
)
from fengchao_server.v1.reading import items, mapping, refuse, text, word

_PLAIN_ROLES = frozenset({"system", "developer", "user", "assistant"})
_ROLES = _PLAIN_ROLES | {"tool"}
_KNOWN = frozenset(
    {"role", "content", "name", "reasoning_content", "refusal", "tool_calls", "tool_call_id"}
)


def read_messages(value: Any) -> tuple[Message, ...]:
    """
    The conversation.

    Raises:
        InvalidParameter: naming the field, as in `messages[2].content`.
    """
    if type(value) is not list or not value:
        if value == []:
            raise InvalidParameter("'messages' must hold at least one message", param="messages")
        refuse("messages", "an array", value)
    messages = []
    for index, item in enumerate(value):
        if type(item) is dict and len(item) == 2:  # the plain case, most of all messages
            role, content = item.get("role"), item.get("content")
            if type(content) is str and type(role) is str and role in _PLAIN_ROLES:
                messages.append(Message(role, content))  # type: ignore[arg-type]  # one of `Role`
                continue
        messages.append(_message(item, index))
    return tuple(messages)


def _message(value: Any, index: int) -> Message:
    path = f"messages[{index}]"
    fields = mapping(value, path)
    role = _role(fields.get("role"), path)
    if fields.get("function_call") is not None:
        raise InvalidParameter(
            f"'{path}.function_call' is the retired form; use 'tool_calls'",
            param=f"{path}.function_call",
        )
    calls = _calls(fields.get("tool_calls"), role, path)
    refusal = _optional(fields, "refusal", path, text)
    content, refused = _content(fields.get("content"), path)
    if content is None and not (role == "assistant" and (calls or refusal or refused)):
        raise InvalidParameter(
            f"'{path}.content' is missing: only an assistant turn that calls tools or refuses may lack it",
            param=f"{path}.content",
        )
    call_id = _optional(fields, "tool_call_id", path, word)
    if role == "tool" and call_id is None:
        raise InvalidParameter(
            f"'{path}.tool_call_id' is missing: a tool turn answers one call",
            param=f"{path}.tool_call_id",
        )
    extra = {k: v for k, v in fields.items() if k not in _KNOWN and v is not None}
    return Message(
        role=role,
        content=content,
        name=_optional(fields, "name", path, text),
        reasoning=_optional(fields, "reasoning_content", path, text),
        refusal=refusal or refused,
        tool_calls=calls,
        tool_call_id=call_id,
        extra=extra or EMPTY,
    )


def _role(value: Any, path: str) -> Role:
    if type(value) is not str or value not in _ROLES:
        if value == "function":
            raise InvalidParameter(
                f"'{path}.role' 'function' is the retired form; use 'tool'", param=f"{path}.role"
            )
        raise InvalidParameter(
            f"'{path}.role' must be one of {', '.join(sorted(_ROLES))}", param=f"{path}.role"
        )
    return cast("Role", value)


def _optional(fields: Any, name: str, path: str, read: Callable[[Any, str], str]) -> str | None:
    value = fields.get(name)
    return None if value is None else read(value, f"{path}.{name}")


def _content(value: Any, path: str) -> tuple[str | tuple[ContentPart, ...] | None, str | None]:
    """The content, and the refusal that its parts may hold."""
    if value is None or type(value) is str:
        return value, None
    path = f"{path}.content"
    if type(value) is not list:
        refuse(path, "a string or an array of parts", value)
    if not value:
        raise InvalidParameter(f"'{path}' must hold at least one part", param=path)
    parts: list[ContentPart] = []
    refusals: list[str] = []
    for index, item in enumerate(value):
        at = f"{path}[{index}]"
        fields = mapping(item, at)
        kind = fields.get("type")
        if kind == "refusal":
            refusals.append(text(fields.get("refusal"), f"{at}.refusal"))
            continue
        reader = _PARTS.get(kind) if type(kind) is str else None
        if reader is None:
            raise InvalidParameter(
                f"'{at}.type' must be one of {', '.join(sorted([*_PARTS, 'refusal']))}",
                param=f"{at}.type",
            )
        parts.append(reader(fields, at))
    return tuple(parts) or None, "".join(refusals) or None


def _text_part(fields: Any, path: str) -> ContentPart:
    return TextPart(text(fields.get("text"), f"{path}.text"))


def _image_part(fields: Any, path: str) -> ContentPart:
    path = f"{path}.image_url"
    value = fields.get("image_url")
    if type(value) is str:
        return ImagePart(_url(value, path, "image/"))
    inner = mapping(value, path)
    detail = _optional(inner, "detail", path, text)
    return ImagePart(_url(inner.get("url"), f"{path}.url", "image/"), detail)


def _video_part(fields: Any, path: str) -> ContentPart:
    inner = mapping(fields.get("video_url"), f"{path}.video_url")
    return VideoPart(_url(inner.get("url"), f"{path}.video_url.url", "video/"))


def _audio_part(fields: Any, path: str) -> ContentPart:
    path = f"{path}.input_audio"
    inner = mapping(fields.get("input_audio"), path)
    return AudioPart(
        word(inner.get("data"), f"{path}.data"), word(inner.get("format"), f"{path}.format")
    )


def _file_part(fields: Any, path: str) -> ContentPart:
    path = f"{path}.file"
    inner = mapping(fields.get("file"), path)
    part = FilePart(
        file_id=_optional(inner, "file_id", path, word),
        filename=_optional(inner, "filename", path, text),
        data=_optional(inner, "file_data", path, word),
    )
    if (part.file_id is None) == (part.data is None):
        raise InvalidParameter(f"'{path}' must hold either 'file_id' or 'file_data'", param=path)
    return part


_PARTS: dict[str, Callable[[Any, str], ContentPart]] = {
    "text": _text_part,
    "image_url": _image_part,
    "video_url": _video_part,
    "input_audio": _audio_part,
    "file": _file_part,
}


def _url(value: Any, path: str, media: str) -> str:
    """An address the vendor can fetch, or the data itself; nothing that points into anybody's file system."""
    url = word(value, path)
    start = url[:32].lower()
    if not start.startswith(("https://", "http://", f"data:{media}")):
        raise InvalidParameter(
            f"'{path}' must be an http(s) URL or a 'data:{media}…' URL", param=path
        )
    return url


def _calls(value: Any, role: Role, path: str) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    path = f"{path}.tool_calls"
    if value and role != "assistant":
        raise InvalidParameter(f"'{path}' belongs into assistant turns only", param=path)
    calls = []
    for index, item in enumerate(items(value, path)):
        at = f"{path}[{index}]"
        fields = mapping(item, at)
        kind = fields.get("type", "function")
        key, argument = ("custom", "input") if kind == "custom" else ("function", "arguments")
        if kind not in ("function", "custom"):
            raise InvalidParameter(
                f"'{at}.type' must be 'function' or 'custom'", param=f"{at}.type"
            )
        inner = mapping(fields.get(key), f"{at}.{key}")
        calls.append(
            ToolCall(
                id=word(fields.get("id"), f"{at}.id"),
                name=word(inner.get("name"), f"{at}.{key}.name"),
                arguments=text(inner.get(argument), f"{at}.{key}.{argument}"),
                type=kind,
            )
        )
    return tuple(calls)
