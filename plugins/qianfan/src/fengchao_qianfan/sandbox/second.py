"""The second generation of the API, as the stand-in serves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
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
    embedding,
    last_user_text,
    send_whole,
    shorten,
)
from fengchao_core.types import ChatRequest
from fengchao_qianfan.sandbox import v2_checks
from fengchao_qianfan.sandbox.clerk import Clerk, ranking
from fengchao_qianfan.sandbox.refusals import V2_CODES, RefusedError

_DIMENSIONS = {"embedding-v1": 384, "bge-large-zh": 1024, "bge-large-en": 1024, "tao-8k": 1024}
_BY_FAULT: Mapping[str, str] = {
    "401": "invalid_iam_token",
    "expired_token": "invalid_iam_token",
    "429": "rpm_rate_limit_exceeded",
    "500": "internal_error",
    "503": "dispatch_internal_error",
    "overloaded": "dispatch_internal_error",
    "arrears": "no_parameter_permission",
    "too_long": "tokens_too_long",
}
_UNSAFE = "content_filter"


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer to be streamed; `told` is what it holds besides its text."""

    reply: Reply
    head: Mapping[str, object]
    told: Mapping[str, object]
    wants_usage: bool


class SecondGeneration:
    """The handlers of V2. Each is given who asks and the body, checked to be an object."""

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk
        self._clerk = Clerk(desk)

    async def chat(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Chats."""
        asked = chat_dialect.read_chat(body)
        v2_checks.check_chat(body, asked)
        faults = self._faults(last_user_text(asked.messages))
        thinks = "reasoning" in v2_checks.CARDS[asked.model].capabilities
        reply = answer_for(asked, think=thinks)
        head = {**self._clerk.head("chat.completion"), "model": asked.model}
        told = _found(asked, body)
        tokens = reply.usage.prompt_tokens
        with self._desk.served.serving(who, asked.model, tokens) as serving:
            if asked.stream:
                options = body.get("stream_options")
                wants_usage = isinstance(options, dict) and options.get("include_usage") is True
                answer = _Answer(reply, head, told, wants_usage)
                return await _stream(request, answer, faults, serving)
            choices = [_whole(choice, faults) for choice in chat_dialect.choice_bodies(reply)]
            whole = {
                **head,
                "choices": choices,
                "usage": chat_dialect.usage_body(reply.usage),
                **told,
            }
            response = await send_whole(request, whole, faults, serving)
            if not serving.closed_by_client:
                serving.complete(reply.usage)
            return response

    async def embed(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Vectors."""
        model = v2_checks.model_of(body, "embedding")
        texts = body.get("input")
        most = 1 if model == "tao-8k" else 16
        if not isinstance(texts, list) or not 1 <= len(texts) <= most:
            raise RefusedError("invalid_argument", "input is invalid")
        if not all(isinstance(text, str) and text for text in texts):
            raise RefusedError("invalid_argument", "input is invalid")
        if body.get("encoding_format", "float") != "float":
            raise RefusedError("invalid_argument", "encoding_format is invalid")
        faults = self._faults(texts[-1])
        tokens = sum(count_tokens(text) for text in texts)
        data = [
            {"object": "embedding", "embedding": embedding(text, _DIMENSIONS[model]), "index": at}
            for at, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {
            **self._clerk.head("embedding_list"),
            "model": model,
            "data": data,
            "usage": usage,
        }
        return await self._clerk.serve(
            request, answer, who=who, model=model, tokens=tokens, faults=faults
        )

    async def draw(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Pictures, by their address."""
        model, prompt, count, width, height = v2_checks.check_picture(body)
        faults = self._faults(prompt)
        if faults.refusal == _UNSAFE:
            raise RefusedError("invalid_image_genration_prompt")
        urls = []
        for number in range(count):
            seed = crc32(f"{prompt}{number}".encode())
            path = f"/_sandbox/pictures/{seed:08x}-{width}x{height}.png"
            urls.append({"url": str(request.url.with_path(path))})
        answer = {**self._clerk.head("image"), "data": urls}
        return await self._clerk.serve(
            request, answer, who=who, model=model, tokens=count_tokens(prompt), faults=faults
        )

    async def rank(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """A ranking of documents."""
        if body.get("model") != v2_checks.RERANKER:
            raise RefusedError("invalid_model", "No permission to use the model")
        ranked = ranking(body, lambda name: RefusedError("invalid_argument", f"{name} is invalid"))
        tokens = count_tokens(body["query"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {**self._clerk.head("rerank_list"), "results": ranked, "usage": usage}
        return await self._clerk.serve(
            request, answer, who=who, model=v2_checks.RERANKER, tokens=tokens
        )

    async def models(self, _: web.Request, __: str, ___: object) -> web.StreamResponse:
        """The list of models."""
        data = [{"id": name, "object": "model", "owned_by": "qianfan"} for name in v2_checks.CARDS]
        return web.json_response({"object": "list", "data": data})

    def _faults(self, text: str) -> Faults:
        faults = self._desk.faults(text)
        wanted = faults.refusal
        if wanted is None or faults.refusal_after is not None or wanted == _UNSAFE:
            return faults
        raise RefusedError(_code(wanted), retry_after=faults.retry_after)


def _code(fault: str) -> str:
    code = _BY_FAULT.get(fault, fault)
    if code not in V2_CODES:
        raise RefusedError("invalid_argument", f"沙箱不认识的故障标记：{fault}")
    return code


def _found(asked: ChatRequest, body: Mapping[str, Any]) -> dict[str, object]:
    search = body.get("web_search")
    if not isinstance(search, dict) or search.get("enable") is not True:
        return {}
    about = shorten(last_user_text(asked.messages), 40)
    found = {"index": 1, "url": "https://example.com/", "title": f"关于“{about}”的网页"}
    return {"search_results": [found]}


def _whole(choice: dict[str, object], faults: Faults) -> dict[str, object]:
    choice |= {"flag": 0, "ban_round": 0}
    if choice["finish_reason"] == "stop":
        choice["finish_reason"] = "normal"
    if faults.refusal == _UNSAFE:
        choice |= {"finish_reason": "content_filter", "flag": 1, "ban_round": -1}
        choice["message"] = {"role": "assistant", "content": ""}
    message = choice["message"]
    if isinstance(message, dict) and message.get("content") is None:
        message["content"] = ""
    return choice


async def _stream(
    request: web.Request, answer: _Answer, faults: Faults, serving: Serving
) -> web.StreamResponse:
    reply = answer.reply
    head = {**answer.head, "object": "chat.completion.chunk"}

    def chunk(delta: Mapping[str, object], end: str | None = None) -> dict[str, object]:
        choice: dict[str, object] = {"index": 0, "delta": delta, "flag": 0}
        if end is not None:
            choice["finish_reason"] = end
        return {**head, "choices": [choice]}

    async with EventStream(request, faults, serving) as stream:
        for delta in deltas(reply):
            if faults.refusal == _UNSAFE and (not faults.refusal_after or stream.refusal_is_due):
                await stream.send(chunk({"content": ""}, "content_filter"))
                break
            if stream.refusal_is_due and faults.refusal is not None:
                code = faults.refusal if faults.refusal in V2_CODES else "internal_error"
                await stream.send(RefusedError(_BY_FAULT.get(faults.refusal, code)).body("as-0"))
                return stream.response
            if delta.finish_reason is not None:
                # Newer models end with "stop"; "normal" is what whole answers of older ones say.
                await stream.send({**chunk({"content": ""}, delta.finish_reason), **answer.told})
                serving.complete(reply.usage)
            else:
                await stream.send(chunk(chat_dialect.delta_body(delta)))
                serving.sent(delta)
        if answer.wants_usage:
            usage = chat_dialect.usage_body(reply.usage)
            await stream.send({**head, "choices": [], "usage": usage})
        await stream.send(b"[DONE]")
    return stream.response
