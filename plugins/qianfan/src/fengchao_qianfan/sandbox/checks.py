"""
What the stand-in verifies of chats in V1, and how it reads them into our types.

Ranges and rules are the documented ones; where the vendor's reaction is not known, the check is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import count_tokens, look_at, prompt_tokens
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)
from fengchao_qianfan.endpoints import Endpoint, endpoint_of
from fengchao_qianfan.sandbox.refusals import RefusedError

_CARDS = {
    endpoint.path: card
    for card in load_cards("fengchao_qianfan")
    if (endpoint := endpoint_of(card.id)) is not None
}
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_TOKENS = 2048
_CHARACTERS = {5120: 20_000, 2048: 8_000, 126_976: 516_096, 7168: 11_200, 6144: 24_000}
_HOSTED_CHARACTERS = 4800


def read_chat(body: Mapping[str, Any], endpoint: Endpoint, model: str) -> ChatRequest:
    """A chat out of a body, checked. Raises `RefusedError`."""
    _ranges(body)
    functions = _functions(body)
    choice = _choice(body, functions)
    form = body.get("response_format")
    if form is not None and form not in ("text", "json_object"):
        raise illegal("response_format")
    messages = _asked(body, endpoint)
    limit = body.get("max_output_tokens")
    asked = ChatRequest(
        model=model,
        messages=messages,
        stream=body.get("stream") is True,
        params=ChatParams(
            max_tokens=limit if isinstance(limit, int) else None,
            stop=tuple(body.get("stop") or ()),
            tools=functions,
            tool_choice=choice,
            parallel_tool_calls=False,
            response_format=ResponseFormat("json_object") if form == "json_object" else None,
        ),
    )
    _fits(asked, endpoint)
    return asked


def illegal(name: str) -> RefusedError:
    """The refusal of a parameter."""
    return RefusedError("336003", f"the {name} is invalid")


def check(body: Mapping[str, object], name: str, is_legal: Callable[[Any], bool]) -> None:
    """Check one field; null means that it is not there."""
    value = body.get(name)
    if value is not None and not is_legal(value):
        raise illegal(name)


def is_number(low: float, high: float, *, above: bool = False) -> Callable[[Any], bool]:
    """Whether a value is a number of a range; `above`: the lower end is outside."""
    return lambda v: type(v) in (int, float) and low <= v <= high and not (above and v == low)


def _ranges(body: Mapping[str, object]) -> None:
    check(body, "temperature", is_number(0, 1, above=True))
    check(body, "top_p", is_number(0, 1))
    check(body, "penalty_score", is_number(1, 2))
    check(body, "frequency_penalty", is_number(-2, 2))
    check(body, "presence_penalty", is_number(-2, 2))
    check(body, "top_k", lambda v: type(v) is int and v >= 0)
    check(body, "max_output_tokens", lambda v: type(v) is int and 2 <= v <= _MOST_TOKENS)
    check(body, "stream", lambda v: isinstance(v, bool))
    check(body, "user_id", lambda v: isinstance(v, str))
    check(
        body,
        "stop",
        lambda v: (
            isinstance(v, list)
            and len(v) <= 4
            and all(isinstance(text, str) and len(text) <= 20 for text in v)
        ),
    )
    for name in ("disable_search", "enable_citation", "enable_trace", "enable_system_memory"):
        check(body, name, lambda v: isinstance(v, bool))
    system = body.get("system")
    if system is not None and not isinstance(system, str):
        raise RefusedError("336104")


def _functions(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    given = body.get("functions")
    if given is None:
        return ()
    if not isinstance(given, list) or not given:
        raise illegal("functions")
    tools = []
    for each in given:
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or _FUNCTION_NAME.fullmatch(name) is None:
            raise illegal("functions' name")
        parameters = each.get("parameters")
        if not isinstance(parameters, dict) or parameters.get("type") != "object":
            raise illegal("functions' parameters")
        if not isinstance(each.get("description"), str):
            raise illegal("functions' description")
        tools.append(Tool(name=name, description=each["description"], parameters=parameters))
    return tuple(tools)


def _choice(body: Mapping[str, Any], functions: Sequence[Tool]) -> Mapping[str, object] | None:
    choice = body.get("tool_choice")
    if choice is None:
        return None
    inner = choice.get("function") if isinstance(choice, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    if choice_type(choice) != "function" or name not in [tool.name for tool in functions]:
        raise illegal("tool_choice")
    return {"type": "function", "function": {"name": name}}


def choice_type(choice: object) -> object:
    """The type of a `tool_choice` object."""
    return choice.get("type") if isinstance(choice, Mapping) else None


# What is asked, by the endpoint's shape.


def _asked(body: Mapping[str, Any], endpoint: Endpoint) -> tuple[Message, ...]:
    if endpoint.shape in ("prompt", "picture", "query"):
        field = "query" if endpoint.shape == "query" else "prompt"
        text = body.get(field)
        if not isinstance(text, str) or not text.strip():
            raise illegal(field)
        if endpoint.shape != "picture":
            return (Message("user", text),)
        picture = ImagePart(str(body.get("image") or ""))
        try:
            look_at(picture.url)
        except ValueError:
            raise illegal("image") from None
        if picture.url.startswith(("http:", "https:", "data:")):
            raise illegal("image")
        return (Message("user", (picture, TextPart(text))),)
    if endpoint.shape == "plugins":
        check(
            body,
            "plugins",
            lambda v: isinstance(v, list) and bool(v) and all(isinstance(each, str) for each in v),
        )
        if not body.get("plugins"):
            raise illegal("plugins")
    system = body.get("system")
    lead = (Message("system", system),) if system and "system" in endpoint.takes else ()
    return (*lead, *_messages(body.get("messages")))


def _messages(given: object) -> tuple[Message, ...]:
    if not isinstance(given, list) or not given:
        raise RefusedError("336003", "the messages is empty")
    if len(given) % 2 == 0:
        raise RefusedError("336006")
    messages: list[Message] = []
    for at, item in enumerate(given):
        role = item.get("role") if isinstance(item, dict) else None
        if role not in (("user", "function") if at % 2 == 0 else ("assistant",)):
            raise RefusedError(
                "336003", "the role of message must be user or function, and assistant, in turn"
            )
        content = item.get("content")
        call = item.get("function_call")
        if not isinstance(content, str) or (not content.strip() and call is None):
            raise RefusedError("336003", "the content of message can't be blank")
        if role == "function":
            messages.append(_result(item, content))
        elif call is None:
            messages.append(Message("user" if role == "user" else "assistant", content))
        else:
            messages.append(Message("assistant", content or None, tool_calls=(_call(call, at),)))
    return tuple(messages)


def _call(call: object, at: int) -> ToolCall:
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(name, str) or not name:
        raise RefusedError("336003", "function_call's name can't be blank")
    return ToolCall(f"call_{at}", name, str(call.get("arguments", "")))


def _result(item: Mapping[str, Any], content: str) -> Message:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise RefusedError("336003", "the name of function message can't be blank")
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        raise RefusedError("336003", "the content of function message must be JSON") from None
    return Message("tool", content, name=name)


def _fits(asked: ChatRequest, endpoint: Endpoint) -> None:
    """The last message, and the system text, must fit; older messages would only be forgotten."""
    card = _CARDS.get(endpoint.path)
    most = card.max_input_tokens if card is not None else None
    must = [m for m in asked.messages if m.role == "system"] + [asked.messages[-1]]
    characters = sum(len(message.text) for message in must)
    limit = _CHARACTERS.get(most or 0, _HOSTED_CHARACTERS if "top_k" in endpoint.takes else None)
    if limit is not None and characters > limit:
        raise RefusedError("336007")
    if most is not None and sum(count_tokens(message.text) for message in must) > most:
        raise RefusedError("336103")


def forgetful_tokens(asked: ChatRequest, endpoint: Endpoint) -> int:
    """The tokens of a prompt; history that does not fit is forgotten, and not counted."""
    card = _CARDS.get(endpoint.path)
    tokens = prompt_tokens(asked)
    most = card.max_input_tokens if card is not None else None
    return tokens if most is None else min(tokens, most)
