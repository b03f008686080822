"""
The wire of the legacy MaaS API, versions 1 and 2: a nested body, a single `choice`, increments called `message`.

Pure. Sources: the requests of the vendor's SDK (volcengine 1.0.229), recorded, its examples, and the types of its SDK for
Go. An answer is rewritten into the chat-completions dialect, whose decoder reads it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    Dialect,
    Encoded,
    Notes,
    build,
    clamp,
    dump,
)
from fengchao_core.types import ChatRequest
from fengchao_volcengine.maas_turns import turns
from fengchao_volcengine.wire import is_endpoint

CHAT = "/api/v1/chat"
TOKENIZATION = "/api/v1/tokenization"

_OUTER = ("user", "req_id", "crypto_token", "plugins", "extra")
"""Parameters that stand beside `parameters`; all others stand in it."""


def is_legacy(request: ChatRequest) -> bool:
    """Whether a request is for one of the Skylark models, by the vendor's name or by ours."""
    names = (request.model, "" if request.card is None else request.card.id)
    return any(name.lower().startswith("skylark") for name in names)


def path_of_endpoint(endpoint: str, action: str) -> str:
    """A path of version 2: `chat`, `tokenization`."""
    return f"/api/v2/endpoint/{quote(endpoint, safe='')}/{action}"


def encode_v1(request: ChatRequest) -> Encoded:
    """
    A request of version 1, whose model stands in the body.

    Raises:
        InvalidParameter: the vendor lacks a feature that is asked for.
    """
    body, notes = _parts(request, _V1)
    functions = [_function(tool) for tool in body.pop("tools", ())]
    body["messages"] = turns(request.messages, 1, notes)
    if functions:
        body["functions"] = functions
    return Encoded(dump({"model": model_of(request.model), **body}), tuple(notes))


def encode_v2(request: ChatRequest) -> Encoded:
    """
    A request of version 2, whose model is an endpoint in the path.

    Raises:
        InvalidParameter: the vendor lacks a feature that is asked for.
    """
    body, notes = _parts(request, _V2)
    body["messages"] = turns(request.messages, 2, notes)
    return Encoded(dump(body), tuple(notes))


def model_of(model: str) -> dict[str, str]:
    """How a model is named in version 1."""
    return {"endpoint_id": model} if is_endpoint(model) else {"name": model}


def rewrite(event: bytes) -> bytes:
    """
    An answer, or an event of one, as chat completions have it.

    `choice` becomes a list, a function call becomes a tool call, and an error whose number is 0 is none. What is not a
    JSON object is left as it is: the decoder knows what to make of it.
    """
    try:
        tree = orjson.loads(event)
    except orjson.JSONDecodeError:
        return event
    if not isinstance(tree, dict):
        return event
    error = tree.get("error")
    if isinstance(error, dict) and error.get("code_n") == 0:
        del tree["error"]
    if (choice := tree.pop("choice", None)) is not None:
        tree["choices"] = [choice]
    choices = tree.get("choices")
    for each in choices if isinstance(choices, list) else ():
        message = each.get("message") if isinstance(each, dict) else None
        if not isinstance(message, dict):
            continue
        call = message.pop("function_call", None)
        if isinstance(call, dict) and (call.get("name") or call.get("arguments")):
            message["tool_calls"] = [{"index": 0, "type": "function", "function": call}]
    return orjson.dumps(tree)


def _parts(request: ChatRequest, dialect: Dialect) -> tuple[dict[str, Any], Notes]:
    """Both versions' body without its messages, and what was adapted."""
    flat, notes = build(replace(request, messages=()), dialect)
    for name in ("model", "messages", "stream"):
        flat.pop(name, None)
    tools = flat.pop("tools", None)
    choice = flat.pop("tool_choice", "auto")
    if choice not in ("auto", "none"):
        raise InvalidParameter(
            "the legacy models only take tool_choice 'auto' or 'none'", param="tool_choice"
        )
    body: dict[str, Any] = {name: flat.pop(name) for name in _OUTER if name in flat}
    if tools and choice == "auto":
        body["tools"] = tools
    if flat:
        body["parameters"] = flat
    body["stream"] = request.stream  # the SDK always says it
    return body, notes


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise InvalidParameter("the legacy models only take functions as tools", param="tools")
    return {name: value for name, value in tool["function"].items() if name != "strict"}


_V1 = replace(
    CHAT_COMPLETIONS,
    knobs={
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "max_tokens": "max_new_tokens",
        "stop": "stop",
        "do_sample": "do_sample",
        "presence_penalty": "presence_penalty",
        "frequency_penalty": "frequency_penalty",
        "repetition_penalty": "repetition_penalty",
        "tools": "tools",
        "tool_choice": "tool_choice",
    },
    adapt={
        "temperature": clamp(0, 1),
        "top_p": clamp(0, 1),
        "top_k": clamp(0, 1000),
        "presence_penalty": clamp(-2, 2),
        "frequency_penalty": clamp(-2, 2),
        "repetition_penalty": clamp(1, 2),
    },
    include_usage=False,  # it comes unasked, with the finish reason
)
_V2 = replace(_V1, knobs={**_V1.knobs, "user": "user"})
