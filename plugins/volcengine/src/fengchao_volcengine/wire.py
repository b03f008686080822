"""
Ark's wire: chat completions with the vendor's own rules, and which path a request takes.

Pure. Sources: the requests of the vendor's SDK (volcengine-python-sdk 5.0.54), recorded, and its types.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    OPENAI_KNOBS,
    PARTS,
    Dialect,
    Notes,
    at_most,
    clamp,
)
from fengchao_core.types import AudioPart, ChatRequest, ImagePart, TextPart, VideoPart

CHAT = "/chat/completions"
BOT_CHAT = "/bots/chat/completions"
CONTEXT_CHAT = "/context/chat/completions"

_EFFORTS = ("minimal", "low", "medium", "high")


def is_endpoint(model: str) -> bool:
    """Whether a model's name is the id of an inference endpoint."""
    return model.startswith("ep-")


def is_bot(model: str) -> bool:
    """Whether a model's name is the id of a bot."""
    return model.startswith("bot-")


def path_for(request: ChatRequest) -> str:
    """Where a request goes: bots and conversations that the vendor keeps have paths of their own."""
    if is_bot(request.model):
        return BOT_CHAT
    return CONTEXT_CHAT if "context_id" in request.params.extra else CHAT


def dialect_for(model: str) -> Dialect:
    """The dialect of a model, by the vendor's name of it."""
    return _BOTS if is_bot(model) else _MODELS


def _image(part: ImagePart) -> dict[str, Any]:
    # The vendor knows auto, low and high, and refuses anything else.
    return PARTS[ImagePart](replace(part, detail="high") if part.detail == "original" else part)


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    effort = body.get("reasoning_effort")
    if effort is None or request.params.reasoning_effort != effort:
        return  # none was asked for, or `extra` has the last word
    if request.card is not None and "reasoning" not in request.card.capabilities:
        del body["reasoning_effort"]
        notes.append("reasoning_effort was left out: this model does not think")
    elif effort == "none":
        del body["reasoning_effort"]
        body.setdefault("thinking", {"type": "disabled"})
        notes.append("reasoning_effort 'none' was sent as thinking 'disabled'")
    elif effort not in _EFFORTS:
        body["reasoning_effort"] = "high"
        notes.append(
            f"reasoning_effort '{effort}' was sent as 'high', the most this provider knows"
        )


_MODELS = replace(
    CHAT_COMPLETIONS,
    # The SDK knows no seed.
    knobs={
        **{name: field for name, field in OPENAI_KNOBS.items() if name != "seed"},
        "repetition_penalty": "repetition_penalty",
    },
    adapt={
        "temperature": clamp(0, 2),
        "top_p": clamp(0, 1),
        "presence_penalty": clamp(-2, 2),
        "frequency_penalty": clamp(-2, 2),
        "top_logprobs": clamp(0, 20),
        "stop": at_most(4),
    },
    roles={**CHAT_COMPLETIONS.roles, "developer": "system"},
    parts={
        TextPart: PARTS[TextPart],
        ImagePart: _image,
        VideoPart: PARTS[VideoPart],
        AudioPart: PARTS[AudioPart],
    },
    amend=_amend,
    reasoning_fields=("reasoning_content",),
    keep_message=("encrypted_content",),
)
_BOTS = replace(_MODELS, keep=("references", "bot_usage", "metadata"))
