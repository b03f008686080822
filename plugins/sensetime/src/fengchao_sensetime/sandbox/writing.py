"""Replies in the vendor's shapes: its own, and those of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    Serving,
    chat_dialect,
    deltas,
    send_whole,
)
from fengchao_core.types import Choice, Delta, Usage
from fengchao_sensetime.sandbox.codes import ENDS, error_body, refusal_of

_WELL = {"code": 0, "message": "ok"}


@dataclass(frozen=True, slots=True)
class Native:
    """
    An answer in the vendor's own shape, to be written.

    Attributes:
        id: of the answer.
        reply: what is said.
        knowledge_tokens: that the vendor put into the prompt.
        beside: what stands beside the choices of a whole answer and of the last chunk.
        text_field: the name of a choice's text in a whole answer.
        is_flat: the one choice's fields stand under `data` itself.
    """

    id: str
    reply: Reply
    knowledge_tokens: int = 0
    beside: Mapping[str, object] | None = None
    text_field: str = "message"
    is_flat: bool = False

    @property
    def usage(self) -> Usage:
        """What a ledger must come to: knowledge belongs to the prompt."""
        usage = self.reply.usage
        return Usage(usage.prompt_tokens + self.knowledge_tokens, usage.completion_tokens)

    @property
    def usage_body(self) -> dict[str, int]:
        """The same as the vendor has it."""
        return {
            "prompt_tokens": self.reply.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "knowledge_tokens": self.knowledge_tokens,
            "total_tokens": self.usage.total_tokens,
        }

    def data(self, choices: list[dict[str, object]]) -> dict[str, object]:
        """What stands under `data`."""
        if self.is_flat and choices:
            return {"id": self.id, **{k: v for k, v in choices[0].items() if k != "index"}}
        return {"id": self.id, "choices": choices}


async def answer_native(
    request: web.Request, answer: Native, faults: Faults, serving: Serving, *, stream: bool
) -> web.StreamResponse:
    """Write an answer, with the faults that were asked for."""
    if stream:
        return await _stream_native(request, answer, faults, serving)
    choices = [_native_choice(choice, answer, faults.refusal) for choice in answer.reply.choices]
    data = {**answer.data(choices), "usage": answer.usage_body, **(answer.beside or {})}
    response = await send_whole(request, {"data": data}, faults, serving)
    if not serving.closed_by_client:
        serving.complete(answer.usage)
    return response


async def _stream_native(
    request: web.Request, answer: Native, faults: Faults, serving: Serving
) -> web.StreamResponse:
    """Events without a space after the colon, since the vendor's SDK knows no other end."""
    last = len(answer.reply.choices) - 1

    def event(choices: list[dict[str, object]], **more: object) -> bytes:
        return _event({"data": {**answer.data(choices), **more}, "status": _WELL})

    async with EventStream(request, faults, serving) as events:
        for delta in deltas(answer.reply, whole_tool_calls=True):
            if events.refusal_is_due and faults.refusal is not None:
                if faults.refusal not in ENDS:
                    refused = error_body(refusal_of(faults), is_native=True)
                    await events.send_raw(_event(refused))
                    return events.response
                end: dict[str, object] = {"index": 0, "role": "assistant", "delta": ""}
                end["finish_reason"] = faults.refusal
                await events.send_raw(event([end], usage=answer.usage_body))
                break
            choice = _native_delta(delta)
            if delta.finish_reason is not None and delta.index == last:
                more = {"usage": answer.usage_body, **(answer.beside or {})}
                await events.send_raw(event([choice], **more))
                serving.complete(answer.usage)
            else:
                await events.send_raw(event([choice]))
                serving.sent(delta)
        await events.send_raw(b"data:[DONE]\n\n")
    return events.response


def _native_choice(choice: Choice, answer: Native, end: str | None) -> dict[str, object]:
    message = choice.message
    body: dict[str, object] = {
        "index": choice.index,
        "role": "assistant",
        answer.text_field: message.text,
        "finish_reason": choice.finish_reason,
    }
    if end in ENDS:
        return {**body, answer.text_field: "", "finish_reason": end}
    if message.reasoning:
        body["reasoning_content"] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return body


def _native_delta(delta: Delta) -> dict[str, object]:
    body: dict[str, object] = {
        "index": delta.index,
        "role": "assistant",
        "delta": delta.text,
        "finish_reason": delta.finish_reason or "",
    }
    if delta.reasoning:
        body["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in delta.tool_calls
        ]
    return body


@dataclass(frozen=True, slots=True)
class Compatible:
    """
    An answer in chat completions, to be written.

    Attributes:
        head: what stands in each chunk.
        reply: what is said.
        reasoning_field: the name of the thinking.
        usage_in_stream: whether a chunk of its own tells the usage.
    """

    head: Mapping[str, object]
    reply: Reply
    reasoning_field: str
    usage_in_stream: bool


async def answer_compatible(
    request: web.Request, answer: Compatible, faults: Faults, serving: Serving, *, stream: bool
) -> web.StreamResponse:
    """Write an answer, with the faults that were asked for."""
    usage = chat_dialect.usage_body(answer.reply.usage)
    if stream:
        return await _stream_compatible(request, answer, usage, faults, serving)
    choices: list[dict[str, Any]] = chat_dialect.choice_bodies(answer.reply)
    for choice in choices:
        _rename(choice["message"], answer.reasoning_field)
        if faults.refusal in ENDS:
            choice["message"] = {"role": "assistant", "content": ""}
            choice["finish_reason"] = faults.refusal
    body = {**answer.head, "object": "chat.completion", "choices": choices, "usage": usage}
    response = await send_whole(request, body, faults, serving)
    if not serving.closed_by_client:
        serving.complete(answer.reply.usage)
    return response


async def _stream_compatible(
    request: web.Request,
    answer: Compatible,
    usage: Mapping[str, object],
    faults: Faults,
    serving: Serving,
) -> web.StreamResponse:
    head = {**answer.head, "object": "chat.completion.chunk"}
    async with EventStream(request, faults, serving) as events:
        for delta in deltas(answer.reply):
            finish: str | None = delta.finish_reason
            if events.refusal_is_due and faults.refusal is not None:
                if faults.refusal not in ENDS:
                    await events.send(error_body(refusal_of(faults), is_native=False))
                    return events.response
                delta, finish = Delta(), faults.refusal  # noqa: PLW2901  # the end comes in its place
            said = chat_dialect.delta_body(delta)
            _rename(said, answer.reasoning_field)
            choice = {
                "index": delta.index,
                "delta": {"role": "assistant", **said},
                "finish_reason": finish or "",
            }
            await events.send({**head, "choices": [choice]})
            serving.sent(delta)
            if finish in ENDS:
                break
        if answer.usage_in_stream:
            await events.send({**head, "choices": [], "usage": usage})
        if faults.refusal_after is None:
            serving.complete(answer.reply.usage)
        await events.send(b"[DONE]")
    return events.response


def _rename(message: dict[str, object], field: str) -> None:
    if (thinking := message.pop("reasoning_content", None)) is not None:
        message[field] = thinking


def _event(body: Mapping[str, object]) -> bytes:
    return b"data:" + orjson.dumps(body) + b"\n\n"
