"""
Spark over WebSocket: the one frame that asks. Pure; `frames.py` reads what comes back.

Source: the vendor's Web.html and ImageUnderstanding.html in copies of 2024 and 2025, and the recorded frames of its SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import Encoded, Notes, dump
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    ResponseFormat,
    Tool,
)
from fengchao_spark.endpoints import Endpoint
from fengchao_spark.messages import lacks, turns

LOWEST_TEMPERATURE = 0.01
"""What a temperature of 0 is sent as: the vendor wants more than 0."""

MAX_UID_CHARS = 32

_TOP_K = (1, 6)
_DROPPED = (
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "parallel_tool_calls",
    "reasoning_effort",
)
"""Knobs that the vendor lacks and an answer does without; each is noted."""

_SAYS_NOTHING: Mapping[str, tuple[object, ...]] = {
    "repetition_penalty": (1.0,),
    "parallel_tool_calls": (False,),  # the vendor makes one call at a time anyway
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "response_format": (ResponseFormat(),),
}
"""Values that say no more than leaving the knob out."""


def encode(request: ChatRequest, endpoint: Endpoint, app_id: str, *, patch_id: str = "") -> Encoded:
    """
    The frame that asks.

    Args:
        patch_id: of a fine-tuned model: its resource; `patch_id` in `extra` outranks it.

    Raises:
        InvalidParameter: the request asks for a feature that the vendor or the model lacks.
    """
    notes: Notes = []
    params = request.params
    header: dict[str, Any] = {"app_id": app_id}
    if params.user:
        header["uid"] = _uid(params.user, notes)
    chat: dict[str, Any] = {"domain": endpoint.domain}
    _knobs(params, endpoint, chat, notes)
    functions = _tools(params, endpoint, chat)
    for key, value in params.extra.items():
        if key == "domain":
            notes.append("the extra parameter 'domain' was left out: the model's name decides it")
        elif key == "patch_id":
            patch_id = str(value)
        else:
            chat[key] = value
    if patch_id:
        header["patch_id"] = [patch_id]
    payload: dict[str, Any] = {"message": {"text": turns(request.messages, endpoint, notes)}}
    if functions:
        payload["functions"] = {"text": functions}
    frame = {"header": header, "parameter": {"chat": chat}, "payload": payload}
    return Encoded(dump(frame), tuple(notes))


def _uid(user: str, notes: Notes) -> str:
    if len(user) <= MAX_UID_CHARS:
        return user
    notes.append(f"user was sent as its hash: this provider takes {MAX_UID_CHARS} characters")
    return sha256(user.encode("utf-8", "surrogatepass")).hexdigest()[:MAX_UID_CHARS]


def _knobs(params: ChatParams, endpoint: Endpoint, chat: dict[str, Any], notes: Notes) -> None:
    temperature, top_k = params.temperature, params.top_k
    if params.do_sample is False:
        temperature, top_k = LOWEST_TEMPERATURE, 1
        notes.append(
            f"do_sample=false was sent as temperature {LOWEST_TEMPERATURE} and top_k 1, "
            "which this provider takes instead"
        )
    if temperature is not None:
        most = endpoint.max_temperature
        chat["temperature"] = _within("temperature", temperature, LOWEST_TEMPERATURE, most, notes)
    if top_k is not None:
        chat["top_k"] = _within("top_k", top_k, *_TOP_K, notes)
    if params.max_tokens is not None:
        longest = endpoint.max_tokens or params.max_tokens
        chat["max_tokens"] = _within("max_tokens", params.max_tokens, 1, longest, notes)
    for name in ("n", "logprobs", "top_logprobs", "response_format"):
        value = getattr(params, name)
        if value is not None and value not in _SAYS_NOTHING[name]:
            raise InvalidParameter(
                f"this provider's WebSocket API has no '{name}'"
                + ("; its HTTP API has: set api = 'http'" if name == "response_format" else ""),
                param=name,
            )
    for name in _DROPPED:
        value = getattr(params, name)
        if value not in (None, (), *_SAYS_NOTHING.get(name, ())):
            notes.append(f"{name} was left out: this provider has no such parameter")


def _within(name: str, value: float, low: float, high: float, notes: Notes) -> float:
    # The vendor's temperatures are above 0 without a lowest one: what lies between 0 and ours goes as it is.
    is_high_enough = value > 0 if name == "temperature" else value >= low
    if is_high_enough and value <= high:
        return value
    nearest = low if value < low else high
    notes.append(f"{name} {value} was sent as {nearest}, the nearest this provider takes")
    return nearest


def _tools(params: ChatParams, endpoint: Endpoint, chat: dict[str, Any]) -> list[dict[str, object]]:
    """The functions to offer; the built-in tools go into `chat`."""
    if params.tool_choice not in (None, "auto", "none"):
        raise InvalidParameter(
            "this provider only takes tool_choice 'auto' or 'none'", param="tool_choice"
        )
    if params.tool_choice == "none":
        return []  # the vendor has no word for it; without tools none can be called
    functions: list[dict[str, object]] = []
    for tool in params.tools:
        if tool.type == "function":
            if not endpoint.takes_functions:
                raise lacks(endpoint, "functions", "tools")
            functions.append(_function(tool))
        elif tool.type == "web_search":
            if not endpoint.takes_search:
                raise lacks(endpoint, "web search", "tools")
            chat.setdefault("tools", []).append({"type": tool.type, **tool.body})
        else:
            raise InvalidParameter(
                f"this provider takes tools of type 'function' and 'web_search', not '{tool.type}'",
                param="tools",
            )
    return functions


def _function(tool: Tool) -> dict[str, object]:
    given = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {key: value for key, value in given.items() if value is not None}
