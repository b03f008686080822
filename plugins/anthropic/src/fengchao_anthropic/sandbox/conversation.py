"""What the stand-in for Anthropic verifies of a conversation: roles, blocks, results after calls, signed thinking."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from fengchao_anthropic.blocks import IMAGE_TYPES
from fengchao_anthropic.sandbox.codes import RefusedError, illegal
from fengchao_anthropic.sandbox.reading import items, signature_of
from fengchao_anthropic.wire import NEWEST
from fengchao_core.kit.sandbox import look_at

_USER = frozenset({"text", "image", "document", "search_result", "tool_result", "container_upload"})
_ASSISTANT = frozenset(
    {"text", "tool_use", "thinking", "redacted_thinking", "document", "server_tool_use"}
)
_MESSAGE = frozenset({"role", "content"})
_MOST_MARKS = 4


def check_system(system: object) -> None:
    """Check the system text. Raises `RefusedError`."""
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise illegal("system", "Input should be a valid string or list")
    for at, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise illegal(f"system.{at}.type", "Input should be 'text'")
        _text(block, f"system.{at}")
        _mark(block, f"system.{at}")


def check_conversation(messages: object, version: str, *, thinking: object) -> None:
    """
    Check the messages of a request.

    Args:
        messages: as they came.
        version: the generation of the API.
        thinking: the request's `thinking`.

    Raises:
        RefusedError: as the vendor would refuse.
    """
    if not isinstance(messages, list):
        raise illegal("messages", "Field required" if messages is None else "should be a list")
    if not messages:
        raise illegal("messages", "at least one message is required")
    for at, message in enumerate(messages):
        _message(message, at, version, is_last=at == len(messages) - 1)
    if messages[0]["role"] != "user":
        raise illegal("messages", 'first message must use the "user" role')
    turns = _merged(messages)
    _results(turns)
    _signed_loop(turns, thinking)
    marks = sum("cache_control" in block for _, blocks in turns for block in blocks)
    if marks > _MOST_MARKS:
        raise illegal(
            "cache_control", f"A maximum of {_MOST_MARKS} blocks may be marked; found {marks}"
        )


def _message(message: object, at: int, version: str, *, is_last: bool) -> None:
    path = f"messages.{at}"
    if not isinstance(message, dict):
        raise illegal(path, "Input should be an object")
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant"):
        raise illegal(f"{path}.role", "Input should be 'user' or 'assistant'")
    if unknown := message.keys() - _MESSAGE:
        raise illegal(f"{path}.{min(unknown)}", "Extra inputs are not permitted")
    if not isinstance(content, str | list):
        raise illegal(f"{path}.content", "Input should be a valid string or list")
    if not content and not (is_last and role == "assistant"):
        raise illegal(path, "all messages must have non-empty content")
    if isinstance(content, str):
        if content and not content.strip():
            raise illegal("messages", "text content blocks must contain non-whitespace text")
        return
    for number, block in enumerate(content):
        _block(block, f"{path}.content.{number}", role, version)


def _block(block: object, path: str, role: str, version: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    allowed = _USER if role == "user" else _ASSISTANT
    is_result = isinstance(kind, str) and kind.endswith("_tool_result") and role == "assistant"
    if not isinstance(block, dict) or not (kind in allowed or is_result):
        raise illegal(
            path, f"Input tag '{kind}' does not match any of the expected tags for role {role}"
        )
    if version == NEWEST and role == "assistant" and kind == "document":
        raise illegal(path, "document blocks are not permitted in assistant messages")
    if version == NEWEST and role == "user" and kind == "text" and block.get("citations"):
        raise illegal(f"{path}.citations", "citations are not permitted in user messages")
    _mark(block, path)
    match kind:
        case "text":
            _text(block, path)
        case "image":
            _image(block.get("source"), f"{path}.image.source")
        case "document":
            _document(block.get("source"), f"{path}.document.source")
        case "tool_use":
            if not all(isinstance(block.get(name), str) and block[name] for name in ("id", "name")):
                raise illegal(f"{path}.tool_use.id", "Field required")
            if not isinstance(block.get("input"), dict):
                raise illegal(f"{path}.tool_use.input", "Input should be an object")
        case "tool_result":
            _result(block, path, version)
        case "thinking":
            _thinking(block, path)


def _text(block: Mapping[str, Any], path: str) -> None:
    text = block.get("text")
    if not isinstance(text, str):
        raise illegal(f"{path}.text.text", "Field required")
    if not text.strip():
        raise illegal("messages", "text content blocks must contain non-whitespace text")


def _mark(block: Mapping[str, Any], path: str) -> None:
    mark = block.get("cache_control")
    if mark is None:
        return
    if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
        raise illegal(f"{path}.cache_control.type", "Input should be 'ephemeral'")
    if (mark.get("ttl") or "5m") not in ("5m", "1h"):
        raise illegal(f"{path}.cache_control.ttl", "Input should be '5m' or '1h'")
    if block.get("type") in ("thinking", "redacted_thinking"):
        raise illegal(f"{path}.cache_control", "Extra inputs are not permitted")


def _image(source: object, path: str) -> None:
    kind = source.get("type") if isinstance(source, dict) else None
    if not isinstance(source, dict) or kind not in ("base64", "url", "file"):
        raise illegal(f"{path}.type", "Input should be 'base64', 'url' or 'file'")
    if kind == "base64":
        if source.get("media_type") not in IMAGE_TYPES:
            raise illegal(
                f"{path}.base64.media_type",
                "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
            )
        _seen(f"data:{source['media_type']};base64,{source.get('data')}", source, path)
    elif kind == "url":
        url = source.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise illegal(f"{path}.url", "Only HTTP and HTTPS URLs are supported")


def _seen(url: str, source: Mapping[str, Any], path: str) -> None:
    try:
        picture = look_at(url)
    except ValueError:
        raise illegal(f"{path}.base64.data", "Could not process image") from None
    if picture.format and f"image/{picture.format.lower()}" != source["media_type"]:
        raise illegal(
            f"{path}.base64.data",
            f"The image was specified using the {source['media_type']} media type, "
            f"but the image appears to be a image/{picture.format.lower()} image",
        )


def _document(source: object, path: str) -> None:
    kind = source.get("type") if isinstance(source, dict) else None
    if not isinstance(source, dict) or kind not in ("base64", "url", "text", "content", "file"):
        raise illegal(
            f"{path}.type", "Input should be 'base64', 'url', 'text', 'content' or 'file'"
        )
    if kind == "base64" and source.get("media_type") != "application/pdf":
        raise illegal(f"{path}.base64.media_type", "Input should be 'application/pdf'")
    if kind in ("base64", "text") and not isinstance(source.get("data"), str):
        raise illegal(f"{path}.{kind}.data", "Field required")


def _result(block: Mapping[str, Any], path: str, version: str) -> None:
    if not isinstance(block.get("tool_use_id"), str):
        raise illegal(f"{path}.tool_result.tool_use_id", "Field required")
    content = block.get("content")
    if content is None or isinstance(content, str):
        return
    for number, inner in enumerate(items(content)):
        if inner.get("type") not in ("text", "image", "document", "search_result"):
            raise illegal(
                f"{path}.tool_result.content.{number}", "Input tag does not match the expected tags"
            )
        _block(inner, f"{path}.tool_result.content.{number}", "user", version)


def _thinking(block: Mapping[str, Any], path: str) -> None:
    thought, signature = block.get("thinking"), block.get("signature")
    if not isinstance(thought, str) or not isinstance(signature, str):
        raise illegal(f"{path}.thinking.signature", "Field required")
    # Thinking that was sent without its text comes back without it.
    signs = {signature_of(thought)} if thought else {signature, signature_of("")}
    if not signature or not any(hmac.compare_digest(signature, sign) for sign in signs):
        raise illegal(path, "Invalid `signature` in `thinking` block")


def _merged(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    turns: list[tuple[str, list[Mapping[str, Any]]]] = []
    for message in messages:
        blocks = items(message["content"])
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message["role"], list(blocks)))
    return turns


def _results(turns: Sequence[tuple[str, list[Mapping[str, Any]]]]) -> None:
    calls: list[str] = []
    for at, (_, blocks) in enumerate(turns):
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if missing := [call for call in calls if call not in answered]:
            raise RefusedError(
                "invalid_request_error",
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}",
            )
        if strange := [call for call in answered if call not in calls]:
            raise RefusedError(
                "invalid_request_error",
                f"messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {strange[0]}",
            )
        kinds = [block["type"] == "tool_result" for block in blocks]
        if kinds != sorted(kinds, reverse=True):
            raise RefusedError(
                "invalid_request_error",
                f"messages.{at}: `tool_result` blocks must come before any other content",
            )
        if len(set(answered)) < len(answered):
            raise RefusedError(
                "invalid_request_error",
                "each `tool_use` block must have a single `tool_result` block",
            )
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if calls:
        raise RefusedError(
            "invalid_request_error",
            f"messages.{len(turns) - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(calls)}",
        )


def _signed_loop(turns: Sequence[tuple[str, list[Mapping[str, Any]]]], thinking: object) -> None:
    """With a thinking budget, the calls whose results come now must come back with their thinking."""
    if not isinstance(thinking, Mapping) or thinking.get("type") != "enabled" or len(turns) < 2:
        return
    if not any(block["type"] == "tool_result" for block in turns[-1][1]):
        return
    first = turns[-2][1][0]["type"] if turns[-2][1] else None
    if first not in ("thinking", "redacted_thinking"):
        raise illegal(
            f"messages.{len(turns) - 2}.content.0.type",
            f"Expected `thinking` or `redacted_thinking`, but found `{first}`",
        )
