"""What the stand-in for the legacy API verifies, and its bodies as chat completions have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import count_tokens
from fengchao_volcengine.sandbox.checks import within
from fengchao_volcengine.sandbox.refusals import Refusal

_CARDS = {
    name: card
    for card in load_cards("fengchao_volcengine")
    if card.owned_by == "Skylark"
    for name in (card.id, *card.aliases)
}
_ROLES = ("system", "user", "assistant", "function")


def check_model(body: Mapping[str, Any]) -> str:
    """The model, or the endpoint, of a body of version 1. Raises `Refusal`."""
    model = body.get("model")
    if not isinstance(model, Mapping):
        raise Refusal("MissingParameter", "model")
    name, endpoint = model.get("name"), model.get("endpoint_id")
    if not name and not endpoint:
        raise Refusal("MissingParameter", "model.name or model.endpoint_id")
    if endpoint and not str(endpoint).startswith("ep-"):
        raise Refusal("EndpointIsInvalid")
    if name and name not in _CARDS:
        raise Refusal("EndpointIsInvalid", "the model does not exist")
    return str(name or endpoint)


def check_chat(body: Mapping[str, Any], model: str, version: int) -> None:
    """Check a chat as the vendor would. Raises `Refusal`."""
    parameters = body.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise _invalid("parameters")
    for name, low, high in (
        ("temperature", 0, 1),
        ("top_p", 0, 1),
        ("repetition_penalty", 1, 2),
        ("presence_penalty", -2, 2),
        ("frequency_penalty", -2, 2),
    ):
        _check(parameters, name, within(low, high))
    _check(parameters, "top_k", lambda v: type(v) is int and 0 <= v <= 1000)
    for name in ("max_tokens", "max_prompt_tokens", "max_new_tokens", "min_new_tokens"):
        _check(parameters, name, lambda v: type(v) is int and v >= 1)
    _check(parameters, "do_sample", lambda v: isinstance(v, bool))
    _check(parameters, "stop", lambda v: isinstance(v, list) and all(isinstance(w, str) for w in v))
    _check(body, "stream", lambda v: isinstance(v, bool))
    _check(body, "functions" if version == 1 else "tools", lambda v: isinstance(v, list))
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("MissingParameter", "messages")
    _order(messages)
    card = _CARDS.get(model)
    longest = 32_768 if card is None or card.max_input_tokens is None else card.max_input_tokens
    if sum(count_tokens(str(message.get("content"))) for message in messages) > longest:
        raise Refusal("InvalidParameter", "the prompt is longer than the context of the model")


def as_dialect(body: Mapping[str, Any], model: str, version: int) -> dict[str, Any]:
    """A body that was checked, as chat completions have it."""
    flat = {**body, **body.get("parameters", {}), "model": model}
    flat["max_tokens"] = flat.pop("max_new_tokens", flat.get("max_tokens"))
    flat["messages"] = [_turn(message) for message in body["messages"]]
    if version == 1:
        flat["tools"] = [{"type": "function", "function": f} for f in body.get("functions", ())]
        flat["parallel_tool_calls"] = False
    return flat


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    turn = dict(message)
    if isinstance(content := message.get("content"), list):
        turn["content"] = [_part(part) for part in content]
    if isinstance(call := turn.pop("function_call", None), Mapping):
        turn["tool_calls"] = [{"id": f"of-{call.get('name')}", "function": call}]
    if message["role"] == "function":
        turn["role"] = "tool"
        turn.setdefault("tool_call_id", f"of-{message.get('name')}")
    return turn


def _part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    image = part.get("image_url")
    if isinstance(image, Mapping) and "image_bytes" in image:
        return {"type": "image_url", "image_url": {"url": image["image_bytes"]}}
    return part


def _order(messages: list[Any]) -> None:
    """System texts first, then turns about, and the user (or a function) has the last word."""
    before = "system"
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in _ROLES:
            raise _invalid("messages.role")
        if role == "system":
            if before != "system":
                raise _invalid("messages: a system text stands first")
        elif role == "function":
            if before not in ("assistant", "function"):
                raise _invalid("messages: a function answers the assistant")
        elif role == before or (role == "assistant" and before == "system"):
            raise _invalid("messages: the turns do not alternate")
        if role != "assistant" and not message.get("content"):
            raise _invalid("messages.content")
        before = role
    if before not in ("user", "function"):
        raise _invalid("messages: the last one is not the user's")


def _check(body: Mapping[str, Any], name: str, is_legal: Callable[[Any], bool]) -> None:
    if name in body and not is_legal(body[name]):
        raise _invalid(name)


def _invalid(what: str) -> Refusal:
    return Refusal("InvalidParameter", f"A parameter specified in the request is not valid: {what}")
