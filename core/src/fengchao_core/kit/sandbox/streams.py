"""
Answers onto the wire, with the faults that a prompt asked for.

`EventStream` writes server-sent events, `send_whole` one JSON body. Both watch the client: one that hangs up ends the
answer at once, and the `Serving` learns of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NoReturn, Self

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox.markers import Faults
from fengchao_core.kit.sandbox.served import Serving

_LOOK_EVERY_S = 0.02
_BETWEEN_PIECES_S = 0.001
_NO_FAULTS = Faults()


class ClientGoneError(ConnectionError):
    """The client closed its connection before the answer was whole."""


class _EndedByFaultError(Exception):
    """A scripted fault ended the stream."""


class EventStream:
    """
    Server-sent events on an aiohttp response, in an `async with` that swallows what a fault or a hang-up ends.

    Example:
        ```python
        async with EventStream(request, faults, serving) as stream:
            for delta in deltas(reply):
                await stream.send(chunk_of(delta))
                serving.sent(delta)
            await stream.send(b"[DONE]")
            serving.complete(reply.usage)
        return stream.response
        ```
    """

    def __init__(
        self,
        request: web.Request,
        faults: Faults = _NO_FAULTS,
        serving: Serving | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        content_type: str = "text/event-stream",
    ) -> None:
        self.response = web.StreamResponse(
            headers={"Content-Type": content_type, "Cache-Control": "no-cache", **(headers or {})}
        )
        self._request = request
        self._faults = faults
        self._serving = serving
        self._events = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, asyncio.CancelledError) and is_gone(self._request):
            self._note_hang_up()  # the server cancels handlers of connections that are lost
        return isinstance(error, ClientGoneError | _EndedByFaultError)

    async def send(
        self, data: bytes | Mapping[str, object], *, event: str | None = None, end: bytes = b"\n\n"
    ) -> None:
        """
        Send one event.

        Args:
            data: the event's data: text as bytes, or an object to be written as JSON.
            event: the event's name, for vendors that name them.
            end: what ends the event.
        """
        text = data if isinstance(data, bytes) else orjson.dumps(data)
        name = b"" if event is None else b"event: " + event.encode() + b"\n"
        await self.send_raw(name + b"data: " + text + end)

    async def send_raw(self, block: bytes) -> None:
        """Send one event as it stands, for vendors whose events look otherwise; the faults apply to it."""
        faults, events = self._faults, self._events
        if not self.response.prepared:
            await self._begin()
        if faults.cut_after is not None and events >= faults.cut_after:
            await self._cut()
        if faults.silence_after is not None and events >= faults.silence_after:
            await until_gone(self._request)
            self._client_left()
        if faults.malformed_after is not None and events == faults.malformed_after:
            await self._write(b'data: {"choices": [}\n\n')
        if faults.half_line_after is not None and events >= faults.half_line_after:
            await self._write(block[: max(1, len(block) // 2)])
            raise _EndedByFaultError
        await self._pause(faults.pace)
        if faults.split_utf8:
            for piece in _split(block):
                await self._write(piece)
                await asyncio.sleep(_BETWEEN_PIECES_S)
        else:
            await self._write(block)
        self._events += 1

    @property
    def refusal_is_due(self) -> bool:
        """Whether a refusal that was asked for in the middle of the stream comes next."""
        after = self._faults.refusal_after
        return after is not None and self._events >= after

    async def _begin(self) -> None:
        await self._pause(self._faults.latency)
        try:
            await self.response.prepare(self._request)
        except ConnectionError:
            self._client_left()

    async def _cut(self) -> None:
        await asyncio.sleep(_LOOK_EVERY_S)  # what was written so far shall still arrive
        if self._request.transport is not None:
            self._request.transport.abort()
        raise _EndedByFaultError

    async def _write(self, block: bytes) -> None:
        if is_gone(self._request):
            self._client_left()
        try:
            await self.response.write(block)
        except ConnectionError:
            self._client_left()

    async def _pause(self, seconds: float) -> None:
        if not await wait(self._request, seconds):
            self._client_left()

    def _client_left(self) -> NoReturn:
        self._note_hang_up()
        raise ClientGoneError("the client hung up")

    def _note_hang_up(self) -> None:
        if self._serving is not None:
            self._serving.closed_by_client = True


async def send_whole(
    request: web.Request,
    body: Mapping[str, object],
    faults: Faults = _NO_FAULTS,
    serving: Serving | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """
    Answer with one JSON body, with the faults that make sense for it.

    `cut` tears the connection down within the body, `half_line` and `malformed` send half a body as if it were whole,
    `silence` sends nothing until the client hangs up.

    Args:
        request: the request to answer.
        body: the answer.
        faults: what shall go wrong.
        serving: learns whether the client hung up.
        status: the HTTP status.
        headers: further headers.
    """
    data = orjson.dumps(body)
    here = await wait(request, faults.latency)
    if here and faults.silence_after is not None:
        await until_gone(request)
        here = False
    if not here:
        if serving is not None:
            serving.closed_by_client = True
        return web.Response(status=499)
    if faults.cut_after is not None:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_type = "application/json"
        response.content_length = len(data)
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await asyncio.sleep(_LOOK_EVERY_S)
        if request.transport is not None:
            request.transport.abort()
        return response
    if faults.half_line_after is not None or faults.malformed_after is not None:
        data = data[: len(data) // 2]
    return web.Response(
        body=data, status=status, headers=headers, content_type="application/json", charset="utf-8"
    )


async def wait(request: web.Request, seconds: float) -> bool:
    """Wait so long, or until the client hangs up; returns whether it is still there."""
    until = time.monotonic() + seconds
    await asyncio.sleep(0)  # a burst of events must not starve the other connections
    while not is_gone(request) and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110  # aiohttp tells no event of it
        await asyncio.sleep(min(left, _LOOK_EVERY_S))
    return not is_gone(request)


async def until_gone(request: web.Request) -> None:
    """Wait until the client hangs up."""
    await wait(request, math.inf)


def is_gone(request: web.Request) -> bool:
    """Whether the client has hung up."""
    return request.transport is None or request.transport.is_closing()


def _split(block: bytes) -> list[bytes]:
    """Cut a block inside its first characters of several bytes and inside its line end, at most in five pieces."""
    inside = [at for at in range(1, len(block)) if block[at] & 0xC0 == 0x80][:3]
    cuts = sorted({*inside, len(block) // 2, len(block) - 1} - {0})
    return [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
