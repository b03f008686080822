"""The emulator's application: the engine's routes, checks and errors, without a model."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    SandboxDesk,
    answer_for,
    chat_dialect,
    count_tokens,
    deltas,
    embedding,
    last_user_text,
    send_whole,
)
from fengchao_local_qwen.engine.wire import ChatBody, EmbeddingBody, error_body, explain

_CONTEXT = 32_768
_DIMENSIONS = 256
_CODES = {
    400: "invalid_parameter",
    401: "invalid_api_key",
    404: "model_not_found",
    429: "engine_busy",
}


class _RefusedError(Exception):
    def __init__(
        self, status: int, code: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


def build() -> web.Application:
    """A fresh emulator."""
    return _Emulator().app


class _Emulator:
    def __init__(self) -> None:
        from fengchao_local_qwen import SANDBOX_KEY

        self._key = SANDBOX_KEY
        self._desk = SandboxDesk()
        self.app = web.Application(client_max_size=64 * 1024 * 1024)
        self._desk.mount(self.app)
        self.app.router.add_post("/v1/chat/completions", self._guarded(self._chat))
        self.app.router.add_post("/v1/embeddings", self._guarded(self._embed))

    def _guarded(self, handle: Any) -> Any:
        async def guard(request: web.Request) -> web.StreamResponse:
            try:
                if request.headers.get("Authorization") != f"Bearer {self._key}":
                    raise _RefusedError(
                        401, "invalid_api_key", "the engine's key is missing or wrong"
                    )
                response: web.StreamResponse = await handle(request)
            except ValidationError as error:
                return _refuse(400, "invalid_parameter", explain(error)[1])
            except orjson.JSONDecodeError:
                return _refuse(400, "invalid_json", "the body is not JSON")
            except _RefusedError as error:
                refusal = _refuse(error.status, error.code, str(error))
                if error.retry_after is not None:
                    refusal.headers["Retry-After"] = f"{error.retry_after:g}"
                return refusal
            return response

        return guard

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        wire = orjson.loads(await request.read())
        body = ChatBody.model_validate(wire)
        asked = chat_dialect.read_chat(wire)
        faults = self._desk.faults(last_user_text(asked.messages))
        if faults.refusal is not None and faults.refusal_after is None:
            raise _scripted(faults)
        reply = answer_for(asked, think=body.model.startswith("Qwen3") and body.thinks is not False)
        if reply.usage.prompt_tokens >= _CONTEXT:
            raise _RefusedError(
                400,
                "context_length_exceeded",
                f"the prompt has {reply.usage.prompt_tokens} tokens; this model takes {_CONTEXT} at most",
            )
        head = {"id": f"chatcmpl-{self._desk.next_id()}", "created": 1, "model": body.model}
        with self._desk.served.serving("engine", body.model, reply.usage.prompt_tokens) as serving:
            if not asked.stream:
                serving.complete(reply.usage)
                whole = {
                    **head,
                    "object": "chat.completion",
                    "choices": chat_dialect.choice_bodies(reply),
                    "usage": chat_dialect.usage_body(reply.usage),
                }
                return await send_whole(request, whole, faults, serving)
            head["object"] = "chat.completion.chunk"
            async with EventStream(request, faults, serving) as stream:
                for delta in deltas(reply, whole_tool_calls=True):
                    if stream.refusal_is_due:
                        await stream.send(error_body("the engine broke", code="engine_failed"))
                        return stream.response
                    choice: dict[str, Any] = {
                        "index": delta.index,
                        "delta": chat_dialect.delta_body(delta),
                        "finish_reason": delta.finish_reason,
                    }
                    if delta.logprobs is not None:
                        choice["logprobs"] = {"content": list(delta.logprobs)}
                    await stream.send({**head, "choices": [choice]})
                    serving.sent(delta)
                usage = chat_dialect.usage_body(reply.usage)
                await stream.send({**head, "choices": [], "usage": usage})
                serving.complete(reply.usage)
                await stream.send(b"[DONE]")
            return stream.response

    async def _embed(self, request: web.Request) -> web.Response:
        body = EmbeddingBody.model_validate(orjson.loads(await request.read()))
        used = sum(count_tokens(text) for text in body.input)
        data = [
            {"object": "embedding", "index": index, "embedding": embedding(text, _DIMENSIONS)}
            for index, text in enumerate(body.input)
        ]
        usage = {"prompt_tokens": used, "total_tokens": used}
        reply = {"object": "list", "model": body.model, "data": data, "usage": usage}
        return web.Response(body=orjson.dumps(reply), content_type="application/json")


def _scripted(faults: Faults) -> _RefusedError:
    """A refusal that the prompt asked for: an HTTP status, or one of the engine's codes."""
    name = faults.refusal or "500"
    status = int(name) if name.isdigit() else 429 if name == "engine_busy" else 400
    code = _CODES.get(status, "engine_failed") if name.isdigit() else name
    return _RefusedError(status, code, f"asked for: {name}", faults.retry_after)


def _refuse(status: int, code: str, message: str) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(error_body(message, code=code)),
        content_type="application/json",
    )
