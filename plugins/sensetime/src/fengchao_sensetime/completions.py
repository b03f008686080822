"""Text that the model goes on with, instead of a conversation. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fengchao_core.kit.openai_chat import Encoded, Notes, build, dump
from fengchao_core.types import ChatRequest
from fengchao_sensetime.wire import NATIVE

PATH = "/completions"


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    if NATIVE.amend is not None:
        NATIVE.amend(body, request, notes)
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) == 1:
        (body["stop"],) = stop  # the SDK has one text there


_DIALECT = replace(
    NATIVE,
    knobs={
        **{
            name: field
            for name, field in NATIVE.knobs.items()
            if name not in ("tools", "tool_choice")
        },
        "stop": "stop",
    },
    parts={},
    amend=_amend,
)


def encode(request: ChatRequest) -> Encoded:
    """
    A call for a completion.

    Args:
        request: its one message is the prompt.

    Raises:
        InvalidParameter: it asks for what the vendor has for chats only.
    """
    body, notes = build(request, _DIALECT)
    (message,) = body.pop("messages")
    return Encoded(dump({"prompt": message["content"], **body}), tuple(notes))
