"""
A vendor that answers what a test tells it: a real server on loopback, for HTTP, server-sent events and WebSocket.

What an answer writes, and where one write ends and the next begins, is scripted; so is when (after an `asyncio.Event`),
and how it ends: whole, cut off, or never. Each request is kept, with an event that tells when its client hung up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import WSMsgType, web

# Turns of the event loop after which a client in the same loop has read what was written.
_TURNS = 6


class Do(Enum):
    """A step of an answer that writes nothing."""

    CUT = "tear the connection down"
    HANG = "write nothing more, and keep the connection until the client closes it"
    RECEIVE = "wait for a message of the client (WebSocket only)"


Step = bytes | str | asyncio.Event | Do | Callable[["Received"], Iterable["Step"]]
"""
What to write, in one write; an event to wait for; something to do; or a function that says, once it is reached, which
steps come in its place. Empty bytes send the head alone.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer over HTTP.

    Attributes:
        steps: done in order.
        raw: the steps are the response as it goes over the connection, status line and head included; the connection
            is closed after them.
    """

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """
    An answer over WebSocket: bytes and texts are sent as messages of their kind; at the end the socket is closed.

    Attributes:
        code: the code with which it is closed.
    """

    steps: tuple[Step, ...] = ()
    code: int = 1000


@dataclass(slots=True, eq=False)
class Received:
    """
    A request as it came.

    Attributes:
        target: path and query as they stood in the request.
        peer: the client's port, the same for requests that shared a connection.
        messages: what the client sent over WebSocket.
        closed_by_client: set when the client closed the connection before the answer was whole.
    """

    method: str
    path: str
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: int
    messages: list[str | bytes] = field(default_factory=list)
    closed_by_client: asyncio.Event = field(default_factory=asyncio.Event)

    def json(self) -> Any:
        """The body, read as JSON."""
        return orjson.loads(self.body)


Script = Answer | Talk | Callable[[Received], Answer | Talk]
"""An answer, or a function that makes one from the request."""


def json_answer(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer in one piece. Bytes stand as they are, anything else is written as JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    head = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(data))}
    return Answer((data,), status, {**head, **(headers or {})})


def sse_answer(*events: Mapping[str, object] | Step) -> Answer:
    """
    A stream of server-sent events.

    Args:
        events: a mapping is written as `data: JSON` and an empty line; anything else is a step as it stands.
    """
    steps = tuple(
        b"data: " + orjson.dumps(event) + b"\n\n" if isinstance(event, Mapping) else event
        for event in events
    )
    return Answer((b"", *steps), headers={"Content-Type": "text/event-stream"})


class ScriptedVendor:
    r"""
    The server. Enter it, script it, and point a provider at `base_url`.

    Example:
        ```python
        async with ScriptedVendor() as vendor:
            go_on = asyncio.Event()
            vendor.answers(sse_answer(first, go_on, second, b"data: [DONE]\n\n"))
            ...
            request = await vendor.request(1)
            await request.closed_by_client.wait()
        ```
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.base_url = ""
        self._arrival = asyncio.Condition()
        self._scripts: list[Script] = []
        self._by_path: dict[str, list[Script]] = {}

    async def __aenter__(self) -> Self:
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    @property
    def ws_url(self) -> str:
        """The address for WebSocket clients."""
        return self.base_url.replace("http", "ws", 1)

    def answers(self, *scripts: Script, path: str | None = None) -> None:
        """
        Say what the next requests get, one script each; the last one goes on for all that follow.

        Args:
            scripts: at least one.
            path: only requests to this path; None: those to paths that have no script of their own.
        """
        if not scripts:
            raise ValueError("give at least one answer")
        if path is None:
            self._scripts = list(scripts)
        else:
            self._by_path[path] = list(scripts)

    def requests_to(self, path: str | None = None) -> list[Received]:
        """The requests to a path; None: those to paths that have no script of their own."""
        if path is None:
            return [each for each in self.requests if each.path not in self._by_path]
        return [each for each in self.requests if each.path == path]

    async def request(self, number: int = 1, *, path: str | None = None) -> Received:
        """The request of this number among `requests_to(path)`, counting from 1, as soon as it has come."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: len(self.requests_to(path)) >= number)
        return self.requests_to(path)[number - 1]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = Received(
            method=request.method,
            path=request.path,
            target=request.raw_path,
            query=dict(request.query),
            headers=request.headers.copy(),
            body=await request.read(),
            peer=request.transport.get_extra_info("peername")[1] if request.transport else 0,
        )
        self.requests.append(received)
        async with self._arrival:
            self._arrival.notify_all()
        scripts = self._by_path.get(received.path, self._scripts)
        if not scripts:
            text = f"no answer is scripted for {received.method} {received.path}"
            return web.Response(status=501, text=text)
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        answer = script(received) if callable(script) else script
        with _watch(received, request):
            if isinstance(answer, Talk):
                return await _Conversation(received, answer).hold(request)
            return await _write(request, received, answer)


@contextlib.contextmanager
def _watch(received: Received, request: web.BaseRequest) -> Iterator[None]:
    """Tell the request's event when its handler is cancelled because the client closed the connection."""
    try:
        yield
    except (asyncio.CancelledError, ConnectionError):
        if request.transport is None or request.transport.is_closing():
            received.closed_by_client.set()
        raise


async def _write(
    request: web.BaseRequest, received: Received, answer: Answer
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    transport = request.transport
    async for data in _writes(answer.steps, received):
        if data is None:
            if transport is not None:
                transport.abort()
            return response
        if answer.raw and transport is not None:
            transport.write(data.encode() if isinstance(data, str) else data)
            continue
        if not response.prepared:
            await response.prepare(request)
        if data:
            await response.write(data.encode() if isinstance(data, str) else data)
    if answer.raw and transport is not None:
        transport.close()
    return response


async def _writes(
    steps: Iterable[Step], received: Received, unread: asyncio.Queue[None] | None = None
) -> AsyncIterator[bytes | str | None]:
    """What the steps write, one by one; None where they cut the connection."""
    for number, step in enumerate(steps):
        if number:  # not after the last: a client that has all of an answer may go
            await _settle()
        if isinstance(step, bytes | str):
            yield step
        elif isinstance(step, asyncio.Event):
            await step.wait()
        elif callable(step):
            async for data in _writes(step(received), received, unread):
                yield data
        elif step is Do.RECEIVE and unread is not None:
            await unread.get()
        elif step is Do.CUT:
            yield None
        else:
            await asyncio.Event().wait()


class _Conversation:
    """One WebSocket connection: its script, and beside it a reader, so that a polite goodbye is answered at once."""

    def __init__(self, received: Received, talk: Talk) -> None:
        self._received = received
        self._talk = talk
        self._unread: asyncio.Queue[None] = asyncio.Queue()
        self._socket = web.WebSocketResponse()

    async def hold(self, request: web.BaseRequest) -> web.StreamResponse:
        await self._socket.prepare(request)
        script = asyncio.ensure_future(self._speak(request))
        reader = asyncio.ensure_future(self._listen())
        try:
            await asyncio.wait({script, reader}, return_when=asyncio.FIRST_COMPLETED)
            if not script.done():
                self._received.closed_by_client.set()
        finally:
            for task in (script, reader):
                task.cancel()
            await asyncio.gather(script, reader, return_exceptions=True)
        return self._socket

    async def _speak(self, request: web.BaseRequest) -> None:
        async for data in _writes(self._talk.steps, self._received, self._unread):
            if data is None:
                if request.transport is not None:
                    request.transport.abort()
                return
            if isinstance(data, str):
                await self._socket.send_str(data)
            else:
                await self._socket.send_bytes(data)
        await self._socket.close(code=self._talk.code)

    async def _listen(self) -> None:
        async for message in self._socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._received.messages.append(message.data)
                self._unread.put_nowait(None)


async def _settle() -> None:
    """Let a client in the same event loop read what was written before anything else is."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
