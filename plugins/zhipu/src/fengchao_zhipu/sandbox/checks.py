"""
What the stand-in for Zhipu verifies.

Ranges, roles and limits are the documented ones; where the vendor's reaction is not known, the check is left out.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import count_tokens, look_at, prompt_tokens
from fengchao_core.types import ChatRequest
from fengchao_zhipu.sandbox.codes import RefusedError

DIMENSIONS: Mapping[str, Sequence[int]] = {
    "embedding-2": (1024,),
    "embedding-3": (256, 512, 1024, 2048),
}
"""Lengths of vectors by model, the default last."""

_CONTEXT = 131_072
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SIZE = re.compile(r"(\d{3,4})x(\d{3,4})")
_MAX_PICTURE_BYTES = 5 * 1024 * 1024
_ROLES = ("system", "user", "assistant", "tool")
_CARDS = {card.id: card for card in load_cards("fengchao_zhipu")}


# Who asks.


def who(headers: Mapping[str, str], api_key: str, now: datetime) -> str:
    """The id of the key that a request is authorised by. Raises `RefusedError`."""
    text = headers.get("Authorization", "")
    token = text.removeprefix("Bearer ").strip()
    if not token:
        raise RefusedError("1001")
    key_id, _, secret = api_key.partition(".")
    if token.count(".") == 1:
        if not hmac.compare_digest(token.encode(), api_key.encode()):
            raise RefusedError("1000")
        return key_id
    if token.count(".") != 2:
        raise RefusedError("1002")
    _verify(token, key_id, secret, round(now.timestamp() * 1000))
    return key_id


def _verify(token: str, key_id: str, secret: str, now_ms: int) -> None:
    signed, _, signature = token.rpartition(".")
    head, _, claims = signed.partition(".")
    header, payload = _decoded(head), _decoded(claims)
    if header.get("alg") != "HS256" or header.get("sign_type") != "SIGN":
        raise RefusedError("1002")
    if payload.get("api_key") != key_id:
        raise RefusedError("1000")
    expected = hmac.digest(secret.encode(), signed.encode(), sha256)
    if not hmac.compare_digest(expected, _bytes(signature)):
        raise RefusedError("1004")
    expires_at, issued_at = payload.get("exp"), payload.get("timestamp")
    if type(expires_at) is not int or type(issued_at) is not int:
        raise RefusedError("1002")
    if expires_at <= now_ms:  # milliseconds; a token with seconds expired in January 1970
        raise RefusedError("1003")


def _decoded(part: str) -> Mapping[str, object]:
    try:
        value = orjson.loads(_bytes(part))
    except orjson.JSONDecodeError:
        raise RefusedError("1002") from None
    if not isinstance(value, dict):
        raise RefusedError("1002")
    return value


def _bytes(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise RefusedError("1002") from None


# What is asked.


def check_chat(body: Mapping[str, object], asked: ChatRequest) -> None:
    """Check a chat request as the vendor would. Raises `RefusedError`."""
    _model(body, "chat")
    for name in ("temperature", "top_p"):
        _number(body, name, 0, 1)
    _check(body, "max_tokens", lambda v: type(v) is int and v >= 1)
    _check(body, "do_sample", lambda v: isinstance(v, bool))
    _check(body, "stream", lambda v: isinstance(v, bool))
    check_ids(body)
    _check(body, "tool_choice", lambda v: v == "auto")
    _check(body, "stop", lambda v: isinstance(v, str) or (isinstance(v, list) and len(v) <= 1))
    _check(body, "thinking", lambda v: _typed(v) in ("enabled", "disabled"))
    _check(body, "response_format", lambda v: _typed(v) in ("text", "json_object"))
    _check(body, "tools", lambda v: isinstance(v, list) and all(map(_is_tool, v)))
    _messages(body.get("messages"), asked.model)
    if prompt_tokens(asked) > _CONTEXT:
        raise RefusedError("1261")


def check_embeddings(body: Mapping[str, object]) -> tuple[str, list[str]]:
    """Model and texts of a request for vectors. Raises `RefusedError`."""
    model = _model(body, "embedding")
    given = body.get("input")
    if given is None:
        raise RefusedError("1213", "未正常接收到 input 参数")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 1 <= len(texts) <= 64:
        raise illegal("input")
    if not all(isinstance(text, str) and text for text in texts):
        raise illegal("input")
    if any(count_tokens(text) > 3072 for text in texts):
        raise RefusedError("1261")
    _check(body, "dimensions", lambda v: v in DIMENSIONS[model])
    return model, texts


def check_image(body: Mapping[str, object]) -> tuple[str, str, int, int]:
    """Model, prompt, width and height of a request for a picture. Raises `RefusedError`."""
    model = _model(body, "image")
    prompt = body.get("prompt")
    if prompt is None:
        raise RefusedError("1213", "未正常接收到 prompt 参数")
    if not isinstance(prompt, str) or not prompt.strip():
        raise illegal("prompt")
    size = _SIZE.fullmatch(str(body.get("size") or "1024x1024"))
    if size is None or not all(512 <= int(side) <= 2048 for side in size.groups()):
        raise illegal("size")
    _check(body, "user_id", _is_user_id)
    _check(body, "quality", lambda v: v in ("hd", "standard"))
    return model, prompt, int(size[1]), int(size[2])


def check_ids(body: Mapping[str, object]) -> None:
    """Check the ids of the user and of the request. Raises `RefusedError`."""
    _check(body, "user_id", _is_user_id)
    _check(body, "request_id", lambda v: isinstance(v, str) and bool(v))


def illegal(name: str) -> RefusedError:
    """The refusal of a field whose value the vendor does not take."""
    return RefusedError("1214", f"{name} 参数非法，请检查文档")


def _model(body: Mapping[str, object], kind: str) -> str:
    model = body.get("model")
    if model is None or model == "":
        raise RefusedError("1213", "未正常接收到 model 参数")
    if not isinstance(model, str) or model not in _CARDS:
        raise RefusedError("1211")
    if _CARDS[model].kind != kind:
        raise RefusedError("1212")
    return model


def _messages(messages: object, model: str) -> None:
    if messages is None:
        raise RefusedError("1213", "未正常接收到 messages 参数")
    if not isinstance(messages, list) or not messages:
        raise illegal("messages")
    open_calls: set[object] = set()
    for at, message in enumerate(messages):
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise illegal("messages.role")
        role, content = message["role"], message.get("content")
        if role == "system" and at:
            raise illegal("messages.role")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls or not isinstance(content, str):
                raise illegal("messages.tool_call_id")
        elif role == "assistant":
            calls = message.get("tool_calls") or []
            open_calls |= {call.get("id") for call in calls if isinstance(call, Mapping)}
            if not calls and not isinstance(content, str):
                raise illegal("messages.content")
        elif role == "user" and not content:
            raise illegal("messages.content")
        if isinstance(content, list):
            _parts(content, model)
    if messages[-1]["role"] not in ("user", "tool"):
        raise illegal("messages")


def _parts(parts: Sequence[object], model: str) -> None:
    kinds = [part.get("type") if isinstance(part, Mapping) else None for part in parts]
    if not set(kinds) <= {"text", "image_url", "video_url"}:
        raise illegal("messages.content.type")
    seen = {"image_url", "video_url"} & set(kinds)
    able = _CARDS[model].capabilities
    if ("image_url" in seen and "vision" not in able) or (
        "video_url" in seen and "video" not in able
    ):
        raise RefusedError("1210", "当前模型不支持图片或视频输入")
    if len(seen) == 2:
        raise RefusedError("1215")
    if "video_url" in seen and kinds[0] != "video_url":
        raise illegal("messages.content")
    for part in parts:
        if isinstance(part, Mapping) and part.get("type") == "image_url":
            _picture(part.get("image_url"), model)


def _picture(value: object, model: str) -> None:
    url = value.get("url") if isinstance(value, Mapping) else None
    if not isinstance(url, str) or url.startswith("data:"):
        raise illegal("messages.content.image_url")  # bare base64, or an address
    try:
        picture = look_at(url)
    except ValueError:
        raise illegal("messages.content.image_url") from None
    if picture.size_bytes > _MAX_PICTURE_BYTES or (model == "glm-4v-flash" and not picture.source):
        raise illegal("messages.content.image_url")


def _is_tool(tool: object) -> bool:
    if not isinstance(tool, Mapping):
        return False
    kind = tool.get("type")
    inner = tool.get(kind) if isinstance(kind, str) else None
    if not isinstance(inner, Mapping):
        return False
    if kind == "function":
        name = inner.get("name")
        parameters = inner.get("parameters", {})
        return (
            isinstance(name, str)
            and _FUNCTION_NAME.fullmatch(name) is not None
            and isinstance(parameters, Mapping)
        )
    if kind == "retrieval":
        template = str(inner.get("prompt_template") or "{{knowledge}}{{question}}").replace(" ", "")
        placed = "{{knowledge}}" in template and "{{question}}" in template
        return bool(inner.get("knowledge_id")) and placed
    return kind in ("web_search", "mcp")


def _is_user_id(value: object) -> bool:
    return isinstance(value, str) and 6 <= len(value) <= 128


def _typed(value: object) -> object:
    return value.get("type") if isinstance(value, Mapping) else None


def _number(body: Mapping[str, object], name: str, low: float, high: float) -> None:
    _check(body, name, lambda v: type(v) in (int, float) and low <= v <= high)


def _check(body: Mapping[str, object], name: str, is_legal: Callable[[Any], bool]) -> None:
    """Check one field; null means that it is not there."""
    value = body.get(name)
    if value is not None and not is_legal(value):
        raise illegal(name)
