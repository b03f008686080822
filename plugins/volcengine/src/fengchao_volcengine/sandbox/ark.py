"""Ark, as its stand-in: chat with models, bots and kept conversations, vectors, pictures, tokens."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from zlib import crc32

from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    SandboxDesk,
    Serving,
    answer_for,
    chat_dialect,
    count_tokens,
    deltas,
    draw,
    embedding,
    last_user_text,
    send_whole,
    shorten,
    tokenize,
)
from fengchao_core.types import ChatRequest, Usage
from fengchao_volcengine.sandbox.call import Call
from fengchao_volcengine.sandbox.checks import (
    card_of,
    check_chat,
    check_embeddings,
    check_image,
    check_model,
    check_parts,
    invalid,
)
from fengchao_volcengine.sandbox.kept import Contexts
from fengchao_volcengine.sandbox.refusals import Refusal, ark_error, ark_fault


class Ark:
    """
    What Ark answers.

    Args:
        desk: faults, and what was served.
        contexts: conversations that are kept.
    """

    def __init__(self, desk: SandboxDesk, contexts: Contexts) -> None:
        self._desk = desk
        self._contexts = contexts

    async def chat(self, call: Call) -> web.StreamResponse:
        """Chat with a model."""
        self._admit(call, is_bot=False)
        return await self._answer(call, chat_dialect.read_chat(call.body))

    async def bot_chat(self, call: Call) -> web.StreamResponse:
        """Chat with a bot, which searches the web first."""
        self._admit(call, is_bot=True)
        asked = chat_dialect.read_chat(call.body)
        query = last_user_text(asked.messages)
        found = {
            "url": "https://example.com/",
            "title": f"关于“{shorten(query, 40)}”的网页",
            "site_name": "示例网",
            "summary": f"这是沙箱为“{shorten(query, 40)}”找到的一段摘要。",
        }
        return await self._answer(call, asked, {"references": [found]})

    async def context_chat(self, call: Call) -> web.StreamResponse:
        """Chat on in a conversation that is kept."""
        self._admit(call, is_bot=False)
        context = self._contexts.find(call.body.get("context_id"), call.model)
        said = call.body.get("messages")
        before = [*context.messages]
        if isinstance(said, list):
            whole = {**call.body, "messages": [*before, *said]}
        else:
            whole = dict(call.body)
        asked = chat_dialect.read_chat(whole)
        response = await self._answer(call, asked, goes_on=True)
        if context.mode == "session" and isinstance(said, list):
            context.messages = [*before, *said, {"role": "assistant", "content": call.said}]
        return response

    async def embed(self, call: Call) -> web.StreamResponse:
        """Vectors of texts."""
        self._model(call, "embedding")
        texts, length = check_embeddings(call.body)
        data: list[object] = [
            {"object": "embedding", "index": at, "embedding": embedding(text, length)}
            for at, text in enumerate(texts)
        ]
        tokens = sum(count_tokens(text) for text in texts)
        return await self._vectors(call, texts[-1], data, tokens)

    async def embed_parts(self, call: Call) -> web.StreamResponse:
        """One vector of texts, pictures and films."""
        self._model(call, "embedding")
        parts, length = check_parts(call.body)
        text = " ".join(str(part.get("text", part.get("image_url", ""))) for part in parts)
        data = {"object": "embedding", "embedding": embedding(text, length)}
        return await self._vectors(call, text, data, count_tokens(text))

    async def draw(self, call: Call) -> web.StreamResponse:
        """A picture."""
        self._model(call, "image")
        prompt, width, height = check_image(call.body)
        faults = self._faults(prompt)
        seed = f"{crc32(prompt.encode()):08x}"
        picture: dict[str, object] = {"size": f"{width}x{height}"}
        if call.body.get("response_format") == "b64_json":
            picture["b64_json"] = base64.b64encode(draw(seed, width, height)).decode()
        else:
            path = f"/_sandbox/pictures/{seed}-{width}x{height}.png"
            picture["url"] = str(call.request.url.with_path(path))
        tokens = width * height // 256
        usage = {"generated_images": 1, "output_tokens": tokens, "total_tokens": tokens}
        answer = {
            "model": call.model,
            "created": int(time.time()),
            "data": [picture],
            "usage": usage,
        }
        with self._desk.served.serving(call.credential, call.model, 0) as serving:
            serving.complete(Usage(0, tokens))
            return await send_whole(call.request, answer, faults, serving)

    async def tokenize(self, call: Call) -> web.StreamResponse:
        """The tokens of texts."""
        self._model(call, "chat")
        given = call.body.get("text")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
            raise invalid("text")
        data = [
            {
                "object": "tokenization",
                "index": at,
                "total_tokens": len(tokens := tokenize(text)),
                "token_ids": [crc32(token.encode()) for token in tokens],
                "offset_mapping": _offsets(tokens),
            }
            for at, text in enumerate(texts)
        ]
        answer = {"object": "list", "id": call.id, "model": call.model, "created": int(time.time())}
        return web.json_response({**answer, "data": data})

    def _model(self, call: Call, kind: str) -> None:
        call.model = check_model(call.body, kind)  # type: ignore[arg-type]  # one of the kinds, as the callers have it
        if call.resource and call.resource != call.model:
            raise Refusal("AccessDenied")

    def _admit(self, call: Call, *, is_bot: bool) -> None:
        self._model(call, "chat")
        if call.model.startswith("bot-") != is_bot:
            raise Refusal("InvalidEndpointOrModel.NotFound")

    def _faults(self, prompt: str) -> Faults:
        """The faults that a prompt asks for; raises the one that comes before anything is generated."""
        faults = self._desk.faults(prompt)
        if faults.refusal is not None and faults.refusal_after is None:
            raise ark_fault(faults)
        return faults

    async def _answer(
        self,
        call: Call,
        asked: ChatRequest,
        more: Mapping[str, object] | None = None,
        *,
        goes_on: bool = False,
    ) -> web.StreamResponse:
        check_chat(call.body, asked, goes_on=goes_on)
        faults = self._faults(last_user_text(asked.messages))
        reply = answer_for(asked, think=_thinks(call))
        call.said = reply.choices[0].message.text or "……"
        head: dict[str, object] = {
            "id": call.id,
            "created": int(time.time()),
            "model": call.model,
            "service_tier": "default",
        }
        if more and call.model.startswith("bot-"):
            usage = {**chat_dialect.usage_body(reply.usage), "name": call.model}
            more = {**more, "bot_usage": {"model_usage": [usage], "action_usage": []}}
        prompt_tokens = reply.usage.prompt_tokens
        with self._desk.served.serving(call.credential, call.model, prompt_tokens) as serving:
            if asked.stream:
                return await _stream(call, reply, head, faults, serving, more or {})
            whole = {
                **head,
                "object": "chat.completion",
                "choices": [
                    {"logprobs": None, **choice} for choice in chat_dialect.choice_bodies(reply)
                ],
                "usage": chat_dialect.usage_body(reply.usage),
                **(more or {}),
            }
            headers = {"X-Request-Id": call.id}
            response = await send_whole(call.request, whole, faults, serving, headers=headers)
            if not serving.closed_by_client:
                serving.complete(reply.usage)
            return response

    async def _vectors(
        self, call: Call, text: str, data: object, tokens: int
    ) -> web.StreamResponse:
        faults = self._faults(text)
        answer = {
            "id": call.id,
            "object": "list",
            "created": int(time.time()),
            "model": call.model,
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        with self._desk.served.serving(call.credential, call.model, tokens) as serving:
            serving.complete(Usage(tokens))
            return await send_whole(call.request, answer, faults, serving)


async def _stream(  # noqa: PLR0917  # what one answer is made of
    call: Call,
    reply: Reply,
    head: Mapping[str, object],
    faults: Faults,
    serving: Serving,
    more: Mapping[str, object],
) -> web.StreamResponse:
    """The answer as events: the usage by itself after the end, where it was asked for."""

    def chunk(choices: list[object], **rest: object) -> dict[str, object]:
        return {
            **head,
            "object": "chat.completion.chunk",
            "choices": choices,
            "usage": None,
            **rest,
        }

    def choice(
        index: int, said: object, finish: str | None = None, logs: object = None
    ) -> dict[str, object]:
        logprobs = None if logs is None else {"content": logs}
        return {"index": index, "delta": said, "logprobs": logprobs, "finish_reason": finish}

    options = call.body.get("stream_options")
    wants_usage = isinstance(options, Mapping) and options.get("include_usage") is True
    headers = {"X-Request-Id": call.id}
    async with EventStream(call.request, faults, serving, headers=headers) as stream:
        if more:
            await stream.send(chunk([choice(0, {"role": "assistant", "content": ""})], **more))
        for delta in deltas(reply):
            if stream.refusal_is_due:
                if faults.refusal == "content_filter":
                    end = choice(0, {"content": ""}, "content_filter")
                    await stream.send(chunk([{**end, "moderation_hit_type": "severe_violation"}]))
                else:
                    await stream.send(ark_error(ark_fault(faults), call.id))
                break
            said = {"role": "assistant", "content": "", **chat_dialect.delta_body(delta)}
            await stream.send(
                chunk([choice(delta.index, said, delta.finish_reason, delta.logprobs)])
            )
            serving.sent(delta)
        else:
            serving.complete(reply.usage)
            if wants_usage:
                await stream.send(chunk([], usage=chat_dialect.usage_body(reply.usage)))
        await stream.send(b"[DONE]")
    return stream.response


def _thinks(call: Call) -> bool:
    """Whether the answer begins with thinking: a model that can does, unless it is told not to."""
    thinking = call.body.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind == "disabled" or call.body.get("reasoning_effort") == "minimal":
        return False
    card = card_of(call.model)
    return kind == "enabled" if card is None else "reasoning" in card.capabilities


def _offsets(tokens: list[str]) -> list[list[int]]:
    ends, at = [], 0
    for token in tokens:
        ends.append([at, at + len(token)])
        at += len(token)
    return ends
