"""
The short way of a usual call: a body of some kilobytes, posted over and over to the same address with the same headers.

`ClientSession.request` gets ready for redirects, cookies, forms, uploads of any kind and tracing; that took more time than
everything else a call does between its encoding and its decoding. Here the head of the request is written once for each
address, and head and body go out in one piece. Connections, their pool, TLS, the parsing of answers and their
decompression are aiohttp's as ever, and whatever is not usual goes by `ClientSession.request`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiohttp import (
    BaseConnector,
    ClientConnectionError,
    ClientConnectionResetError,
    ClientRequest,
    ConnectionTimeoutError,
    StreamReader,
    __version__,
)
from multidict import CIMultiDict

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from yarl import URL

    from fengchao_core.kit.http.vendor import VendorHttp

MAX_SHORT_BYTES = 64 * 1024  # what the kernel takes at once; more has to wait for the other side
TRIED_AIOHTTP = ("3.12.", "3.13.", "3.14.")
"""The releases whose connections were found to work this way; by any other, every call goes the long way."""

_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TELLING = ("Connection", "Content-Encoding", "Content-Length", "Expect", "Transfer-Encoding")


class Reply:
    """
    An answer whose head has come: as much of `aiohttp.ClientResponse` as an `Exchange` needs.

    The connection goes back to the pool by itself when the body has come to its end.

    Attributes:
        closed: the connection was given back, or closed.
    """

    __slots__ = ("_connection", "closed", "content", "headers", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], content: StreamReader, connection: Connection
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.closed = False
        self._connection = connection
        content.on_eof(self.release)

    def release(self) -> None:
        """Give the connection back."""
        if not self.closed:
            self.closed = True
            self._connection.release()

    def close(self) -> None:
        """Close the connection."""
        if not self.closed:
            self.closed = True
            self._connection.close()


class Line:
    """
    Posts to one address with headers that never change. Serves any number of concurrent calls.

    Args:
        http: whose session and connect limit are used; it must have no proxy.
        url: the address.
        headers: all that are sent, but for what the session adds.
    """

    def __init__(self, http: VendorHttp, url: URL, headers: CIMultiDict[str]) -> None:
        self._http = http
        self._url = url
        self._headers = headers
        self._connector: BaseConnector | None = None

    async def post(self, body: bytes) -> Reply:
        """
        Send the body and wait for the head of the answer.

        Raises:
            ProviderUnavailable: the gateway is closed.
            aiohttp.ClientError, HttpProcessingError, OSError: as `ClientSession.request`.
        """
        connector = self._connector
        if connector is None or connector.closed:
            connector = self._open()
        try:
            connection = await connector.connect(self._request, [], self._http.timeout)
            while connection.protocol is not None and connection.protocol.should_close:
                # The vendor said something on it that nobody asked for: it must not pass for the answer to this call.
                connection.close()
                connection = await connector.connect(self._request, [], self._http.timeout)
        except TimeoutError as error:
            raise ConnectionTimeoutError(f"no connection to {self._url.raw_host}") from error
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None or transport.is_closing():
                raise ClientConnectionResetError("the connection was lost before its first use")
            protocol.set_response_params(read_until_eof=True)
            transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
            return Reply(message.code, message.headers, content, connection)
        except BaseException:
            connection.close()
            raise

    def _open(self) -> BaseConnector:
        session = self._http.session
        connector = session.connector
        if connector is None:
            raise ClientConnectionError("the session was closed")
        headers = session.headers.copy()
        headers.update(self._headers)
        # What the pool knows a connection by, and what aiohttp adds to the headers.
        self._request = ClientRequest(
            "POST", self._url, headers=headers, loop=asyncio.get_running_loop(), session=session
        )
        written = self._request.headers.copy()
        written.popall("Content-Length", None)
        lines = [f"{name}: {value}\r\n" for name, value in written.items()]
        target = self._url.raw_path_qs
        self._head = f"POST {target} HTTP/1.1\r\n{''.join(lines)}Content-Length: ".encode()
        self._connector = connector
        return connector


def line_to(http: VendorHttp, url: URL, headers: CIMultiDict[str]) -> Line | None:
    """A line to an address; None where calls to it have to go the long way."""
    is_usual = (
        http.proxy is None
        and __version__.startswith(TRIED_AIOHTTP)
        and not any(name in headers for name in _TELLING)
        and not any(_FORBIDDEN.search(name + value) for name, value in headers.items())
    )
    return Line(http, url, headers) if is_usual else None
