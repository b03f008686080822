"""
What the stand-in for Ark verifies of a request.

Ranges and limits are those of the vendor's SDK and documentation; where its reaction is not known, the check is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import count_tokens, look_at, prompt_tokens
from fengchao_core.types import ChatRequest, Kind, ModelCard
from fengchao_volcengine.sandbox.refusals import Refusal

EMBEDDING_LENGTHS: Mapping[str, tuple[int, ...]] = {
    "doubao-embedding-text-240715": (2560,),
    "doubao-embedding-large-text-240915": (1024, 2048, 4096),
    "doubao-embedding-vision-250615": (1024, 2048),
}
"""Lengths of vectors by model, the default last."""

_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SIZE = re.compile(r"(\d{3,4})x(\d{3,4})")
_NAMED_SIZES = {"1K": (1024, 1024), "2K": (2048, 2048), "4K": (4096, 4096)}
_MOST_PIXELS = 4096 * 4096
_LEAST_PIXELS = 1280 * 720
_MOST_INPUTS = 256
_LONGEST_INPUT = 4096
_CONTEXT = 262_144

_CARDS: Mapping[str, ModelCard] = {
    name: card
    for card in load_cards("fengchao_volcengine")
    if card.owned_by != "Skylark"
    for name in (card.id, card.upstream_id, *card.aliases)
}


def card_of(model: str) -> ModelCard | None:
    """The card of a model; None for endpoints, bots and strangers."""
    return _CARDS.get(model)


def check_model(body: Mapping[str, Any], kind: Kind) -> str:
    """The model that is asked: a known one of this kind, or an endpoint. Raises `Refusal`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal("MissingParameter", "missing parameter: model")
    card = _CARDS.get(model)
    if card is None and not model.startswith(("ep-", "bot-")):
        raise Refusal("InvalidEndpointOrModel.NotFound")
    if card is not None and card.kind != kind:
        raise invalid("model")
    return model


def check_chat(body: Mapping[str, Any], asked: ChatRequest, *, goes_on: bool) -> None:
    """
    Check a chat as the vendor would. Raises `Refusal`.

    Args:
        goes_on: the conversation began in a context, so anything may come first.
    """
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("presence_penalty", -2, 2),
        ("frequency_penalty", -2, 2),
        ("repetition_penalty", 0, 2),
    ):
        check(body, name, within(low, high))
    for name in ("max_tokens", "max_completion_tokens", "n"):
        check(body, name, lambda v: type(v) is int and v >= 1)
    for name in ("stream", "logprobs", "parallel_tool_calls"):
        check(body, name, lambda v: isinstance(v, bool))
    check(body, "top_logprobs", lambda v: type(v) is int and 0 <= v <= 20)
    check(body, "top_logprobs", lambda _: body.get("logprobs") is True)
    check(body, "logit_bias", lambda v: isinstance(v, Mapping) and all(map(_is_bias, v.values())))
    check(body, "stop", lambda v: isinstance(v, str) or (isinstance(v, list) and len(v) <= 4))
    check(body, "stream_options", lambda v: isinstance(v, Mapping) and body.get("stream") is True)
    check(body, "thinking", lambda v: _typed(v) in ("enabled", "disabled", "auto"))
    check(body, "reasoning_effort", lambda v: v in ("minimal", "low", "medium", "high"))
    check(body, "service_tier", lambda v: v in ("auto", "default"))
    check(body, "response_format", _is_response_format)
    check(body, "tools", lambda v: isinstance(v, list) and all(map(_is_tool, v)))
    check(
        body, "tool_choice", lambda v: v in ("none", "auto", "required") or _typed(v) == "function"
    )
    if body.get("tool_choice") not in (None, "none", "auto") and not body.get("tools"):
        raise invalid("tool_choice")
    _messages(body.get("messages"), goes_on=goes_on)
    card = _CARDS.get(asked.model)
    longest = _CONTEXT if card is None or card.max_input_tokens is None else card.max_input_tokens
    if prompt_tokens(asked) > longest:
        raise Refusal("OutofContextError")


def check_embeddings(body: Mapping[str, Any]) -> tuple[list[str], int]:
    """Texts and length of the vectors that are asked for. Raises `Refusal`."""
    given = body.get("input")
    if given is None:
        raise Refusal("MissingParameter", "missing parameter: input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 1 <= len(texts) <= _MOST_INPUTS:
        raise invalid("input")
    if not all(isinstance(text, str) and text for text in texts):
        raise invalid("input")
    if any(count_tokens(text) > _LONGEST_INPUT for text in texts):
        raise Refusal("OutofContextError")
    return texts, _length(body)


def check_parts(body: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], int]:
    """Parts and length of the one vector that is asked for. Raises `Refusal`."""
    parts = body.get("input")
    if not isinstance(parts, list) or not parts:
        raise invalid("input")
    for part in parts:
        kind = _typed(part)
        if kind == "text" and isinstance(part.get("text"), str):
            continue
        if kind not in ("image_url", "video_url"):
            raise invalid("input.type")
        if kind == "image_url":
            _picture(part.get("image_url"))
    return parts, _length(body)


def check_image(body: Mapping[str, Any]) -> tuple[str, int, int]:
    """Prompt, width and height of a picture. Raises `Refusal`."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refusal("MissingParameter", "missing parameter: prompt")
    check(body, "response_format", lambda v: v in ("url", "b64_json"))
    check(body, "watermark", lambda v: isinstance(v, bool))
    check(body, "sequential_image_generation", lambda v: v in ("auto", "disabled"))
    size = body.get("size", "2K")
    if size in _NAMED_SIZES:
        return prompt, *_NAMED_SIZES[size]
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if match is None:
        raise invalid("size")
    width, height = int(match[1]), int(match[2])
    if not _LEAST_PIXELS <= width * height <= _MOST_PIXELS:
        raise invalid("size")
    return prompt, width, height


def check(body: Mapping[str, Any], name: str, is_legal: Callable[[Any], bool]) -> None:
    """Check one field, where it is there."""
    if name in body and not is_legal(body[name]):
        raise invalid(name)


def is_number(value: object, low: float, high: float) -> bool:
    """Whether a value is a number within these limits."""
    return type(value) in (int, float) and low <= value <= high  # type: ignore[operator]  # it is a number


def within(low: float, high: float) -> Callable[[object], bool]:
    """Tells numbers within these limits."""
    return lambda value: is_number(value, low, high)


def invalid(name: str) -> Refusal:
    """A field is wrong."""
    return Refusal(
        "InvalidParameter", f"the parameter `{name}` specified in the request is not valid"
    )


def _length(body: Mapping[str, Any]) -> int:
    lengths = EMBEDDING_LENGTHS.get(body["model"], (1024, 2048))
    check(body, "encoding_format", lambda v: v == "float")
    check(body, "dimensions", lambda v: v in lengths)
    length: int = body.get("dimensions", lengths[-1])
    return length


def _messages(messages: object, *, goes_on: bool) -> None:
    if messages is None:
        raise Refusal("MissingParameter", "missing parameter: messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages")
    open_calls: set[object] = set()
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in ("system", "user", "assistant", "tool"):
            raise Refusal("InvalidArgumentError.UnknownRole")
        content = message.get("content")
        calls = message.get("tool_calls") or []
        if role == "assistant":
            open_calls |= {call.get("id") for call in calls if isinstance(call, Mapping)}
        elif role == "tool" and message.get("tool_call_id") not in open_calls and not goes_on:
            raise invalid("messages.tool_call_id")
        if not content and not calls:
            raise invalid("messages.content")
        if isinstance(content, list):
            _parts(content)
    if messages[-1]["role"] == "system" and not goes_on:
        raise invalid("messages")


def _parts(parts: list[Any]) -> None:
    for part in parts:
        kind = _typed(part)
        if kind not in ("text", "image_url", "video_url", "input_audio"):
            raise invalid("messages.content.type")
        if kind == "image_url":
            _picture(part.get("image_url"))


def _picture(value: object) -> None:
    url = value.get("url") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(url, str):
        raise invalid("image_url")
    if value.get("detail", "auto") not in ("auto", "low", "high"):
        raise invalid("image_url.detail")
    try:
        look_at(url)
    except ValueError:
        raise Refusal("InvalidImageURL.InvalidFormat") from None


def _is_tool(tool: object) -> bool:
    inner = tool.get("function") if isinstance(tool, Mapping) else None
    if _typed(tool) != "function" or not isinstance(inner, Mapping):
        return False
    name = inner.get("name")
    return isinstance(name, str) and _FUNCTION_NAME.fullmatch(name) is not None


def _is_response_format(form: object) -> bool:
    kind = _typed(form)
    if kind != "json_schema" or not isinstance(form, Mapping):
        return kind in ("text", "json_object")
    inner = form.get("json_schema")
    return isinstance(inner, Mapping) and bool(inner.get("name")) and "schema" in inner


def _is_bias(value: object) -> bool:
    return is_number(value, -100, 100)


def _typed(value: object) -> object:
    return value.get("type") if isinstance(value, Mapping) else None
