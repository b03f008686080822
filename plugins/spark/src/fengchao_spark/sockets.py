"""
WebSockets to the vendor: signed anew for each, over the gateway's pooled connections, and closed without waiting.

aiohttp hides the answer to a handshake that failed. The vendor says there why it refuses, and what time it is; so the
session here takes the connections of the gateway's own, and keeps such an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientWebSocketResponse,
    ClientWSTimeout,
    DummyCookieJar,
    WebSocketError,
    WSMsgType,
    WSServerHandshakeError,
)
from typing_extensions import override
from yarl import URL

from fengchao_core.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderUnavailable,
)
from fengchao_core.kit.http import MAX_ERROR_BYTES, VendorHttp
from fengchao_spark.signer import SignedAuth

MAX_MESSAGE_BYTES = 4 * 1024 * 1024

_GOODBYE_S = 0.5
_SWITCHED = 101
_REFUSES = (401, 403)
_FAILURES = (ClientError, OSError)  # a TimeoutError is an OSError


class Sockets:
    """
    WebSockets to one of the vendor's hosts. Serves any number of concurrent calls.

    Args:
        http: the host; its errors, limits and connections are taken.
        auth: signs.
    """

    def __init__(self, http: VendorHttp, auth: SignedAuth) -> None:
        self.http = http
        self.auth = auth
        self._session: ClientSession | None = None

    def open(self, path: str) -> Socket:
        """A socket at a path, to be entered."""
        return Socket(self, self.http.url(path))

    async def close(self) -> None:
        """Close the session; the connections are the gateway's."""
        if self._session is not None:
            await self._session.close()

    def session(self) -> ClientSession:
        """The session for handshakes, made on first use."""
        session = self._session
        if session is None:
            pooled = self.http.session
            session = self._session = ClientSession(
                connector=pooled.connector,
                connector_owner=False,
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                headers=pooled.headers,
                timeout=self.http.timeout,
                middlewares=(_keep_refusals,),
            )
        return session


class Socket:
    """
    One WebSocket: entering connects, leaving it at any point closes it at once.

    Only where the answer was read to its end is the vendor's own goodbye waited for, and not long. Not to be used
    twice, nor by two tasks. Errors raised inside are dressed (`VendorHttp.dress`) on their way out.
    """

    def __init__(self, sockets: Sockets, url: URL) -> None:
        self._sockets = sockets
        self._http = sockets.http
        self._url = url
        self._socket: ClientWebSocketResponse | None = None

    @override
    def __repr__(self) -> str:
        return f"<Socket {self._url.raw_path}>"

    async def __aenter__(self) -> Self:
        auth = self._sockets.auth
        clock = auth.clock
        told = await self._connect()
        # Maybe our clock is wrong: only where the answer tells us a better time is there another signature to try.
        if (
            told is not None
            and told.status in _REFUSES
            and auth.rejected(clock, told.headers.get("Date"))
        ):
            told = await self._connect()
        if told is None:
            return self
        if told.status >= 400:
            raise self._http.classify(told.status, told.headers, told.body)
        raise self._http.dress(
            ProviderProtocolError(
                f"the provider answered a WebSocket handshake with HTTP status {told.status}; expected {_SWITCHED}",
                status=told.status,
            )
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            try:
                # Without an answer to wait for, the goodbye is sent and the connection dropped in the same turn.
                async with asyncio.timeout(_GOODBYE_S if kind is None else 0):
                    await self._socket.close()
            except TimeoutError:
                pass
        if isinstance(error, ProviderError):
            self._http.dress(error)

    async def send(self, frame: bytes) -> None:
        """Send one text message. Raises `ProviderUnavailable`."""
        try:
            await self._open.send_frame(frame, WSMsgType.TEXT)
        except _FAILURES as error:
            failure = self._http.failure(error, "the provider could not be asked")
        else:
            return
        raise failure

    async def receive(self) -> str | bytes:
        """
        The next message, put together where it came in fragments.

        Raises:
            ProviderUnavailable: the connection was closed or cut.
            ProviderProtocolError: what came is no WebSocket message, or too long a one.
        """
        message = await self._open.receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        if message.type is WSMsgType.ERROR and isinstance(message.data, WebSocketError):
            raise ProviderProtocolError(
                f"the provider broke the WebSocket protocol (code {message.data.code})"
            )
        raise ProviderUnavailable(
            "the provider closed the connection before its answer was whole "
            f"(code {self._open.close_code})"
        )

    @property
    def _open(self) -> ClientWebSocketResponse:
        assert self._socket is not None, "enter the socket first"  # noqa: S101  # a mistake of ours
        return self._socket

    async def _connect(self) -> _RefusedError | None:
        """Connect; gives the vendor's answer where it is a refusal."""
        url = self._sockets.auth.signed("GET", self._url)
        try:
            self._socket = await self._sockets.session().ws_connect(
                url,
                proxy=self._http.proxy,
                max_msg_size=MAX_MESSAGE_BYTES,
                timeout=ClientWSTimeout(ws_receive=None, ws_close=_GOODBYE_S),
            )
        except _RefusedError as refused:
            return refused
        except WSServerHandshakeError:
            failure: ProviderError = self._http.dress(
                ProviderProtocolError("the provider's WebSocket handshake is broken")
            )
        except _FAILURES as error:
            failure = self._http.failure(error, "the provider could not be reached")
        else:
            return None
        # Raised here, not in the handler: the context of an exception travels with it, and aiohttp's holds the URL.
        raise failure


class _RefusedError(Exception):
    """The vendor's answer to a handshake that it refuses."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


async def _keep_refusals(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Raise any answer but a switch of protocols, with its body. So redirects are not followed, either."""
    response = await handler(request)
    if response.status == _SWITCHED:
        return response
    pieces: list[bytes] = []
    size = 0
    try:
        while size < MAX_ERROR_BYTES and (piece := await response.content.readany()):
            pieces.append(piece)
            size += len(piece)
    except _FAILURES:
        if response.status < 400:  # no refusal: an answer that was cut off
            raise
    finally:
        response.close()
    raise _RefusedError(response.status, response.headers, b"".join(pieces))
