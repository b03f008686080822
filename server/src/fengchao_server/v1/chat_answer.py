"""
Answers of `POST /v1/chat/completions`: whole ones, and chunks of a stream.

A text delta, of which a stream has one per token, is worded by joining three byte strings; everything rarer goes
through a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from fengchao_core.exchange import Exchange
from fengchao_core.types import Choice, Completion, Delta, ToolCall, ToolCallFragment, Usage

DONE: Final = b"data: [DONE]\n\n"

# Some clients split a stream at these as well; inside JSON they may be written as escapes.
_LINE_ENDS: Final = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)
_OURS: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "error"})


def whole(completion: Completion, request_id: str) -> bytes:
    """A `chat.completion`."""
    body: dict[str, Any] = {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": int(completion.created),
        "model": completion.model,
        "choices": [_choice(choice) for choice in completion.choices],
        "usage": usage_of(completion.usage),
    }
    if completion.extra:
        body |= _foreign(completion.extra)
    return orjson.dumps(body)


def usage_of(usage: Usage) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


class Chunks:
    """
    Words the deltas of one stream as chunks.

    Args:
        include_usage: the caller wants the usage in a chunk of its own at the end.
    """

    def __init__(self, exchange: Exchange, request_id: str, *, include_usage: bool) -> None:
        self._exchange = exchange
        self._include_usage = include_usage
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": int(exchange.created),
            "model": exchange.model,
        }
        head = orjson.dumps(self._head)[:-1]
        self._before = b'data: %b,"choices":[{"index":0,"delta":{"content":' % head
        self._after = b'},"logprobs":null,"finish_reason":null}]%b}\n\n' % (
            b',"usage":null' if include_usage else b""
        )
        self._begun: set[int] = set()

    def word(self, batch: Sequence[Delta]) -> bytes:
        """The chunks of a batch as server-sent events; empty where it says nothing to the caller."""
        events: list[bytes] = []
        for delta in batch:
            if delta.text and not (
                delta.index
                or delta.reasoning
                or delta.tool_calls
                or delta.finish_reason
                or delta.refusal
                or delta.logprobs
                or delta.extra
            ):
                if 0 not in self._begun:
                    events.append(self._begin(0))
                data = orjson.dumps(delta.text)
                events += (
                    self._before,
                    data if delta.text.isascii() else _escaped(data),
                    self._after,
                )
            else:
                self._rare(delta, events)
        return b"".join(events)

    def end(self) -> bytes:
        """What ends a stream that came to its good end."""
        if not self._include_usage:
            return DONE
        body = {**self._head, "choices": [], "usage": usage_of(self._exchange.usage)}
        return b"data: %b\n\n%b" % (orjson.dumps(body), DONE)

    def _begin(self, index: int) -> bytes:
        self._begun.add(index)
        return self._event(index, {"role": "assistant", "content": ""})

    def _rare(self, delta: Delta, events: list[bytes]) -> None:
        said: dict[str, Any] = {}
        if delta.reasoning:
            said["reasoning_content"] = delta.reasoning
        if delta.text:
            said["content"] = delta.text
        if delta.refusal:
            said["refusal"] = delta.refusal
        if delta.tool_calls:
            said["tool_calls"] = [_fragment(fragment) for fragment in delta.tool_calls]
        if not (said or delta.finish_reason or delta.logprobs or delta.extra):
            return
        if delta.index not in self._begun:
            events.append(self._begin(delta.index))
        if said or delta.logprobs or delta.extra:
            events.append(
                self._event(delta.index, said, logprobs=delta.logprobs, extra=delta.extra)
            )
        if delta.finish_reason:
            events.append(self._event(delta.index, {}, finish_reason=delta.finish_reason))

    def _event(
        self,
        index: int,
        said: Mapping[str, Any],
        *,
        finish_reason: str | None = None,
        logprobs: Sequence[object] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> bytes:
        body = {
            **self._head,
            "choices": [
                {
                    "index": index,
                    "delta": said,
                    "logprobs": _logprobs(logprobs),
                    "finish_reason": finish_reason,
                }
            ],
        }
        if self._include_usage:
            body["usage"] = None
        if extra:
            body |= _foreign(extra)
        return b"data: %b\n\n" % _escaped(orjson.dumps(body))


def _escaped(data: bytes) -> bytes:
    """JSON without the characters at which some clients split a stream."""
    for raw, escaped in _LINE_ENDS:
        if raw in data:
            data = data.replace(raw, escaped)
    return data


def _choice(choice: Choice) -> dict[str, Any]:
    message = choice.message
    said: dict[str, Any] = {
        "role": "assistant",
        "content": message.content,
        "refusal": message.refusal,
    }
    if message.reasoning:
        said["reasoning_content"] = message.reasoning
    if message.tool_calls:
        said["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    return {
        "index": choice.index,
        "message": said,
        "logprobs": _logprobs(choice.logprobs),
        "finish_reason": choice.finish_reason,
    }


def _logprobs(logprobs: Sequence[object] | None) -> dict[str, Any] | None:
    return {"content": list(logprobs), "refusal": None} if logprobs else None


def _tool_call(call: ToolCall) -> dict[str, Any]:
    if call.type == "custom":
        return {
            "id": call.id,
            "type": "custom",
            "custom": {"name": call.name, "input": call.arguments},
        }
    return {
        "id": call.id,
        "type": call.type,
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _fragment(fragment: ToolCallFragment) -> dict[str, Any]:
    """Id and name once, at the start of a call: clients append what they get."""
    key, argument = ("custom", "input") if fragment.type == "custom" else ("function", "arguments")
    inner: dict[str, Any] = {argument: fragment.arguments}
    if fragment.name is not None:
        inner["name"] = fragment.name
    said: dict[str, Any] = {"index": fragment.index, key: inner}
    if fragment.id is not None:
        said |= {"id": fragment.id, "type": fragment.type}
    return said


def _foreign(extra: Mapping[str, object]) -> dict[str, object]:
    """What only the vendor knows, beside our own fields and never over them."""
    return {key: value for key, value in extra.items() if key not in _OURS}
