"""What the stand-in verifies of V2, by the documented ranges and rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import look_at, prompt_tokens
from fengchao_core.types import ChatRequest
from fengchao_qianfan.endpoints import V2, Access, route
from fengchao_qianfan.sandbox.refusals import RefusedError

_ONLY_V2 = Access(v1=False, v2=True)
CARDS = {
    place: card
    for card in load_cards("fengchao_qianfan")
    if card.id.lower() in V2 or card.id.islower()
    if isinstance(place := route(card.id, _ONLY_V2), str)
}
"""The models of V2 by their names there."""

RERANKER = "bce-reranker-base"

_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ROLES = ("system", "user", "assistant", "tool")


def check_chat(body: Mapping[str, Any], asked: ChatRequest) -> None:
    """Check a chat as the vendor would. Raises `RefusedError`."""
    card = CARDS[model_of(body, "chat")]
    for name, low, high in (
        ("top_p", 0, 1),
        ("penalty_score", 1, 2),
        ("frequency_penalty", -2, 2),
        ("presence_penalty", -2, 2),
    ):
        _number(body, name, low, high)
    _check(body, "temperature", lambda v: type(v) in (int, float) and 0 < v <= 1)
    _check(body, "max_completion_tokens", lambda v: type(v) is int and v >= 2)
    _check(body, "stream", lambda v: isinstance(v, bool))
    _check(body, "seed", lambda v: type(v) is int)
    _check(body, "stop", lambda v: isinstance(v, str | list))
    _check(body, "tools", lambda v: isinstance(v, list) and all(map(_is_tool, v)))
    _check(body, "tool_choice", _is_choice)
    _check(
        body,
        "response_format",
        lambda v: isinstance(v, dict) and v.get("type") in ("text", "json_object", "json_schema"),
    )
    _messages(body, sees="vision" in card.capabilities)
    if card.max_input_tokens is not None and prompt_tokens(asked) > card.max_input_tokens:
        raise RefusedError("tokens_too_long")


def model_of(body: Mapping[str, Any], kind: str) -> str:
    """The model that a body names. Raises `RefusedError`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RefusedError("invalid_model", "model is empty", status=400)
    if model not in CARDS or CARDS[model].kind != kind:
        raise RefusedError("invalid_model", "No permission to use the model")
    return model


def check_picture(body: Mapping[str, Any]) -> tuple[str, str, int, int, int]:
    """Model, prompt, count, width and height of a request for pictures. Raises `RefusedError`."""
    model = model_of(body, "image")
    prompt = body.get("prompt")
    longest = 220 if model.startswith("irag") else 512
    if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > longest:
        raise RefusedError("invalid_image_genration_prompt")
    _check(body, "n", lambda v: type(v) is int and 1 <= v <= 4)
    size = re.fullmatch(r"(\d{3,4})x(\d{3,4})", str(body.get("size") or "1024x1024"))
    if size is None or not all(512 <= int(side) <= 2048 for side in size.groups()):
        raise RefusedError("invalid_argument", "size is invalid")
    return model, prompt, body.get("n") or 1, int(size[1]), int(size[2])


def _messages(body: Mapping[str, Any], *, sees: bool) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages is empty")
    roles = [m.get("role") if isinstance(m, Mapping) else None for m in messages]
    if not all(role in _ROLES for role in roles):
        raise _wrong("role is invalid")
    if roles[0] not in ("user", "system") or "system" in roles[1:]:
        raise _wrong("the first message must be of the user or the system")
    if roles[-1] not in ("user", "tool"):
        raise _wrong("the last message must be of the user or a tool")
    turns = roles[1:] if roles[0] == "system" else roles
    if "tool" not in turns and any(
        role != ("user", "assistant")[at % 2] for at, role in enumerate(turns)
    ):
        raise _wrong("user and assistant must take turns")
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            _parts(content, sees=sees)
        elif not content and not message.get("tool_calls"):
            raise _wrong("content is empty")


def _parts(parts: Sequence[object], *, sees: bool) -> None:
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in ("text", "image_url", "video_url") or (kind != "text" and not sees):
            raise _wrong("content is of a type that the model does not take")
        if kind == "image_url" and isinstance(part, Mapping):
            inner = part.get("image_url")
            try:
                look_at(str(inner.get("url")) if isinstance(inner, Mapping) else "")
            except ValueError:
                raise RefusedError("invalid_image_url") from None


def _is_tool(tool: object) -> bool:
    inner = tool.get("function") if isinstance(tool, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return isinstance(name, str) and _FUNCTION_NAME.fullmatch(name) is not None


def _is_choice(choice: object) -> bool:
    if isinstance(choice, Mapping):
        return choice.get("type") == "function" and isinstance(choice.get("function"), Mapping)
    return choice in ("none", "auto", "required")


def _number(body: Mapping[str, Any], name: str, low: float, high: float) -> None:
    _check(body, name, lambda v: type(v) in (int, float) and low <= v <= high)


def _check(body: Mapping[str, Any], name: str, is_legal: Callable[[Any], bool]) -> None:
    value = body.get(name)
    if value is not None and not is_legal(value):
        raise RefusedError("invalid_argument", f"{name} is invalid")


def _wrong(message: str) -> RefusedError:
    return RefusedError("invalid_messages", message)
