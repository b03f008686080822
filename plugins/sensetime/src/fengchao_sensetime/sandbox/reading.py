"""Bodies in the vendor's shapes, read into our types; their fields were checked before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from fengchao_core.kit.sandbox import chat_dialect
from fengchao_core.types import ChatRequest
from fengchao_sensetime.sandbox.codes import RefusedError


def body_of(data: bytes) -> Mapping[str, object]:
    """A body as an object. Raises `RefusedError`."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RefusedError(3, "invalid argument: the body is not JSON") from None
    if not isinstance(body, dict):
        raise RefusedError(3, "invalid argument: the body is not an object")
    return body


def named_model(data: bytes) -> str:
    """The model that a body names, for what is counted by model; empty where it names none."""
    try:
        return str(body_of(data).get("model", ""))
    except RefusedError:
        return ""


def read_chat(body: Mapping[str, object]) -> ChatRequest:
    """A chat in either dialect."""
    return chat_dialect.read_chat(
        {
            **body,
            "max_tokens": body.get("max_new_tokens", body.get("max_tokens")),
            "messages": [_message(message) for message in _maps(body.get("messages"))],
            "tool_choice": _tool_choice(body.get("tool_choice")),
        }
    )


def read_said(body: Mapping[str, object], messages: Sequence[Mapping[str, object]]) -> ChatRequest:
    """What has no messages of its own (a turn, a text to go on with), as the chat that these messages make of it."""
    return read_chat({**body, "messages": list(messages)})


def read_character(body: Mapping[str, object], bot: str) -> ChatRequest:
    """A chat with a character."""
    messages = [
        {
            "role": "assistant" if message.get("name") == bot else "user",
            "content": message.get("content"),
        }
        for message in _maps(body.get("messages"))
    ]
    asked = read_chat({**body, "messages": messages})
    return replace(asked, params=replace(asked.params, tools=()))


def knowledge_of(body: Mapping[str, object], found: Sequence[str]) -> str:
    """The knowledge that comes into the prompt: what the bases have, and what the caller associates."""
    plugins = body.get("plugins")
    associated = plugins.get("associated_knowledge") if isinstance(plugins, Mapping) else None
    told = str(associated.get("content", "")) if isinstance(associated, Mapping) else ""
    return "\n".join([*found, told]) if told else "\n".join(found)


def _message(message: Mapping[str, object]) -> Mapping[str, object]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [_part(part) for part in _maps(content)]}


def _part(part: Mapping[str, object]) -> Mapping[str, object]:
    kind = part.get("type")
    if kind == "image_base64":
        return {"type": "image_url", "image_url": part.get("image_base64")}
    if kind == "image_file_id":
        url = f"https://file.sensenova.cn/{part.get('image_file_id')}"
        return {"type": "image_url", "image_url": url}
    return part


def _tool_choice(choice: object) -> object:
    if not isinstance(choice, Mapping) or "mode" not in choice:
        return choice
    if choice["mode"] != "manual":
        return choice["mode"]
    first = _maps(choice.get("tools"))[0]
    return {"type": "function", "function": {"name": first.get("name")}}


def _maps(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
