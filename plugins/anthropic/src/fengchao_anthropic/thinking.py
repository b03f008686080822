"""
Thinking that must travel back: in a tool loop the vendor wants its thinking again, signed and unchanged.

An answer's deltas carry, in `extra["thinking_blocks"]`, one entry for each block of thinking: its signature and how
many characters of the reasoning are its own, `{"type": "thinking", "chars": 120, "signature": "…"}`, or a whole
`{"type": "redacted_thinking", "data": "…"}`. The text itself is left to `reasoning`, which the word filter sees. Who
continues the conversation puts the same list into the assistant message's `extra`, beside its `reasoning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import Message


def signed(chars: int, signature: str) -> dict[str, Any]:
    """The entry of a block of thinking that was `chars` characters long."""
    return {"type": "thinking", "chars": chars, "signature": signature}


def thinking_blocks(message: Message) -> list[dict[str, Any]]:
    """
    The blocks of thinking of an earlier answer; reasoning without a signature is left out, as the vendor takes none.

    Blocks that bring their own text (`{"type": "thinking", "thinking": "…", "signature": "…"}`) are taken as they are.

    Raises:
        InvalidParameter: the entries do not fit the message's reasoning.
    """
    entries = message.extra.get("thinking_blocks", ())
    if not isinstance(entries, list | tuple) or not all(isinstance(e, Mapping) for e in entries):
        raise InvalidParameter(
            "'thinking_blocks' of a message is not a list of objects", param="messages"
        )
    reasoning = message.reasoning or ""
    at = 0
    blocks: list[dict[str, Any]] = []
    for entry in entries:
        if entry.get("type") != "thinking" or isinstance(entry.get("thinking"), str):
            blocks.append(dict(entry))
            continue
        chars, signature = entry.get("chars"), entry.get("signature")
        if type(chars) is not int or chars < 0 or not isinstance(signature, str):
            raise _unfit()
        blocks.append(
            {"type": "thinking", "thinking": reasoning[at : at + chars], "signature": signature}
        )
        at += chars
        if at > len(reasoning):
            raise _unfit()
    return blocks


def _unfit() -> InvalidParameter:
    return InvalidParameter(
        "'thinking_blocks' of an assistant message does not fit its reasoning: "
        "send both back as they came with the answer",
        param="messages",
    )
