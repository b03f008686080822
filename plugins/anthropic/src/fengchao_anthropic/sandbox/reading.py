"""A body that was checked, read into our types; and the thinking that the stand-in signs."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    ContentPart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

_SIGNS = b"the stand-in signs its thinking with this"

Wire = Mapping[str, Any]


def signature_of(thinking: str) -> str:
    """What the stand-in signs a block of thinking with, and wants to see again."""
    return b64encode(hmac.digest(_SIGNS, thinking.encode(), "sha256")).decode()


def items(content: object) -> list[Wire]:
    """The blocks of a content; text alone is one block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        return []
    return [item for item in content if isinstance(item, Mapping)]


def read_body(body: Wire) -> ChatRequest:
    """A request out of a body; what an answer does not depend on is left out."""
    messages: list[Message] = []
    if system := _joined(items(body.get("system"))):
        messages.append(Message("system", system))
    for wire in body["messages"]:
        messages += _messages(wire)
    choice = body.get("tool_choice") or {}
    limit = body.get("max_tokens")
    form = (body.get("output_config") or {}).get("format")
    return ChatRequest(
        model=str(body.get("model", "")),
        messages=tuple(messages),
        stream=body.get("stream") is True,
        params=ChatParams(
            max_tokens=limit if isinstance(limit, int) else None,
            stop=tuple(body.get("stop_sequences") or ()),
            tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
            tool_choice=_choice(choice),
            parallel_tool_calls=False if choice.get("disable_parallel_tool_use") else None,
            response_format=ResponseFormat("json_schema", schema=form["schema"]) if form else None,
        ),
    )


def _messages(wire: Wire) -> list[Message]:
    blocks = items(wire["content"])
    if wire["role"] == "assistant":
        calls = tuple(
            ToolCall(block["id"], block["name"], orjson.dumps(block["input"]).decode())
            for block in blocks
            if block["type"] == "tool_use"
        )
        return [Message("assistant", _joined(blocks) or None, tool_calls=calls)]
    results = [
        Message("tool", _joined(items(block.get("content"))), tool_call_id=block["tool_use_id"])
        for block in blocks
        if block["type"] == "tool_result"
    ]
    parts = tuple(part for block in blocks if (part := _part(block)) is not None)
    return [*results, *([Message(wire["role"], parts)] if parts else [])]


def _part(block: Wire) -> ContentPart | None:
    source = block.get("source")
    match block["type"]:
        case "text":
            return TextPart(block["text"])
        case "image" if isinstance(source, Mapping) and source["type"] == "base64":
            return ImagePart(f"data:{source['media_type']};base64,{source['data']}")
        case "image" if isinstance(source, Mapping) and source["type"] == "url":
            return ImagePart(source["url"])
        case "document" if isinstance(source, Mapping):
            return TextPart(source["data"] if source["type"] == "text" else "")
        case "tool_result":
            return None
        case _:
            return TextPart("")


def _joined(blocks: Sequence[Wire]) -> str:
    return "".join(str(block["text"]) for block in blocks if block.get("type") == "text")


def _tool(wire: Wire) -> Tool:
    if wire.get("type", "custom") != "custom":
        return Tool(str(wire["type"]), body=wire)
    return Tool(
        name=wire["name"],
        description=wire.get("description"),
        parameters=wire["input_schema"],
    )


def _choice(choice: Wire) -> str | Mapping[str, object] | None:
    match choice.get("type"):
        case "any":
            return "required"
        case "tool":
            return {"type": "function", "function": {"name": choice["name"]}}
        case "none":
            return "none"
        case _:
            return None
