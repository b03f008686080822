"""
What the stand-in for SenseNova verifies.

Ranges, roles and limits are the documented ones; where the vendor's reaction is not known, the check is left out. All
refusals for a wrong name or value bear code 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import look_at
from fengchao_core.types import ModelCard
from fengchao_sensetime.sandbox.codes import RefusedError
from fengchao_sensetime.wire import is_character, is_token_plan

CARDS: Mapping[str, ModelCard] = {card.id: card for card in load_cards("fengchao_sensetime")}
"""The models, by their names."""

COMPLETING = "nova-ptc-s-v1-codecompletion"
"""A model that only completes texts."""

TOKEN_PLAN_FIELDS = frozenset(
    (
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "n",
        "stop",
        "frequency_penalty",
        "presence_penalty",
        "reasoning_effort",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "seed",
    )
)
"""All that the token plan takes."""

OPAQUE = "Errors in message queue response"
"""What the token plan says of any field that it does not take."""

_ROLES = ("system", "user", "assistant", "tool")
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def illegal(name: str, why: str = "is not legal") -> RefusedError:
    """A refusal for a wrong value."""
    return RefusedError(3, f"invalid argument: {name} {why}")


def check(body: Mapping[str, object], name: str, is_legal: Callable[[Any], bool]) -> None:
    """Check one field; null means that it is not there. Raises `RefusedError`."""
    value = body.get(name)
    if value is not None and not is_legal(value):
        raise illegal(name)


def model_of(body: Mapping[str, object], fits: Callable[[str], bool]) -> str:
    """The model that is asked, which must be one of those that fit. Raises `RefusedError`."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise illegal("model", "is missing")
    if not fits(model):
        raise RefusedError(5, f"model {model[:100]} is not found")
    return model


def is_chat(model: str) -> bool:
    """Whether the native chat has a model."""
    card = CARDS.get(model)
    return card is not None and card.kind == "chat" and not is_elsewhere(model)


def is_elsewhere(model: str) -> bool:
    """Whether a model is asked at an address of its own."""
    return is_token_plan(model) or is_character(model)


def check_native(body: Mapping[str, object]) -> None:
    """Check the parameters of a chat in the vendor's own shape. Raises `RefusedError`."""
    check_sampling(body)
    check_tools(body, _is_tool_choice)
    check(body, "know_ids", _are_texts)
    check(body, "knowledge_config", _is_knowledge_config)
    check(body, "plugins", _are_plugins)
    model = str(body.get("model", ""))
    if body.get("plugins") and "Reasoner" in model:
        raise illegal("plugins", "is not supported by this model")


def check_sampling(body: Mapping[str, object]) -> None:
    """Check how to generate. Raises `RefusedError`."""
    check(body, "n", lambda v: type(v) is int and 1 <= v <= 4)
    check(body, "max_new_tokens", lambda v: type(v) is int and v >= 1)
    check(body, "temperature", lambda v: _is_number(v) and 0 < v <= 2 and round(v, 6) == v)
    check(body, "top_p", lambda v: _is_number(v) and 0 < v < 1)
    check(body, "repetition_penalty", lambda v: _is_number(v) and 0 < v <= 2)
    check(body, "stream", lambda v: isinstance(v, bool))
    check(body, "user", lambda v: isinstance(v, str))


def check_compatible(body: Mapping[str, object]) -> None:
    """Check the parameters of the compatible mode. Raises `RefusedError`."""
    check_sampling(body)
    check(body, "frequency_penalty", lambda v: _is_number(v) and 0 <= v <= 2)
    check(
        body,
        "thinking",
        lambda v: isinstance(v, Mapping) and isinstance(v.get("enabled"), bool),
    )
    check_tools(body, lambda v: v in ("auto", "none", "required") or isinstance(v, Mapping))


def check_token_plan(body: Mapping[str, object]) -> None:
    """Check the fields of the token plan, of which it takes no others. Raises `RefusedError`."""
    if set(body) - TOKEN_PLAN_FIELDS:
        raise RefusedError(3, OPAQUE)
    check(body, "temperature", lambda v: _is_number(v) and 0 <= v <= 2)
    check(body, "top_p", lambda v: _is_number(v) and 0 <= v <= 1)
    check(body, "max_tokens", lambda v: type(v) is int and 1 <= v <= 65536)
    check(body, "stream", lambda v: isinstance(v, bool))
    check_tools(body, lambda v: v in ("auto", "none", "required") or isinstance(v, Mapping))
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if "strict" in tool["function"]:
            raise RefusedError(3, OPAQUE)


def check_tools(body: Mapping[str, object], is_choice: Callable[[Any], bool]) -> None:
    """Check the functions and which of them to call. Raises `RefusedError`."""
    check(body, "tools", lambda v: isinstance(v, list) and all(map(_is_tool, v)))
    check(body, "tool_choice", is_choice)


def check_messages(messages: object, model: str, *, native_parts: bool = True) -> None:
    """Check the conversation: roles, calls and their results, the last turn, pictures. Raises `RefusedError`."""
    if not isinstance(messages, list) or not messages:
        raise illegal("messages", "is empty")
    open_calls: set[object] = set()
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise illegal("messages.role")
        role, content = message["role"], message.get("content")
        if role == "tool":
            if message.get("tool_call_id") not in open_calls or not isinstance(content, str):
                raise illegal("messages.tool_call_id", "and content must come together")
        elif role == "assistant":
            calls = message.get("tool_calls") or []
            open_calls |= {call.get("id") for call in calls if isinstance(call, Mapping)}
            if not calls and not content:
                raise illegal("messages.content")
        elif not content:
            raise illegal("messages.content", "is empty")
        if isinstance(content, list):
            _check_parts(content, model, native=native_parts)
        elif not isinstance(content, str):
            raise illegal("messages.content")
    if messages[-1]["role"] not in ("user", "tool"):
        raise illegal("messages", "must end with a message of the user or of a tool")


def check_length(model: str, prompt_tokens: int, body: Mapping[str, object]) -> None:
    """Check that prompt and answer fit the model's context. Raises `RefusedError`."""
    card = CARDS.get(model)
    most = card.max_input_tokens if card is not None else None
    asked = body.get("max_new_tokens", body.get("max_tokens"))
    wanted = prompt_tokens + (asked if isinstance(asked, int) else 0)
    if most is not None and wanted > most:
        raise illegal("messages", "and max_new_tokens are longer than the context of the model")


def _check_parts(parts: Sequence[object], model: str, *, native: bool) -> None:
    card = CARDS.get(model)
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or kind not in (
            "text",
            "image_url",
            "image_base64",
            "image_file_id",
        ):
            raise illegal("messages.content.type")
        if kind == "text":
            continue
        if card is None or "vision" not in card.capabilities:
            raise illegal("messages.content", "holds a picture, which this model does not see")
        value = part.get(kind)
        if not native and isinstance(value, Mapping):
            value = value.get("url")
        if not isinstance(value, str) or not _is_picture(str(kind), value):
            raise illegal(f"messages.content.{kind}")


def _is_picture(kind: str, value: str) -> bool:
    if kind == "image_file_id":
        return bool(value)
    if value.startswith("data:"):
        return False
    try:
        source = look_at(value).source
    except ValueError:
        return False
    return bool(source) == (kind == "image_url")


def _is_tool(tool: object) -> bool:
    inner = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(tool, Mapping) or tool.get("type") != "function":
        return False
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return isinstance(name, str) and _FUNCTION_NAME.fullmatch(name) is not None


def _is_tool_choice(choice: object) -> bool:
    if not isinstance(choice, Mapping) or not isinstance(choice.get("tools", []), list):
        return False
    if choice.get("mode") == "manual":
        forced = choice.get("tools")
        return bool(forced) and all(
            isinstance(tool, Mapping)
            and tool.get("type") == "function"
            and isinstance(tool.get("name"), str)
            for tool in choice["tools"]
        )
    return choice.get("mode") in ("auto", "none")


def _is_knowledge_config(config: object) -> bool:
    if not isinstance(config, Mapping):
        return False
    bases = config.get("knowledge_base_configs", [])
    return (
        config.get("control_level", "normal") in ("normal", "high")
        and isinstance(config.get("knowledge_base_result", False), bool)
        and isinstance(bases, list)
        and all(
            isinstance(base, Mapping)
            and isinstance(base.get("know_id"), str)
            and _is_number(base.get("faq_threshold", 0.5))
            and 0 < base.get("faq_threshold", 0.5) < 1
            for base in bases
        )
    )


def _are_plugins(plugins: object) -> bool:
    if not isinstance(plugins, Mapping):
        return False
    knowledge, search = plugins.get("associated_knowledge"), plugins.get("web_search")
    if knowledge is not None and not (
        isinstance(knowledge, Mapping)
        and isinstance(knowledge.get("content"), str)
        and knowledge.get("mode") in ("concatenate", "override")
    ):
        return False
    return search is None or (
        isinstance(search, Mapping)
        and all(
            isinstance(search.get(name, False), bool) for name in ("search_enable", "result_enable")
        )
    )


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _is_number(value: object) -> bool:
    return type(value) in (int, float)
