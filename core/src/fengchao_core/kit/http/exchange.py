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

if TYPE_CHECKING:
    from fengchao_core.kit.http.vendor import VendorHttp

MAX_ERROR_BYTES = 64 * 1024

_TAIL_S = 0.5
_ERROR_BODY_S = 5.0
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
    ) -> None:
        self._http = http
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._response: ClientResponse | None = None

    @override
    def __repr__(self) -> str:
        return f"<Exchange {self._method} {self._url.raw_path}>"

    async def __aenter__(self) -> Self:
        http = self._http
        response, token = await self._send()
        if response.status == 401 and http.authoriser.rejected(token, response.headers.get("Date")):
            response.close()
            response, _ = await self._send()
        self._response = response
        self._content: StreamReader = response.content
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        if response.status >= 300:
            try:
                error = await self._refusal()
            finally:
                self._end()
            raise error
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
            failure = self._http.failure(error, "the provider's answer was cut off")
        else:
            if read:
                return read
            raise StopAsyncIteration
        raise failure

    async def read(self) -> bytes:
        """
        The whole answer.

        Raises:
            ProviderProtocolError: it is longer than `max_body_bytes`.
            ProviderUnavailable: the connection was cut.
        """
        return await self._read(self._http.max_body_bytes, strict=True)

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

    async def _send(self) -> tuple[ClientResponse, str]:
        http = self._http
        url, headers, token = await http.authoriser.sign(
            self._method, self._url, self._headers, self._body
        )
        try:
            response = await http.session.request(
                self._method,
                url,
                data=self._body,
                headers=headers,
                allow_redirects=False,
                timeout=http.timeout,
                proxy=http.proxy,
            )
        except _FAILURES as error:
            failure = http.failure(error, "the provider could not be reached")
        else:
            return response, token
        # Raised here, not in the handler: the context of an exception travels with it, and aiohttp's holds headers.
        raise failure

    async def _refusal(self) -> ProviderError:
        if self.status < 400:
            return self._http.dress(
                ProviderProtocolError(
                    f"the provider answered a redirect (HTTP status {self.status}), which is not followed because "
                    "credentials would travel with it; expected the final address in 'base_url'",
                    status=self.status,
                )
            )
        body = b""
        with suppress(TimeoutError):  # the status is known, and says enough
            async with asyncio.timeout(_ERROR_BODY_S):
                body = await self._read(MAX_ERROR_BYTES, strict=False)
        return self._http.classify(self.status, self.headers, body)

    async def _read(self, limit: int, *, strict: bool) -> bytes:
        content = self._content
        pieces: list[bytes] = []
        size = 0
        failure: ProviderError | None = None
        try:
            while size <= limit and (piece := await content.readany()):
                pieces.append(piece)
                size += len(piece)
        except _FAILURES as error:
            failure = self._http.failure(error, "the provider's answer was cut off")
        if strict and failure is not None:
            raise failure
        if strict and size > limit:
            raise ProviderProtocolError(f"the provider's answer is longer than {limit} bytes")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _end(self) -> None:
        response = self._response
        if response is None:
            return
        if self._content.at_eof():
            response.release()
        else:
            response.close()
