"""
V2 on the wire: chat completions with the vendor's own rules. Pure.

Source: the vendor's API reference of text generation (3m7of64lb), its list of errors (Om9b4yj3w), and the recorded
requests of its SDK and of the `openai` client.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, PARTS, Dialect, Notes, clamp
from fengchao_core.types import ChatRequest, ImagePart, Message, TextPart, VideoPart
from fengchao_qianfan.turns import arrange
from fengchao_qianfan.v1_wire import LEAST_TEMPERATURE, limit_tokens

CHAT_PATH = "/chat/completions"
MODELS_PATH = "/models"


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    if "max_completion_tokens" in body:
        limit_tokens(body, "max_completion_tokens", request, notes)
    if body.get("temperature") == 0:  # of do_sample=false
        body["temperature"] = LEAST_TEMPERATURE
        notes.append(
            f"temperature 0 was sent as {LEAST_TEMPERATURE}, the least this provider takes"
        )


DIALECT = replace(
    CHAT_COMPLETIONS,
    knobs={
        **{
            name: name
            for name in (
                *("temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty"),
                *("tools", "tool_choice", "parallel_tool_calls", "response_format", "user"),
            )
        },
        "max_tokens": "max_completion_tokens",
        "repetition_penalty": "penalty_score",
    },
    adapt={
        "temperature": clamp(LEAST_TEMPERATURE, 1),
        "top_p": clamp(0, 1),
        "repetition_penalty": clamp(1, 2),
        "presence_penalty": clamp(-2, 2),
        "frequency_penalty": clamp(-2, 2),
    },
    roles={
        "system": "system",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
    },
    parts={part: PARTS[part] for part in (TextPart, ImagePart, VideoPart)},
    finish={**CHAT_COMPLETIONS.finish, "normal": "stop"},
    amend=_amend,
)
"""The dialect of V2."""

_SEARCHING: Dialect = replace(DIALECT, keep=("search_results",))


def dialect_for(request: ChatRequest) -> Dialect:
    """The dialect of a request: what a web search found is only looked for where one was asked for."""
    return _SEARCHING if "web_search" in request.params.extra else DIALECT


def arranged(request: ChatRequest) -> tuple[ChatRequest, tuple[str, ...]]:
    """
    A request whose conversation keeps to the vendor's rules, and notes on what was mended.

    Raises:
        InvalidParameter: it cannot be mended without loss.
    """
    conversation = arrange(request.messages, one_call_at_a_time=False)
    system = (Message("system", conversation.system),) if conversation.system else ()
    return replace(request, messages=(*system, *conversation.turns)), conversation.notes
