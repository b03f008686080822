"""Chat completions, whole and streamed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Reply,
    SandboxDesk,
    answer_for,
    chat_dialect,
    deltas,
    last_user_text,
    prompt_tokens,
    send_whole,
)
from fengchao_core.types import ModelCard
from fengchao_openai.sandbox.call import Call
from fengchao_openai.sandbox.checks import Body, check_chat
from fengchao_openai.sandbox.refusals import Refusal, scripted, too_long


class Chat:
    """Answers chats. One object per emulator."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk

    async def answer(self, call: Call, body: Body, card: ModelCard) -> web.StreamResponse:
        """
        Answer one request whose fields were checked one by one.

        Raises:
            Refusal: it is not served.
        """
        check_chat(body)
        reasons = "reasoning" in card.capabilities
        if reasons and "max_tokens" in body:
            raise Refusal(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                "instead.",
                param="max_tokens",
                code="unsupported_parameter",
            )
        asked = chat_dialect.read_chat(body)
        faults = self._desk.faults(last_user_text(asked.messages))
        if faults.refusal is not None and faults.refusal_after is None:
            raise scripted(faults)
        wanted = prompt_tokens(asked)
        if card.max_input_tokens is not None and wanted > card.max_input_tokens:
            raise too_long(card.max_input_tokens, wanted)
        try:
            # OpenAI counts the thinking and does not show it.
            reply = answer_for(asked, think=reasons and body.get("reasoning_effort") != "none")
        except ValueError as error:
            raise Refusal(
                400, f"Invalid image: {error}.", param="messages", code="invalid_image"
            ) from error
        head = {
            "id": f"chatcmpl-{self._desk.next_id():029d}",
            "created": int(self._desk.clock.now().timestamp()),
            "model": asked.model,
            "system_fingerprint": "fp_sandbox",
        }
        request_id = {"x-request-id": call.id}
        with self._desk.served.serving(
            call.credential, asked.model, reply.usage.prompt_tokens
        ) as serving:
            if not asked.stream:
                serving.complete(reply.usage)
                return await send_whole(
                    call.request, _whole(head, reply), faults, serving, headers=request_id
                )
            options = body.get("stream_options") or {}
            with_usage = options.get("include_usage") is True
            async with EventStream(
                call.request,
                faults,
                serving,
                headers=request_id,
                content_type="text/event-stream; charset=utf-8",
            ) as stream:
                for event, delta in _chunks(head, reply, with_usage=with_usage):
                    if stream.refusal_is_due:
                        await stream.send(scripted(faults).body())
                        return stream.response
                    await stream.send(event)
                    if delta is not None:
                        serving.sent(delta)
                serving.complete(reply.usage)
                await stream.send(b"[DONE]")
            return stream.response


def _whole(head: dict[str, Any], reply: Reply) -> dict[str, Any]:
    choices = []
    for choice in chat_dialect.choice_bodies(reply):
        message: Any = choice["message"]
        shown = {"role": "assistant", "content": message["content"], "refusal": None}
        if calls := message.get("tool_calls"):
            shown["tool_calls"] = [
                {k: v for k, v in call.items() if k != "index"} for call in calls
            ]
        choices.append({"logprobs": None, **choice, "message": shown})
    return {
        **head,
        "object": "chat.completion",
        "choices": choices,
        "usage": chat_dialect.usage_body(reply.usage),
    }


def _chunks(head: dict[str, Any], reply: Reply, *, with_usage: bool) -> Any:
    """The chunks of a stream, each with the delta it was made from."""
    head = {**head, "object": "chat.completion.chunk", **({"usage": None} if with_usage else {})}

    def chunk(
        index: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**head, "choices": [choice]}

    for choice in reply.choices:
        content = None if choice.message.tool_calls else ""
        yield chunk(choice.index, {"role": "assistant", "content": content, "refusal": None}), None
    for delta in deltas(reply):
        if delta.reasoning:
            continue
        logprobs = {"content": list(delta.logprobs), "refusal": None} if delta.logprobs else None
        shown = chat_dialect.delta_body(replace(delta, reasoning=""))
        yield chunk(delta.index, shown, delta.finish_reason, logprobs), delta
    if with_usage:
        yield {**head, "choices": [], "usage": chat_dialect.usage_body(reply.usage)}, None
