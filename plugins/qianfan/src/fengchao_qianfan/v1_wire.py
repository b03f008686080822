"""
Chats of V1 on the wire: what goes out. Pure.

Sources: the vendor's API reference of the models, and the recorded requests of its SDK; see the README for what is
documented and what is inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    Dialect,
    Encoded,
    Notes,
    at_most,
    build,
    clamp,
    dump,
)
from fengchao_core.types import ChatRequest, ImagePart, Message, TextPart, Tool
from fengchao_qianfan.endpoints import Endpoint
from fengchao_qianfan.turns import Conversation, arrange

LEAST_TEMPERATURE = 0.01
"""The vendor's range is open at 0."""

_LEAST_TOKENS = 2
_MOST_STOPS = 4
_LONGEST_STOP = 20

_FIELDS: Mapping[str, tuple[str, ...]] = {
    # The field of the vendor's, and our knobs that become it.
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "penalty_score": ("repetition_penalty",),
    "frequency_penalty": ("frequency_penalty",),
    "presence_penalty": ("presence_penalty",),
    "max_output_tokens": ("max_tokens",),
    "stop": ("stop",),
    "user_id": ("user",),
    "functions": ("tools",),
    "tool_choice": ("tool_choice",),
    "response_format": ("response_format",),
}


def encode(request: ChatRequest, endpoint: Endpoint) -> Encoded:
    """
    A chat as JSON bytes.

    Raises:
        InvalidParameter: the conversation breaks a rule and cannot be mended without loss, or it asks for a feature that
            the model lacks.
    """
    conversation = arrange(request.messages, one_call_at_a_time=True)
    body, notes = build(replace(request, messages=()), _dialect(endpoint.takes))
    notes[:0] = conversation.notes
    del body["model"], body["messages"]
    _choose_function(body, notes)
    if "stop" in body:
        _stop(body, notes)
    if "max_output_tokens" in body:
        limit_tokens(body, "max_output_tokens", request, notes)
    _ask(body, conversation, endpoint, notes)
    return Encoded(dump(body), tuple(notes))


@cache
def _dialect(takes: frozenset[str]) -> Dialect:
    """What endpoints that take these fields are sent."""
    knobs = {ours: field for field, names in _FIELDS.items() if field in takes for ours in names}
    return replace(
        CHAT_COMPLETIONS,
        knobs=knobs,
        adapt={
            "temperature": clamp(LEAST_TEMPERATURE, 1),
            "top_p": clamp(0, 1),
            "repetition_penalty": clamp(1, 2),
            "frequency_penalty": clamp(-2, 2),
            "presence_penalty": clamp(-2, 2),
            "stop": at_most(_MOST_STOPS),
        },
        response_formats=frozenset({"text", "json_object"}),
        include_usage=False,  # it comes unasked, in every event
        amend=_amend,
    )


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    if body.get("temperature") == 0:  # of do_sample=false
        body["temperature"] = LEAST_TEMPERATURE
        notes.append(
            f"temperature 0 was sent as {LEAST_TEMPERATURE}, the least this provider takes"
        )
    form = body.get("response_format")
    if isinstance(form, Mapping) and request.params.response_format is not None:
        body["response_format"] = form["type"]
    if request.params.tools and "functions" in body:
        body["functions"] = [_function(tool) for tool in request.params.tools]


def _function(tool: Tool) -> dict[str, Any]:
    if tool.type != "function":
        raise InvalidParameter(
            f"this model takes functions as tools, not '{tool.type}'", param="tools"
        )
    return {
        "name": tool.name,
        "description": tool.description or tool.name,
        # A function without arguments has an object without properties; the vendor refuses one without parameters.
        "parameters": tool.parameters or {"type": "object", "properties": {}},
        **tool.body,
    }


def _choose_function(body: dict[str, Any], notes: Notes) -> None:
    """`tool_choice` as the vendor knows it: a named function, or nothing."""
    choice = body.get("tool_choice")
    if choice is None or isinstance(choice, Mapping):
        return
    del body["tool_choice"]
    if choice == "none":
        body.pop("functions", None)
    elif choice != "auto":
        functions = body.get("functions") or []
        if choice != "required" or len(functions) != 1:
            raise InvalidParameter(
                "this model can be told to call one named function, not any of several; name it in tool_choice",
                param="tool_choice",
            )
        name = functions[0]["name"]
        body["tool_choice"] = {"type": "function", "function": {"name": name}}
        notes.append("tool_choice 'required' was sent as the name of the only function")


def _stop(body: dict[str, Any], notes: Notes) -> None:
    fitting = [text for text in body["stop"] if len(text) <= _LONGEST_STOP]
    if len(fitting) < len(body["stop"]):
        notes.append(f"stop values of more than {_LONGEST_STOP} characters were left out")
    body["stop"] = fitting
    if not fitting:
        del body["stop"]


def limit_tokens(body: dict[str, Any], field: str, request: ChatRequest, notes: Notes) -> None:
    """Keep the longest answer within what the vendor takes: two tokens at least, what the card says at most."""
    most = request.card.max_output_tokens if request.card is not None else None
    wanted = body[field]
    fitting = max(_LEAST_TOKENS, wanted if most is None else min(wanted, most))
    if fitting != wanted:
        body[field] = fitting
        notes.append(f"max_tokens {wanted} was sent as {fitting}, the nearest this model takes")


# The shapes of a question.


def _ask(
    body: dict[str, Any], conversation: Conversation, endpoint: Endpoint, notes: Notes
) -> None:
    match endpoint.shape:
        case "query":
            body["query"] = _only_text(conversation, notes)
        case "prompt":
            body["prompt"] = _only_text(conversation, notes)
        case "picture":
            body["image"], text = _picture(conversation)
            body["prompt"] = _only_text(text, notes)
        case "plugins" if not body.get("plugins"):
            raise InvalidParameter(
                "this model works by plugins; name them in the parameter 'plugins', as [\"eChart\"]",
                param="plugins",
            )
        case _:
            body["messages"] = turns = [_message(turn) for turn in conversation.turns]
            if not conversation.system:
                return
            if "system" in endpoint.takes:
                body["system"] = conversation.system
            else:
                turns[0]["content"] = f"{conversation.system}\n\n{turns[0]['content']}"
                notes.append(
                    "the system text was put before the first message: this model takes none apart"
                )


def _picture(conversation: Conversation) -> tuple[str, Conversation]:
    """The picture of the last turn as bare base64, and the conversation without it."""
    last = conversation.turns[-1]
    parts = last.content if isinstance(last.content, tuple) else ()
    pictures = [part for part in parts if isinstance(part, ImagePart)]
    if len(pictures) != 1:
        raise InvalidParameter(
            f"this model answers about exactly one picture; found {len(pictures)}", param="messages"
        )
    head, _, data = pictures[0].url.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise InvalidParameter(
            "this provider takes pictures as 'data:image/…;base64,…', not by their address",
            param="messages",
        )
    rest = replace(last, content=tuple(part for part in parts if part is not pictures[0]))
    return data, conversation._replace(turns=(*conversation.turns[:-1], rest))


def _only_text(conversation: Conversation, notes: Notes) -> str:
    """The one text of a conversation of one turn."""
    if len(conversation.turns) != 1 or conversation.turns[0].role != "user":
        raise InvalidParameter(
            "this model takes one question and no history; send the last message alone",
            param="messages",
        )
    text = _text(conversation.turns[0])
    if not text.strip():
        raise InvalidParameter(
            "there is nothing to ask; expected a message of the user with text", param="messages"
        )
    if not conversation.system:
        return text
    notes.append("the system text was put before the question: this model takes none apart")
    return f"{conversation.system}\n\n{text}"


def _message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": _text(message)}
    if message.role == "tool":
        wire = {
            "role": "function",
            "name": message.name,
            "content": _json_text(_text(message)),
        }
    elif message.tool_calls:
        (call,) = message.tool_calls
        if not call.name:
            raise InvalidParameter("a tool call has no name", param="messages")
        wire["function_call"] = {"name": call.name, "arguments": call.arguments}
    for key, value in message.extra.items():
        wire.setdefault(key, value)
    return wire


def _text(message: Message) -> str:
    content = message.content
    if isinstance(content, tuple):
        for part in content:
            if not isinstance(part, TextPart):
                kind = type(part).__name__.removesuffix("Part").lower()
                raise InvalidParameter(f"this model takes no {kind} in messages", param="messages")
        return message.text
    return content or message.refusal or ""


def _json_text(text: str) -> str:
    """A function's result as the vendor wants it: text that is JSON."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return orjson.dumps({"result": text}).decode()
    return text
