"""Chat in the vendor's shapes: whole, as a task's result, and as events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    Serving,
    answer_for,
    chat_dialect,
    deltas,
    last_user_text,
)
from fengchao_core.types import ChatRequest
from fengchao_zhipu.sandbox.search import pages

BAD_ENDS = ("sensitive", "network_error")
"""Finish reasons that a prompt may ask for."""


def reply_to(asked: ChatRequest, body: Mapping[str, object]) -> Reply:
    """What the model says."""
    reply = answer_for(asked, think=_thinks(asked.model, body))
    return _in_text(reply) if asked.model.startswith("glm-z1") else reply


def whole_body(
    asked: ChatRequest, reply: Reply, head: Mapping[str, object], faults: Faults
) -> dict[str, object]:
    """An answer in one piece."""
    whole: dict[str, object] = {
        **head,
        "request_id": asked.request_id or head["id"],
        "choices": _choices(reply, faults.refusal),
        "usage": chat_dialect.usage_body(reply.usage),
        **_search_results(asked),
    }
    if faults.refusal == "sensitive":
        whole["content_filter"] = [{"role": "assistant", "level": 0}]
    return whole


async def stream(
    request: web.Request,
    reply: Reply,
    head: Mapping[str, object],
    faults: Faults,
    serving: Serving,
) -> web.StreamResponse:
    """The answer as events: the role in each, calls whole, the usage with the finish reason."""

    def chunk(said: Mapping[str, object], **more: object) -> dict[str, object]:
        choice = {"index": 0, "delta": {"role": "assistant", **said}}
        usage = more.pop("usage", None)
        whole = {**head, "choices": [{**choice, **more}]}
        return whole if usage is None else {**whole, "usage": usage}

    usage = chat_dialect.usage_body(reply.usage)
    calls: list[object] = []
    async with EventStream(request, faults, serving) as events:
        for delta in deltas(reply, whole_tool_calls=True):
            if events.refusal_is_due and faults.refusal is not None:
                end = faults.refusal if faults.refusal in BAD_ENDS else "network_error"
                await events.send(chunk({"content": ""}, finish_reason=end, usage=usage))
                break
            if delta.finish_reason is not None:
                last = {"tool_calls": calls} if calls else {"content": ""}
                await events.send(chunk(last, finish_reason=delta.finish_reason, usage=usage))
                serving.complete(reply.usage)
            elif delta.tool_calls:
                calls += [
                    {
                        "id": call.id,
                        "index": call.index,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                    for call in delta.tool_calls
                ]
            else:
                await events.send(chunk(chat_dialect.delta_body(delta)))
                serving.sent(delta)
        await events.send(b"[DONE]")
    return events.response


def _choices(reply: Reply, end: str | None) -> list[dict[str, object]]:
    choices = chat_dialect.choice_bodies(reply)
    for choice in choices:
        if end in BAD_ENDS:
            choice["finish_reason"] = end
            choice["message"] = {"role": "assistant", "content": ""}
    return choices


def _thinks(model: str, body: Mapping[str, object]) -> bool:
    """Whether a model shows its thinking: those that can be told to unless they are told not to."""
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        return False
    return model.startswith(("glm-4.5", "glm-4.6", "glm-4.7", "glm-4.1v", "glm-z1"))


def _in_text(reply: Reply) -> Reply:
    """The thinking in the text itself, as glm-z1 has it."""
    choices = tuple(
        replace(
            choice,
            message=replace(
                choice.message,
                content=f"<think>\n{choice.message.reasoning}</think>\n{choice.message.text}",
                reasoning=None,
            ),
        )
        for choice in reply.choices
    )
    return replace(reply, choices=choices)


def _search_results(asked: ChatRequest) -> dict[str, object]:
    """What a web search found, where one was asked for with its results; knowledge retrieval silences it."""
    tools = {tool.type: tool.body for tool in asked.params.tools}
    search = tools.get("web_search")
    if search is None or "retrieval" in tools:
        return {}
    if search.get("enable") is not True or search.get("search_result") is not True:
        return {}
    query = str(search.get("search_query") or last_user_text(asked.messages))
    return {"web_search": pages(query)}
