"""One request to a vendor and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiohttp import ClientError, ClientResponse, StreamReader
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override
from yarl import URL

from fengchao_core.errors import ProviderError, ProviderProtocolError
from fengchao_core.kit.http.line import MAX_SHORT_BYTES, Line, Reply

if TYPE_CHECKING:
    from fengchao_core.kit.auth import Authoriser
    from fengchao_core.kit.http.vendor import VendorHttp

MAX_ERROR_BYTES = 64 * 1024

_TAIL_S = 0.5
_ERROR_BODY_S = 5.0
_CUT_OFF = "the provider's answer was cut off"
_FAILURES = (ClientError, HttpProcessingError, OSError)  # a TimeoutError is an OSError


class Exchange:
    """
    One request and its answer: entering sends it, leaving it at any point closes the connection at once.

    Only where the answer was read to its end is the connection kept, for the next call. Not to be used twice, nor by two tasks. Errors raised inside are dressed (`VendorHttp.dress`) on their way out.

    Attributes:
        status: the HTTP status, below 300.
        headers: the answer's headers; keys in any case.
    """

    __slots__ = (
        "_body",
        "_content",
        "_headers",
        "_http",
        "_line",
        "_method",
        "_response",
        "_url",
        "headers",
        "status",
    )

    def __init__(
        self,
        http: VendorHttp,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        line: Line | None = None,
    ) -> None:
        self._http = http
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._line = line
        self._response: ClientResponse | Reply | None = None

    @override
    def __repr__(self) -> str:
        return f"<Exchange {self._method} {self._url.raw_path}>"

    async def __aenter__(self) -> Self:
        authoriser = self._http.authoriser
        response: ClientResponse | Reply
        if authoriser.fixed is not None:
            response = await self._send(self._url, self._headers)
        else:
            response = await self._signed(authoriser)
        self._response = response
        self._content: StreamReader = response.content
        self.status = status = response.status
        self.headers: Mapping[str, str] = response.headers
        if status >= 300:
            try:
                error = await self._refusal()
            finally:
                self._end()
            try:
                raise error
            finally:
                del error  # as below
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        if isinstance(error, ProviderError):
            self._http.dress(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The bytes that have arrived since the last read, as soon as there are any."""
        try:
            read = await self._content.readany()
        except _FAILURES as error:
            failure = self._http.failure(error, _CUT_OFF)
        else:
            if read:
                return read
            raise StopAsyncIteration
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, and so the request's body

    async def read(self) -> bytes:
        """
        The whole answer.

        Raises:
            ProviderProtocolError: it is longer than `max_body_bytes`.
            ProviderUnavailable: the connection was cut.
        """
        content, limit = self._content, self._http.max_body_bytes
        try:
            body = await content.readany()
            if not content.at_eof():  # the usual answer is one read
                pieces = [body]
                await self._collect(pieces, limit)
                body = b"".join(pieces)
        except _FAILURES as error:
            failure: ProviderError = self._http.failure(error, _CUT_OFF)
        else:
            if len(body) <= limit:
                return body
            failure = ProviderProtocolError(f"the provider's answer is longer than {limit} bytes")
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, and so the request's body

    async def settle(self) -> None:
        """
        Wait half a second at most for the end of a stream's body, after its last event.

        So the connection can serve the next call. Whatever still comes is dropped.
        """
        if self._content.at_eof():
            return
        try:
            async with asyncio.timeout(_TAIL_S):
                while await self._content.readany():
                    pass
        except _FAILURES:
            return

    async def _signed(self, authoriser: Authoriser) -> ClientResponse | Reply:
        url, headers, token = await authoriser.sign(
            self._method, self._url, self._headers, self._body
        )
        response = await self._send(url, headers)
        if response.status == 401 and authoriser.rejected(token, response.headers.get("Date")):
            response.close()
            url, headers, _ = await authoriser.sign(
                self._method, self._url, self._headers, self._body
            )
            response = await self._send(url, headers)
        return response

    async def _send(self, url: URL, headers: Mapping[str, str]) -> ClientResponse | Reply:
        http, line, body = self._http, self._line, self._body
        try:
            if line is not None and body is not None and len(body) <= MAX_SHORT_BYTES:
                return await line.post(body)
            return await http.session.request(
                self._method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=http.timeout,
                proxy=http.proxy,
            )
        except _FAILURES as error:
            failure = http.failure(error, "the provider could not be reached")
        # Raised here, not in the handler: the context of an exception travels with it, and aiohttp's holds headers.
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame, and so the request's body

    async def _refusal(self) -> ProviderError:
        if self.status < 400:
            return self._http.dress(
                ProviderProtocolError(
                    f"the provider answered a redirect (HTTP status {self.status}), which is not followed because "
                    "credentials would travel with it; expected the final address in 'base_url'",
                    status=self.status,
                )
            )
        pieces: list[bytes] = []
        with suppress(*_FAILURES):  # the status is known, and says enough
            async with asyncio.timeout(_ERROR_BODY_S):
                await self._collect(pieces, MAX_ERROR_BYTES)
        return self._http.classify(self.status, self.headers, b"".join(pieces))

    async def _collect(self, pieces: list[bytes], limit: int) -> None:
        """Read on to the end, or to a little beyond the limit."""
        size = sum(map(len, pieces))
        while size <= limit and (piece := await self._content.readany()):
            pieces.append(piece)
            size += len(piece)

    def _end(self) -> None:
        response = self._response
        if response is None or response.closed:
            return  # whose body came to its end gave the connection back by itself
        if self._content.at_eof():
            response.release()
        else:
            response.close()
