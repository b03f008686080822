"""The HTTP API, in the vendor's variety of chat completions."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    SandboxDesk,
    Serving,
    answer_for,
    chat_dialect,
    deltas,
    last_user_text,
    send_whole,
)
from fengchao_core.types import ChatRequest
from fengchao_spark.endpoints import ENDPOINTS, Endpoint
from fengchao_spark.http_wire import PATH
from fengchao_spark.sandbox.checks import check, ends_well, fits, ranges
from fengchao_spark.sandbox.codes import RefusedError, refusal_of

_ROLES = ("system", "user", "assistant", "tool")
_REJECTED = (10003, 10004, 10005, 10404)
"""Codes that come with HTTP 400; the others come under HTTP 200, as other clients saw them."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpApi:
    """
    Chat completions.

    Args:
        credential: the public name of who asks.
        passwords: those that are taken.
    """

    def __init__(self, desk: SandboxDesk, credential: str, passwords: Sequence[str]) -> None:
        self._desk = desk
        self._credential = credential
        self._passwords = tuple(passwords)

    def routes(self) -> Iterator[tuple[str, Handler]]:
        """The paths, and who answers there."""
        for version in ("v1", "v2"):
            yield f"/{version}{PATH}", self._handler(version)

    def _handler(self, version: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if not self._knows(request.headers.get("Authorization", "")):
                return _error(401, "invalid user", None)
            sid = f"cha{self._desk.next_id():08x}@dx"
            asked: ChatRequest | None = None
            try:
                asked, switch = _read(await request.read(), version)
                faults = self._desk.faults(last_user_text(asked.messages))
                if faults.refusal is not None and faults.refusal_after is None:
                    raise refusal_of(faults)
            except RefusedError as refused:
                if asked is not None:
                    self._desk.served.refused(self._credential, asked.model)
                if refused.code in _REJECTED:
                    return _error(400, refused.message, str(refused.code))
                return web.json_response(_flat(refused, sid))
            reply = answer_for(asked, think=asked.model == "x1")
            served = self._desk.served.serving(
                self._credential, asked.model, reply.usage.prompt_tokens
            )
            with served as serving:
                if asked.stream:
                    return await self._stream(request, reply, sid, faults, serving)
                response = await send_whole(
                    request, _whole(reply, sid, in_list=switch), faults, serving
                )
                if not serving.closed_by_client:
                    serving.complete(reply.usage)
                return response

        return handle

    def _knows(self, authorization: str) -> bool:
        given = authorization.removeprefix("Bearer ").encode()
        return any(hmac.compare_digest(given, each.encode()) for each in self._passwords)

    async def _stream(
        self,
        request: web.Request,
        reply: Reply,
        sid: str,
        faults: Faults,
        serving: Serving,
    ) -> web.StreamResponse:
        """Chunks without a space after the colon and without a finish reason; the usage is in the last."""
        created = int(self._desk.clock.now().timestamp())
        head = {"code": 0, "message": "Success", "sid": sid, "id": sid, "created": created}
        async with EventStream(request, faults, serving) as stream:
            for delta in deltas(reply, whole_tool_calls=True):
                if stream.refusal_is_due:
                    await stream.send_raw(_event(_flat(refusal_of(faults, midway=True), sid)))
                    break
                said = {"role": "assistant", **chat_dialect.delta_body(delta)}
                chunk: dict[str, object] = {**head, "choices": [{"delta": said, "index": 0}]}
                if delta.finish_reason is not None:
                    said.setdefault("content", "")
                    chunk["usage"] = _usage(reply)
                await stream.send_raw(_event(chunk))
                serving.sent(delta)
            else:
                serving.complete(reply.usage)
            await stream.send_raw(b"data:[DONE]\n\n")
        return stream.response


def _read(data: bytes, version: str) -> tuple[ChatRequest, bool]:
    """A body, checked; and whether calls shall come in a list. Raises `RefusedError`."""
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RefusedError(10003) from None
    if not isinstance(body, dict):
        raise RefusedError(10003)
    endpoint = ENDPOINTS.get(str(body.get("model")))
    if body.get("model") == "general":
        endpoint = ENDPOINTS["lite"]
    if endpoint is None or endpoint.http != version:
        raise RefusedError(10404, "invalid model")
    _check(body, endpoint)
    asked = chat_dialect.read_chat(body)
    ends_well(asked.messages, last=("user", "tool"))
    params = replace(asked.params, parallel_tool_calls=False)
    asked = replace(asked, model=str(body["model"]), params=params)
    fits(asked, endpoint)
    return asked, body.get("tool_calls_switch") is True


def _check(body: Mapping[str, Any], endpoint: Endpoint) -> None:
    # The documents differ on the temperature: (0, 1] in 2024, [0, 2] later. Taken is what either takes.
    check(body, "temperature", lambda v: type(v) in (int, float) and 0 <= v <= 2)
    ranges({**body, "temperature": None}, endpoint)
    check(body, "top_p", lambda v: type(v) in (int, float) and 0 < v <= 1)
    check(body, "presence_penalty", lambda v: type(v) in (int, float) and 0 <= v <= 2)
    check(body, "frequency_penalty", lambda v: type(v) in (int, float) and 0 <= v <= 2)
    check(body, "stream", lambda v: isinstance(v, bool))
    check(body, "user", lambda v: isinstance(v, str))
    check(body, "tools", lambda v: isinstance(v, list) and all(isinstance(t, dict) for t in v))
    check(
        body,
        "response_format",
        lambda v: isinstance(v, dict) and v.get("type") in ("text", "json_object"),
    )
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError(10004, "messages")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("content", ""), str):
            raise RefusedError(10004, "messages")
        if message.get("role") not in _ROLES:
            raise RefusedError(10005, "messages.role")


def _whole(reply: Reply, sid: str, *, in_list: bool) -> dict[str, object]:
    message = chat_dialect.message_body(reply.choices[0])
    message["content"] = message["content"] or ""
    calls = message.get("tool_calls")
    if isinstance(calls, list) and not in_list:
        message["tool_calls"] = calls[0]  # one object, as the vendor does without the switch
    return {
        "code": 0,
        "message": "Success",
        "sid": sid,
        "choices": [{"message": message, "index": 0}],
        "usage": _usage(reply),
    }


def _usage(reply: Reply) -> dict[str, int]:
    usage = reply.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _event(chunk: Mapping[str, object]) -> bytes:
    return b"data:" + orjson.dumps(chunk) + b"\n\n"


def _flat(refused: RefusedError, sid: str) -> dict[str, object]:
    return {"code": refused.code, "message": refused.message, "sid": sid}


def _error(status: int, message: str, code: str | None) -> web.Response:
    error = {"message": message, "type": "api_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
