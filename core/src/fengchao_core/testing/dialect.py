"""What a vendor of the chat-completions dialect says, for plugins' tests."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from fengchao_core.types import Usage


def chat_frames(text: str, usage: Usage, *, piece: int = 2) -> list[bytes]:
    """The events of a stream in the chat-completions dialect: one role, pieces of text, an end, the usage, `[DONE]`."""
    head: dict[str, object] = {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "a-model",
    }

    def event(delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [
        event({"role": "assistant", "content": ""}),
        *(event({"content": text[at : at + piece]}) for at in range(0, len(text), piece)),
        event({}, "stop"),
        {**head, "choices": [], "usage": _usage_body(usage)},
    ]
    return [*(b"data: " + orjson.dumps(each) + b"\n\n" for each in events), b"data: [DONE]\n\n"]


def chat_body(text: str, usage: Usage) -> bytes:
    """A whole answer in the chat-completions dialect."""
    message = {"role": "assistant", "content": text}
    return orjson.dumps(
        {
            "id": "c-1",
            "object": "chat.completion",
            "created": 1,
            "model": "a-model",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _usage_body(usage),
        }
    )


def _usage_body(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
