"""A reply in the vendor's shapes: as one message, and as the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fengchao_anthropic.sandbox.reading import signature_of
from fengchao_core.kit.sandbox import Reply, deltas
from fengchao_core.types import Delta, FinishReason, Usage

REFUSED: Mapping[str, object] = {
    "type": "refusal",
    "category": "general_harms",
    "explanation": "The sandbox was told to refuse.",
}
"""The `stop_details` of an answer that the vendor's safety ended."""

_REASONS: Mapping[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer ready to be written.

    Attributes:
        stop_sequence: the text that ended it, where one did.
        shows_thinking: whether thinking comes with its text, or only with its signature.
        cached: input tokens that were read from the prompt cache.
        written: input tokens that were written to it.
        wants_details: the model thinks, so its usage tells of it.
    """

    id: str
    model: str
    reply: Reply
    stop_sequence: str | None = None
    shows_thinking: bool = True
    cached: int = 0
    written: int = 0
    wants_details: bool = False

    @property
    def stop(self) -> dict[str, object]:
        """Why it ended."""
        reason = _REASONS[self.reply.choices[0].finish_reason]
        if self.stop_sequence is not None:
            reason = "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": self.stop_sequence}

    def usage(self, usage: Usage, output: int) -> dict[str, object]:
        """The counts of input, and of so much output."""
        told: dict[str, object] = {
            "input_tokens": usage.prompt_tokens - self.cached - self.written,
            "output_tokens": output,
            "cache_creation_input_tokens": self.written,
            "cache_read_input_tokens": self.cached,
            "service_tier": "standard",
        }
        if self.wants_details and output > 1:
            told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
        return told


def message_body(answer: Answer) -> dict[str, object]:
    """The whole answer as one message."""
    message = answer.reply.choices[0].message
    content: list[dict[str, object]] = []
    if message.reasoning:
        content.append(_thinking(message.reasoning, shown=answer.shows_thinking))
    if message.text:
        content.append({"type": "text", "text": message.text, "citations": None})
    content += [
        {
            "type": "tool_use",
            "id": tool_id(call.id),
            "name": call.name,
            "input": orjson.loads(call.arguments),
        }
        for call in message.tool_calls
    ]
    usage = answer.reply.usage
    return {
        **_head(answer),
        "content": content,
        **answer.stop,
        "usage": answer.usage(usage, usage.completion_tokens),
    }


def refused_body(answer: Answer) -> dict[str, object]:
    """A message that the vendor's safety ended before its first word."""
    return {
        **_head(answer),
        "content": [],
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": REFUSED,
        "usage": answer.usage(answer.reply.usage, 1),
    }


def start_event(answer: Answer) -> Event:
    """The first event."""
    message = {
        **_head(answer),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": answer.usage(answer.reply.usage, 1),
    }
    return {"type": "message_start", "message": message}


def end_events(answer: Answer, *, refused: bool = False) -> Iterator[Event]:
    """The last two events."""
    usage = answer.reply.usage
    stop: dict[str, object] = answer.stop
    if refused:
        stop = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": REFUSED}
    yield {
        "type": "message_delta",
        "delta": stop,
        "usage": answer.usage(usage, usage.completion_tokens),
    }
    yield {"type": "message_stop"}


class Blocks:
    """
    Turns deltas into the events of content blocks, one block at a time.

    `events` gives those of a delta, `close` those that end the block under way.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._index = -1
        self._kind = ""
        self._thought = ""

    def deltas(self) -> Iterator[Delta]:
        """The deltas of the answer, but for the one that only ends it."""
        return (delta for delta in deltas(self._answer.reply) if delta.finish_reason is None)

    def events(self, delta: Delta) -> Iterator[Event]:
        """The events of one delta."""
        if delta.reasoning:
            yield from self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            if self._answer.shows_thinking:
                self._thought += delta.reasoning
                yield self._delta({"type": "thinking_delta", "thinking": delta.reasoning})
        if delta.text:
            yield from self._open("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": delta.text})
        for fragment in delta.tool_calls:
            if fragment.id is not None:
                yield from self.close()
                yield from self._open(
                    "tool_use",
                    {
                        "type": "tool_use",
                        "id": tool_id(fragment.id),
                        "name": fragment.name,
                        "input": {},
                    },
                )
            yield self._delta({"type": "input_json_delta", "partial_json": fragment.arguments})

    def close(self) -> Iterator[Event]:
        """End the block under way, if one is."""
        if not self._kind:
            return
        if self._kind == "thinking":
            yield self._delta({"type": "signature_delta", "signature": signature_of(self._thought)})
        yield {"type": "content_block_stop", "index": self._index}
        self._kind = ""

    def _open(self, kind: str, block: Mapping[str, object]) -> Iterator[Event]:
        if kind == self._kind:
            return
        yield from self.close()
        self._kind = kind
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}
        if self._index == 0:
            yield {"type": "ping"}

    def _delta(self, delta: Mapping[str, object]) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def tool_id(call_id: str) -> str:
    """An id of a call as this vendor makes them."""
    return "toolu_" + call_id.removeprefix("call_")


def _head(answer: Answer) -> dict[str, object]:
    return {"id": answer.id, "type": "message", "role": "assistant", "model": answer.model}


def _thinking(thought: str, *, shown: bool) -> dict[str, object]:
    text = thought if shown else ""
    return {"type": "thinking", "thinking": text, "signature": signature_of(text)}
