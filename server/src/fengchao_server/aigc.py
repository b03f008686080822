"""
`/aigc`: the product's own API, as the product text has it.

The contract itself (fields, checks, codes, conversions) is `fengchao.wire`, shared with the SDK; here is only HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from fengchao.wire import (
    OK_MSG,
    BodyError,
    Code,
    Failure,
    bridge,
    failure,
    parse_chat_body,
    parse_draw_body,
    status_of,
    tasks,
)
from fengchao.wire.events import AnswerEvents, frame
from fengchao_server import refusals as r
from fengchao_server.answers import JSON_UTF8, Answer
from fengchao_server.bodies import parse_object
from fengchao_server.call import Call
from fengchao_server.described import Described
from fengchao_server.tasks import resumable_stream

_MOST_OF_A_KEY: Final = 64 * 1024
_NOT_KEPT: Final = {"Cache-Control": "no-store"}


class Refused(Described):
    """An error of `/aigc` that has an HTTP status of its own."""

    status: int
    msg: str


class AigcShape:
    """
    Words the errors of `/aigc`.

    A failure that the product answers under HTTP 200 (6601, 400, 408 …) keeps the shape of an answer, and to a caller who
    wants a stream it is an event even before the first byte: the published SDKs read nothing else there.
    """

    failures = frozenset(
        int(code)
        for code in (
            Code.UNAUTHORIZED,
            Code.NOT_FOUND,
            Code.METHOD_NOT_ALLOWED,
            Code.TIMEOUT,
            Code.BODY_TOO_LARGE,
            Code.TOO_MANY_REQUESTS,
            *range(Code.UNKNOWN_MODEL, Code.INVALID_PARAMETER + 1),
            Code.INTERNAL,
            Code.UNAVAILABLE,
        )
    )
    failure = Refused

    def refuse(self, error: Exception, call: Call) -> Answer:
        """The two fields `status` and `msg`, or the failed answer or event."""
        said = _failure(error)
        if said.http_status == 200 and call.stream is not None:
            call.stream.finish(self.last_event(error, call))
            return call.stream
        headers: dict[str, str] = {}
        if isinstance(error, r.MethodNotAllowed):
            headers["Allow"] = ", ".join(error.allowed)
        retry_after = getattr(error, "retry_after", None)
        if said.http_status == 429 and retry_after is not None:
            headers["Retry-After"] = str(math.ceil(retry_after))
        return Answer.json(
            _failed(said, call), status=said.http_status, content_type=JSON_UTF8, headers=headers
        )

    def last_event(self, error: Exception, call: Call) -> bytes:
        """An event whose `status` and `msg` say what went wrong."""
        # The response has begun with 200; only the event can say it.
        return frame(_failed(_failure(error)._replace(http_status=200), call))


async def token_by_query(call: Call) -> Answer:
    """Issue a token; the key pair comes in the query."""
    return await _token(call, call.request.rel_url.query)


async def token_by_body(call: Call) -> Answer:
    """Issue a token; the key pair comes as JSON or as a form."""
    body = await call.body(_MOST_OF_A_KEY)
    kind = call.request.content_type
    if kind == "application/x-www-form-urlencoded":
        return await _token(call, dict(parse_qsl(body.decode("utf-8", "replace"))))
    return await _token(call, parse_object(body))


async def models(call: Call) -> Answer:
    """The models."""
    return _json(bridge.model_list(await call.models()))


async def prompts(call: Call) -> Answer:
    """The preset instructions."""
    await call.gateway.refresh()
    return _json(bridge.prompt_list(call.gateway.prompts()))


async def knowledge_bases(call: Call) -> Answer:
    """The knowledge bases."""
    return _json(bridge.kg_list(call.gateway.knowledge_bases()))


async def chat(call: Call) -> Answer:
    """Chat with an online model."""
    return await _chat(call, "online")


async def local_chat(call: Call) -> Answer:
    """Chat with a local model."""
    return await _chat(call, "local")


async def draw(call: Call) -> Answer:
    """Draw pictures from a text."""
    body = parse_draw_body(await call.body())
    call.model = body.model
    call.conversation = body.request_id or ""
    if body.mode == "async":
        return _json(await tasks.submit_drawing(call.gateway, body, call.caller))
    if body.mode == "async_result":
        return _json(await tasks.task_result(call.gateway, body, call.caller))
    result = await call.gateway.draw(bridge.to_draw_call(body), caller=call.caller)
    call.usage = result.usage
    return _json(bridge.drawn(result, body.model))


async def _chat(call: Call, channel: Literal["online", "local"]) -> Answer:
    body = parse_chat_body(await call.body())
    call.model = body.model
    call.conversation = body.request_id or ""
    gateway = call.gateway
    if body.mode == "async":
        return _json(await tasks.submit_chat(gateway, body, channel, call.caller))
    if body.mode == "async_result":
        return _json(await tasks.task_result(gateway, body, call.caller))
    if body.resumable and body.mode == "stream":
        return await resumable_stream(call, body, channel)
    asked = bridge.to_call(body, channel)
    if body.mode != "stream":
        exchange = call.exchange = await gateway.prepare(asked, stream=False, caller=call.caller)
        completion = await gateway.complete(exchange)
        return _json(bridge.answer(completion, exchange.passages, as_json=bridge.wants_json(body)))
    stream = call.events()
    exchange = call.exchange = await gateway.prepare(asked, stream=True, caller=call.caller)
    events = AnswerEvents(exchange)
    async with aclosing(gateway.run(exchange)) as batches:
        async for batch in batches:
            if frames := events.frames(batch):
                stream.send(frames)
                if stream.is_full:
                    await stream.drain()
    stream.finish(events.last_frame())
    return stream


def _json(value: object) -> Answer:
    return Answer.json(value, content_type=JSON_UTF8)


async def _token(call: Call, given: Mapping[str, Any]) -> Answer:
    api_key, secret_key = given.get("api_key"), given.get("secret_key")
    for name, value in (("api_key", api_key), ("secret_key", secret_key)):
        if not isinstance(value, str) or not value:
            raise BodyError(f"{name} 必填，应为字符串", param=name)
    token = await call.issue_token(str(api_key), str(secret_key))
    return Answer.json(
        {"status": 200, "msg": OK_MSG, "token": token}, content_type=JSON_UTF8, headers=_NOT_KEPT
    )


def _failure(error: Exception) -> Failure:
    """How an error is answered: the contract's table, and before it what only HTTP knows."""
    match error:
        case r.NotFound():
            return failure(Code.NOT_FOUND, "可用接口见 /docs")
        case r.MethodNotAllowed():
            return failure(Code.METHOD_NOT_ALLOWED, f"可用 {', '.join(error.allowed)}")
        case r.BodyTooLarge():
            return failure(Code.BODY_TOO_LARGE, f"上限为 {error.limit} 字节")
        case r.BodyTimeout():
            return Failure(408, 408, "请求超时：请求体未在时限内到达")
        case r.Incident():
            return failure(Code.INTERNAL, f"请把事件编号 {error.incident_id} 告诉管理员")
    return status_of(error)


def _failed(said: Failure, call: Call) -> dict[str, Any]:
    exchange = call.exchange
    failed = bridge.failed(
        said,
        request_id=exchange.request_id if exchange else call.conversation,
        model=call.model,
        created=exchange.created if exchange else 0,
    )
    if call.task and said.http_status == 200:
        failed["task_id"] = call.task
    return failed
