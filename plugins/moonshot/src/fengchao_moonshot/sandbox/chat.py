"""Chat completions, whole and streamed, and the estimate of a prompt's length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Reply,
    SandboxDesk,
    answer_for,
    chat_dialect,
    count_tokens,
    deltas,
    last_user_text,
    prompt_tokens,
    send_whole,
)
from fengchao_core.types import (
    ChatRequest,
    Choice,
    Delta,
    ImagePart,
    Message,
    ModelCard,
    Tool,
    Usage,
    VideoPart,
)
from fengchao_moonshot.sandbox.call import Call
from fengchao_moonshot.sandbox.checks import Body, check_chat, is_thinking, thinks
from fengchao_moonshot.sandbox.files import Files
from fengchao_moonshot.sandbox.refusals import invalid, scripted

_SEARCH = Tool(
    name="$web_search",
    description="联网搜索 web search 新闻 news 最新 latest",
    parameters={
        "type": "object",
        "properties": {
            "search_result": {
                "type": "object",
                "properties": {"search_id": {"type": "string"}},
                "required": ["search_id"],
            },
            "usage": {
                "type": "object",
                "properties": {"total_tokens": {"type": "integer"}},
                "required": ["total_tokens"],
            },
        },
        "required": ["search_result", "usage"],
    },
)
"""The vendor's own function, as an answer needs it: with the arguments that it is called with."""


class Chat:
    """Answers chats. One object per stand-in."""

    def __init__(self, desk: SandboxDesk, files: Files) -> None:
        self._desk = desk
        self._files = files

    async def answer(
        self, call: Call, wire: Mapping[str, Any], card: ModelCard
    ) -> web.StreamResponse:
        """
        Answer one request.

        Raises:
            Refusal: it is not served.
        """
        body = check_chat(wire, card)
        asked = self._read(call, body)
        faults = self._desk.faults(last_user_text(asked.messages))
        if faults.refusal is not None and faults.refusal_after is None:
            raise scripted(faults)
        wanted = prompt_tokens(asked)
        if (window := card.max_input_tokens) is not None and (
            wanted + (asked.params.max_tokens or 0) > window
        ):
            raise invalid(f"Your request exceeded model token limit: {window}")
        reply = self._reply(asked, body, card)
        head = {
            "id": f"chatcmpl-{self._desk.next_id():024x}",
            "created": int(self._desk.clock.now().timestamp()),
            "model": card.id,
        }
        with self._desk.served.serving(
            call.credential, card.id, reply.usage.prompt_tokens
        ) as serving:
            if not asked.stream:
                serving.complete(reply.usage)
                whole = {
                    **head,
                    "object": "chat.completion",
                    "choices": chat_dialect.choice_bodies(reply),
                    "usage": _usage(reply.usage, card),
                }
                return await send_whole(call.request, whole, faults, serving)
            options = body.get("stream_options") or {}
            with_usage = is_thinking(card) and options.get("include_usage") is True
            async with EventStream(call.request, faults, serving) as stream:
                for event, delta in _chunks(head, reply, card, with_usage=with_usage):
                    if stream.refusal_is_due:
                        await stream.send(scripted(faults).body())
                        return stream.response
                    await stream.send(event)
                    if delta is not None:
                        serving.sent(delta)
                serving.complete(reply.usage)
                await stream.send(b"[DONE]")
            return stream.response

    def estimate(self, call: Call, wire: Mapping[str, Any], card: ModelCard) -> int:
        """How long a prompt is. Raises `Refusal`."""
        asked = self._read(call, check_chat(wire, card))
        faults = self._desk.faults(last_user_text(asked.messages))
        if faults.refusal is not None:
            raise scripted(faults)
        return prompt_tokens(asked)

    def _read(self, call: Call, body: Body) -> ChatRequest:
        asked = chat_dialect.read_chat(body)
        tools = tuple(
            _SEARCH if tool.type == "builtin_function" else tool for tool in asked.params.tools
        )
        return replace(
            asked,
            messages=tuple(self._with_media(call.credential, each) for each in asked.messages),
            params=replace(asked.params, tools=tools),
        )

    def _with_media(self, owner: str, message: Message) -> Message:
        if message.content is None or isinstance(message.content, str):
            return message
        parts = tuple(
            replace(part, url=self._files.data_url(owner, part.url))
            if isinstance(part, ImagePart | VideoPart)
            else part
            for part in message.content
        )
        return replace(message, content=parts)

    @staticmethod
    def _reply(asked: ChatRequest, body: Body, card: ModelCard) -> Reply:
        try:
            reply = answer_for(asked, think=thinks(body, card))
        except ValueError as error:
            raise invalid(f"unsupported image url: {error}") from error
        last = body["messages"][-1]
        prefix = asked.messages[-1].text if last.get("partial") else ""
        choices = tuple(_as_moonshot(choice, prefix) for choice in reply.choices)
        left_out = sum(
            count_tokens(old.message.text) - count_tokens(new.message.text)
            for old, new in zip(reply.choices, choices, strict=True)
        )
        usage = replace(reply.usage, completion_tokens=reply.usage.completion_tokens - left_out)
        return Reply(choices, usage)


def _as_moonshot(choice: Choice, prefix: str) -> Choice:
    """Calls numbered by their function, and a text that goes on where the prefix ends."""
    message = choice.message
    calls = tuple(
        replace(call, id=f"{call.name}:{index}") for index, call in enumerate(message.tool_calls)
    )
    content = message.content
    if isinstance(content, str) and prefix:
        content = content.removeprefix(prefix)
    return replace(choice, message=replace(message, content=content, tool_calls=calls))


def _chunks(
    head: Mapping[str, Any], reply: Reply, card: ModelCard, *, with_usage: bool
) -> Iterator[tuple[dict[str, Any], Delta | None]]:
    """The chunks of a stream, each with the delta it was made from. The usage stands in the last choice, too."""
    head = {**head, "object": "chat.completion.chunk"}
    usage = _usage(reply.usage, card)
    for choice in reply.choices:
        start = {"role": "assistant", "content": ""}
        yield (
            {**head, "choices": [{"index": choice.index, "delta": start, "finish_reason": None}]},
            None,
        )
    left = len(reply.choices)
    for delta in deltas(reply):
        shown: dict[str, Any] = {
            "index": delta.index,
            "delta": chat_dialect.delta_body(delta),
            "finish_reason": delta.finish_reason,
        }
        if delta.logprobs:
            shown["logprobs"] = {"content": list(delta.logprobs)}
        left -= delta.finish_reason is not None
        if not left:
            shown["usage"] = usage
        yield {**head, "choices": [shown]}, delta
    if with_usage:
        yield {**head, "choices": [], "usage": usage}, None


def _usage(usage: Usage, card: ModelCard) -> dict[str, Any]:
    """The older models have their cached tokens at the top, and no details."""
    body = chat_dialect.usage_body(usage)
    if is_thinking(card):
        return body
    sums = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {**{name: body[name] for name in sums}, "cached_tokens": usage.cached_tokens}
