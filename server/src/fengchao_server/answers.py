"""
Answers as bytes: a whole one in a single write, and a stream of events.

aiohttp's own response objects spend more on headers than the gateway spends on a request, so the few headers that are
needed are written here, straight to the connection. What aiohttp asks of a response (`prepare`, `write_eof`,
`keep_alive`) is kept, so connections are reused, drained and closed by aiohttp as ever.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web
from typing_extensions import override

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

JSON: Final = b"application/json"
JSON_UTF8: Final = b"application/json; charset=utf-8"
HTML: Final = b"text/html; charset=utf-8"
TEXT: Final = b"text/plain; charset=utf-8"

_EVENTS: Final = b"text/event-stream; charset=utf-8"
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value})

KEEP_ALIVE: Final = b": keep-alive\n\n"

PATIENCE_S = 60.0
"""How long a caller may leave its receive buffer full before it counts as gone."""

_NO_HEADERS: Final[Mapping[str, str]] = {}
_UNSAFE: Final = re.compile(r"[^\x20-\x7e]")
_PAGE_POLICY: Final = (
    b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
    b"Referrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"
)
_STATUS_LINES: Final[Mapping[int, bytes]] = {
    status: f"{status:d} {phrase}\r\n".encode()
    for status, phrase in (
        *((status.value, status.phrase) for status in HTTPStatus),
        (440, "Model Not Found"),
        (441, "Local Model On Online Path"),
        (442, "Online Model On Local Path"),
        (443, "Empty Query"),
        (444, "Knowledge Base Not Found"),
        (445, "Invalid Parameter"),
    )
}


class ClientGoneError(ConnectionError):
    """The caller closed the connection, or stopped reading from it."""


class Answer(web.StreamResponse):
    """
    A whole answer.

    Args:
        body: the bytes to send.
        headers: further headers; anything but printable ASCII is taken out of their values. A page that needs more
            than text and styles brings its own `Content-Security-Policy`.

    Attributes:
        request_id: sent in `X-Request-Id`.
    """

    request_id = ""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: bytes = JSON,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        # The parent's constructor makes the header and state tables that this class does without.
        self._status = status
        self._content = body
        self._type = content_type
        self._extra = headers

    @property
    def content(self) -> bytes:
        """The body."""
        return self._content

    @property
    def media(self) -> bytes:
        """The media type of the body."""
        return self._type

    @classmethod
    def json(
        cls,
        value: object,
        *,
        status: int = 200,
        content_type: bytes = JSON,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Answer:
        """An answer in JSON."""
        return cls(orjson.dumps(value), status=status, content_type=content_type, headers=headers)

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write status, headers and body at once."""
        protocol = request.protocol
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError
        status, body, minor = self._status, self._content, request.version.minor
        further = _further(self._type, self._extra) if self._extra or self._type is HTML else b""
        self._keep_alive = request.keep_alive and self._keep_alive is not False
        if not self._keep_alive:
            further += b"Connection: close\r\n"
        elif not minor:
            further += b"Connection: keep-alive\r\n"
        if status not in _BODILESS:
            further += b"Content-Length: %d\r\n" % len(body)
        if status in _BODILESS or request.method == "HEAD":
            body = b""
        opening = _opening(int(time.time()), minor, status, self._type)
        transport.write(b"%b%b\r\n%b\r\n%b" % (opening, self.request_id.encode(), further, body))
        if protocol.writing_paused:
            await request.writer.drain()
        return None

    @override
    async def write_eof(self, data: bytes = b"") -> None:
        """All is written already."""


class EventStream(Answer):
    """
    A stream of server-sent events.

    Nothing is sent before the first `send()` (or the first keep-alive): until then an error can still be an ordinary
    HTTP answer.
    """

    def __init__(self, request: web.BaseRequest, request_id: str) -> None:
        super().__init__(b"")
        self.request_id = request_id
        self.is_open = False
        self.is_finished = False
        self.is_quiet = False
        self._request = request
        self._protocol = request.protocol
        self._is_chunked = request.version.minor > 0
        self._keep_alive = request.keep_alive and self._is_chunked

    def headers_too(self, headers: Mapping[str, str]) -> None:
        """Send these further headers, where nothing is sent yet."""
        self._extra = headers

    def send(self, data: bytes) -> None:
        """
        Send events.

        Raises:
            ClientGoneError: the connection is closed.
        """
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError
        if not data:  # an empty chunk would end the answer
            return
        self.is_quiet = False
        if self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if not self.is_open:
            self.is_open = True
            data = self._head() + data
        transport.write(data)

    def finish(self, data: bytes) -> None:
        """
        Send the last events and end the answer.

        Raises:
            ClientGoneError: the connection is closed.
        """
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError
        self.is_finished = True
        if self._is_chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        transport.write(data if self.is_open else self._head() + data)
        self.is_open = True

    @property
    def is_full(self) -> bool:
        """Whether the caller reads more slowly than we write: `await drain()` before sending more."""
        return self._protocol.writing_paused

    @override
    async def drain(self) -> None:
        """
        Wait until the caller has read.

        Raises:
            ClientGoneError: it has not for `PATIENCE_S` seconds, or it went away.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._request.writer.drain()
        except (TimeoutError, ConnectionError) as error:
            if (transport := self._protocol.transport) is not None:
                transport.abort()
            raise ClientGoneError from error

    def keep_alive_comment(self) -> None:
        """Send a comment, so that nobody on the way takes the silence for death."""
        transport = self._protocol.transport
        if not self.is_finished and not self.is_full and transport and not transport.is_closing():
            self.send(KEEP_ALIVE)

    @override
    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """The handler has written the stream already."""
        return None

    def _head(self) -> bytes:
        opening = _opening(int(time.time()), self._request.version.minor, 200, _EVENTS)
        further = _further(_EVENTS, self._extra)
        further += b"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
        further += b"Transfer-Encoding: chunked\r\n" if self._is_chunked else b""
        further += b"" if self._keep_alive else b"Connection: close\r\n"
        return b"%b%b\r\n%b\r\n" % (opening, self.request_id.encode(), further)


class KeepAlives:
    """
    Sends a comment on every stream that has been silent for a while: one task for all of them, nothing per event.

    Args:
        interval_s: a stream is silent for one to two intervals before its comment.
    """

    def __init__(self, interval_s: float = 7.5) -> None:
        self._interval_s = interval_s
        self._streams: set[EventStream] = set()

    def add(self, stream: EventStream) -> None:
        """Look after a stream until `discard()`."""
        self._streams.add(stream)

    def discard(self, stream: EventStream) -> None:
        """The stream ended."""
        self._streams.discard(stream)

    async def run(self) -> None:
        """Look after the streams until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            for stream in tuple(self._streams):
                if stream.is_quiet:
                    stream.keep_alive_comment()
                stream.is_quiet = True


@lru_cache(maxsize=64)
def _opening(second: int, minor: int, status: int, content_type: bytes) -> bytes:
    """What the head of an answer begins with, up to the request's id: the same for all answers of a kind and a second."""
    kind = b"" if status == HTTPStatus.NO_CONTENT else b"Content-Type: %b\r\n" % content_type
    return b"HTTP/1.%d %b%bDate: %b\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: " % (
        min(minor, 1),
        _STATUS_LINES[status],
        kind,
        formatdate(second, usegmt=True).encode(),
    )


def _further(content_type: bytes, headers: Mapping[str, str]) -> bytes:
    """The headers that few answers have."""
    head = b""
    if content_type is HTML and "Content-Security-Policy" not in headers:
        head = _PAGE_POLICY
    for name, value in headers.items():
        head += f"{name}: {_UNSAFE.sub('', value)}\r\n".encode()
    return head
