"""The engine's HTTP application: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`, `/stats`."""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict
from typing import Any, Protocol

import orjson
from aiohttp import web
from pydantic import ValidationError

from fengchao_core.fold import Fold
from fengchao_core.kit.sandbox import chat_dialect
from fengchao_core.types import Delta, Usage
from fengchao_local_qwen.engine.chat_prompt import Asked, ChatPrompts, TemplateError
from fengchao_local_qwen.engine.choice import ChoiceReader
from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.engine.face import (
    Engine,
    EngineBusyError,
    EngineFailedError,
    Prompt,
    PromptTooLongError,
)
from fengchao_local_qwen.engine.wire import ChatBody, EmbeddingBody, error_body, explain

_MAX_BODY_BYTES = 64 * 1024 * 1024

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Encoder(Protocol):
    """Turns texts into vectors."""

    async def encode(self, texts: tuple[str, ...]) -> tuple[list[list[float]], int]:
        """The vectors, and the tokens read. Raises `EngineBusyError`, `PromptTooLongError`, `EngineFailedError`."""
        ...


def build_app(
    config: EngineConfig,
    *,
    engine: Engine | None = None,
    prompts: ChatPrompts | None = None,
    encoder: Encoder | None = None,
) -> web.Application:
    """
    The application of an engine that chats (`engine` and `prompts`) or makes vectors (`encoder`).

    Args:
        config: its name and its key.
    """
    return _App(config, engine, prompts, encoder).app


class _App:
    def __init__(
        self,
        config: EngineConfig,
        engine: Engine | None,
        prompts: ChatPrompts | None,
        encoder: Encoder | None,
    ) -> None:
        self._config = config
        self._engine = engine
        self._prompts = prompts
        self._encoder = encoder
        self._key = config.token.get_secret_value().encode()
        self.app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._guard()])
        self.app.router.add_post("/v1/chat/completions", self._chat)
        self.app.router.add_post("/v1/embeddings", self._embed)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/stats", self._stats)

    def _guard(self) -> Any:
        """Check the key, and turn what is raised into answers of the dialect."""

        @web.middleware
        async def guard(request: web.Request, handler: Handle) -> web.StreamResponse:
            scheme, _, key = request.headers.get("Authorization", "").partition(" ")
            if self._key and not (
                scheme == "Bearer" and hmac.compare_digest(key.encode(), self._key)
            ):
                return _refuse(401, "the engine's key is missing or wrong", "invalid_api_key")
            try:
                return await handler(request)
            except ValidationError as error:
                param, message = explain(error)
                return _refuse(400, message, "invalid_parameter", param=param)
            except orjson.JSONDecodeError:
                return _refuse(400, "the body is not JSON", "invalid_json")
            except TemplateError as error:
                return _refuse(400, str(error), "invalid_messages", param="messages")
            except PromptTooLongError as error:
                return _refuse(400, str(error), "context_length_exceeded", param="messages")
            except EngineBusyError as error:
                refusal = _refuse(429, f"the local model is busy: {error}", "engine_busy")
                refusal.headers["Retry-After"] = f"{error.retry_after_s:g}"
                return refusal
            except EngineFailedError as error:
                return _refuse(500, str(error), "engine_failed")

        return guard

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = ChatBody.model_validate(orjson.loads(await request.read()))
        if self._engine is None or self._prompts is None or body.model != self._config.model:
            return self._unknown(body.model)
        # A long prompt takes a while to render and to cut into tokens; streams go on meanwhile.
        asked = await asyncio.to_thread(self._prompts.read, body)
        talk = _Talk(self._engine, self._prompts, body, asked)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body.model,
        }
        if not body.stream:
            return web.Response(body=await talk.whole(head), content_type="application/json")
        return await _streamed(request, talk, {**head, "object": "chat.completion.chunk"})

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        body = EmbeddingBody.model_validate(orjson.loads(await request.read()))
        if self._encoder is None or body.model != self._config.model:
            return self._unknown(body.model)
        vectors, tokens = await self._encoder.encode(body.input)
        if body.dimensions is not None and body.dimensions != len(vectors[0]):
            return _refuse(
                400,
                f"this model's vectors have {len(vectors[0])} dimensions",
                "invalid_parameter",
                param="dimensions",
            )
        data = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        reply = {"object": "list", "model": body.model, "data": data, "usage": usage}
        return web.Response(body=orjson.dumps(reply), content_type="application/json")

    async def _models(self, _: web.Request) -> web.StreamResponse:
        card = {"id": self._config.model, "object": "model", "owned_by": "Qwen"}
        return web.json_response({"object": "list", "data": [card]})

    async def _stats(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(asdict(self._engine.stats()) if self._engine else {})

    def _unknown(self, model: str) -> web.Response:
        what = "vectors" if self._encoder is not None else "chats"
        told = f"this engine serves {self._config.model!r} for {what}, not {model[:100]!r}"
        return _refuse(404, told, "model_not_found", param="model")


class _Talk:
    """One chat: its choices generated side by side, their deltas in one stream."""

    def __init__(self, engine: Engine, prompts: ChatPrompts, body: ChatBody, asked: Asked) -> None:
        self._engine = engine
        self.body = body
        self.asked = asked
        self._readers = [
            ChoiceReader(
                prompts.vocabulary,
                index=index,
                begun=asked.begun,
                thinks=asked.thinks,
                calls=asked.calls,
                stops=body.stop,
                stop_ids=prompt.stop_ids,
            )
            for index, prompt in enumerate(asked.prompts)
        ]

    @property
    def usage(self) -> Usage:
        """What was used by now, by the tokenizer."""
        return Usage(
            prompt_tokens=len(self.asked.prompts[0].ids),
            completion_tokens=sum(reader.tokens for reader in self._readers),
            reasoning_tokens=sum(reader.reasoning_tokens for reader in self._readers),
            source="tokenizer",
        )

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """Every delta of every choice, as they come."""
        if len(self._readers) == 1:
            async with aclosing(self._choice(self.asked.prompts[0], self._readers[0])) as choice:
                async for delta in choice:
                    yield delta
            return
        async with AsyncExitStack() as stack:
            steps: dict[asyncio.Future[Delta | None], AsyncGenerator[Delta, None]] = {}
            for prompt, reader in zip(self.asked.prompts, self._readers, strict=True):
                choice = await stack.enter_async_context(aclosing(self._choice(prompt, reader)))
                steps[asyncio.ensure_future(anext(choice, None))] = choice
            try:
                while steps:
                    done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
                    for step in done:
                        choice = steps.pop(step)
                        if (said := step.result()) is not None:
                            yield said
                            steps[asyncio.ensure_future(anext(choice, None))] = choice
            finally:
                for step in steps:
                    step.cancel()
                await asyncio.gather(*steps, return_exceptions=True)

    async def whole(self, head: dict[str, Any]) -> bytes:
        """The answer in one piece."""
        fold = Fold()
        async with aclosing(self.deltas()) as deltas:
            async for delta in deltas:
                fold.feed([delta])
        choices = [
            {
                "index": choice.index,
                "message": chat_dialect.message_body(choice),
                "finish_reason": choice.finish_reason,
                "logprobs": None if choice.logprobs is None else {"content": list(choice.logprobs)},
            }
            for choice in fold.choices()
        ]
        return orjson.dumps(
            {
                **head,
                "object": "chat.completion",
                "choices": choices,
                "usage": chat_dialect.usage_body(self.usage),
                **({"notes": self.asked.notes} if self.asked.notes else {}),
            }
        )

    async def _choice(self, prompt: Prompt, reader: ChoiceReader) -> AsyncGenerator[Delta, None]:
        async with aclosing(self._engine.submit(prompt)) as tokens:
            async for token in tokens:
                delta = reader.read(token)
                if delta is not None:
                    yield delta
                if reader.is_over:
                    return


async def _streamed(request: web.Request, talk: _Talk, head: dict[str, Any]) -> web.StreamResponse:
    """
    The answer as server-sent events.

    The head is sent with the first delta, so that whatever goes wrong before it is an HTTP error, which can be retried.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    begun: set[int] = set()
    async with aclosing(talk.deltas()) as deltas:
        try:
            async for delta in deltas:
                data = b""
                if not response.prepared:
                    await response.prepare(request)
                    if talk.asked.notes:
                        data += _event({**head, "choices": [], "notes": talk.asked.notes})
                if delta.index not in begun:
                    begun.add(delta.index)
                    data += _event({**head, "choices": [_first(delta.index)]})
                said = chat_dialect.delta_body(delta)
                choice: dict[str, object] = {"index": delta.index, "delta": said}
                if delta.logprobs is not None:
                    choice["logprobs"] = {"content": list(delta.logprobs)}
                if delta.finish_reason is not None:
                    choice["finish_reason"] = delta.finish_reason
                await response.write(data + _event({**head, "choices": [choice]}))
        except EngineFailedError as error:
            if not response.prepared:
                raise
            await response.write(
                _event(error_body(str(error), code="engine_failed", kind="server_error"))
            )
            return response
    tail = b""
    if talk.body.stream_options.include_usage:
        tail = _event({**head, "choices": [], "usage": chat_dialect.usage_body(talk.usage)})
    await response.write(tail + b"data: [DONE]\n\n")
    return response


def _first(index: int) -> dict[str, object]:
    return {"index": index, "delta": {"role": "assistant", "content": ""}}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def _refuse(status: int, message: str, code: str, *, param: str | None = None) -> web.Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = error_body(message, code=code, kind=kind, param=param)
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
