"""
What the stand-in for Spark verifies in a frame, and in a body of the HTTP API.

Roles, ranges and limits are the documented ones; where the vendor's reaction is not known, the check is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import look_at, prompt_tokens
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    ImagePart,
    Message,
    TextPart,
    Tool,
)
from fengchao_spark.endpoints import ENDPOINTS, Endpoint
from fengchao_spark.sandbox.codes import RefusedError
from fengchao_spark.wire import MAX_UID_CHARS

MAX_PICTURE_BYTES = 4 * 1024 * 1024

_OLDER_DOMAINS = {"/v1.1/chat": "general", "/v2.1/image": "general"}
"""The older name of a path's model, which the vendor still takes."""

_TUNED_PATH = "/v1.1/chat"
"""Where fine-tuned models answer, by any domain, with their resource in `header.patch_id`."""

_CONTEXTS = {
    card.upstream_id: card.max_input_tokens
    for card in load_cards("fengchao_spark")
    if card.kind == "chat"
}
_ROLES = ("system", "user", "assistant")
_FORMATS = ("JPEG", "PNG")


# Frames.


def read_frame(frame: object, path: str, app_id: str) -> ChatRequest:
    """
    A frame that asks, checked as the vendor would.

    Raises:
        RefusedError: 10003 where it is no object, 10004 where its shape is wrong, 10005 where a value is, 10016 for
            another application, 10404 for a domain of another path, 10907 where it is too long.
    """
    if not isinstance(frame, dict):
        raise RefusedError(10003)
    header, chat, payload = (
        _mapping(frame.get("header")),
        _mapping(_mapping(frame.get("parameter")).get("chat")),
        _mapping(frame.get("payload")),
    )
    _header(header, app_id)
    endpoint = _endpoint(chat.get("domain"), path, header)
    ranges(chat, endpoint)
    texts = _mapping(payload.get("message")).get("text")
    if not isinstance(texts, list) or not texts:
        raise RefusedError(10004, "payload.message.text")
    messages = (_pictured if endpoint.takes_pictures else _messages)(texts)
    functions = payload.get("functions")
    asked = ChatRequest(
        model=endpoint.domain,
        messages=messages,
        stream=True,
        params=ChatParams(
            max_tokens=chat.get("max_tokens"),
            # The vendor makes one call at a time.
            parallel_tool_calls=False,
            tools=_functions(functions, endpoint) if functions is not None else (),
        ),
    )
    fits(asked, endpoint)
    return asked


def ranges(body: Mapping[str, Any], endpoint: Endpoint) -> None:
    """Check what a frame and a body of the HTTP API have in common. Raises `RefusedError`."""
    most = endpoint.max_temperature
    check(body, "temperature", lambda v: type(v) in (int, float) and 0 < v <= most)
    check(body, "top_k", lambda v: type(v) is int and 1 <= v <= 6)
    longest = endpoint.max_tokens
    check(body, "max_tokens", lambda v: type(v) is int and 1 <= v <= (longest or v))
    check(body, "chat_id", lambda v: isinstance(v, str))


def fits(asked: ChatRequest, endpoint: Endpoint) -> None:
    """Check the length of a conversation, where the model's context is known. Raises `RefusedError`."""
    context = _CONTEXTS.get(endpoint.domain)
    pictures = any(isinstance(message.content, tuple) for message in asked.messages)
    if context is not None and not pictures and prompt_tokens(asked) > context:
        raise RefusedError(10907)


def check(body: Mapping[str, Any], name: str, is_legal: Callable[[Any], bool]) -> None:
    """Check one field; null means that it is not there. Raises `RefusedError`."""
    value = body.get(name)
    if value is not None and not is_legal(value):
        raise RefusedError(10005, f"parameter value error: {name}")


def ends_well(messages: Sequence[Message], *, last: Sequence[str] = ("user",)) -> None:
    """Check that a system text comes first or nowhere, and who speaks last. Raises `RefusedError`."""
    if any(message.role == "system" for message in messages[1:]):
        raise RefusedError(10005, "system must be the first message")
    if messages[-1].role not in last:
        raise RefusedError(10005, "the last message must be a user's")


def _header(header: Mapping[str, Any], app_id: str) -> None:
    if not isinstance(header.get("app_id"), str):
        raise RefusedError(10004, "header.app_id")
    if header["app_id"] != app_id:
        raise RefusedError(10016)
    check(header, "uid", lambda v: isinstance(v, str) and len(v) <= MAX_UID_CHARS)
    check(
        header,
        "patch_id",
        lambda v: isinstance(v, list) and len(v) == 1 and isinstance(v[0], str),
    )


def _endpoint(domain: object, path: str, header: Mapping[str, Any]) -> Endpoint:
    if not isinstance(domain, str):
        raise RefusedError(10004, "parameter.chat.domain")
    known = ENDPOINTS.get(domain)
    if known is not None and known.path == path:
        return known
    if domain == _OLDER_DOMAINS.get(path):
        base = next(each for each in ENDPOINTS.values() if each.path == path)
        return replace(base, domain=domain)
    if known is None and path == _TUNED_PATH and header.get("patch_id"):
        return Endpoint(path=path, domain=domain, max_tokens=None)
    raise RefusedError(10404)


def _messages(texts: Sequence[object]) -> tuple[Message, ...]:
    messages = tuple(_message(text) for text in texts)
    ends_well(messages)
    return messages


def _message(value: object) -> Message:
    item = _mapping(value)
    role, content = item.get("role"), item.get("content")
    if not isinstance(content, str):
        raise RefusedError(10004, "payload.message.text.content")
    if role not in _ROLES:
        raise RefusedError(10005, "payload.message.text.role")
    return Message(role, content)


def _pictured(texts: Sequence[object]) -> tuple[Message, ...]:
    """A picture first, then the talk about it; given to the last who asks, where answers look for it."""
    first = _mapping(texts[0])
    if first.get("content_type") != "image":
        return _messages(texts)  # what the vendor does without a picture is not known
    picture = ImagePart(_picture(first))
    if any(_mapping(text).get("content_type") == "image" for text in texts[1:]):
        raise RefusedError(10005, "one image in a conversation")
    if len(texts) == 1:
        return (Message("user", (picture,)),)
    *before, last = _messages(texts[1:])
    return (*before, Message("user", (picture, TextPart(last.text))))


def _picture(item: Mapping[str, Any]) -> str:
    content = item.get("content")
    if not isinstance(content, str) or item.get("role") != "user":
        raise RefusedError(10004, "payload.message.text.content")
    try:
        picture = look_at(content)
    except ValueError:
        raise RefusedError(10005, "image is not base64") from None
    if picture.format not in _FORMATS or picture.size_bytes > MAX_PICTURE_BYTES:
        raise RefusedError(10005, "image must be a JPEG or a PNG of at most 4 MB")
    return content


def _functions(value: object, endpoint: Endpoint) -> tuple[Tool, ...]:
    texts = _mapping(value).get("text")
    if not isinstance(texts, list):
        raise RefusedError(10004, "payload.functions.text")
    functions = []
    for text in texts:
        item = _mapping(text)
        name, parameters = item.get("name"), item.get("parameters", {})
        if not isinstance(name, str) or not name or not isinstance(parameters, dict):
            raise RefusedError(10004, "payload.functions.text")
        functions.append(
            Tool(name=name, description=item.get("description"), parameters=parameters)
        )
    # Models without functions are taken to answer in words.
    return tuple(functions) if endpoint.takes_functions else ()


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError(10004)
    return value
