"""V1's transport: errors under HTTP 200 found before anybody decodes, and a refused token or signature mended once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fengchao_core.errors import ProviderAuthFailed, ProviderError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.http import Exchange, VendorHttp
from fengchao_qianfan.access import V1Access
from fengchao_qianfan.codes import classify as classify_any
from fengchao_qianfan.codes import code_of

if TYPE_CHECKING:
    from yarl import URL

_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}


class V1Http:
    """
    Calls of V1.

    Args:
        http: the transport; it must authorise with the same `access`.
        access: lets calls in.
    """

    def __init__(self, http: VendorHttp, access: V1Access) -> None:
        self._http = http
        self._access = access
        self._urls: dict[str, URL] = {}

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error that an answer means, named and redacted."""
        return self._http.classify(status, headers, body)

    async def post(self, path: str, body: bytes) -> bytes:
        """
        A whole answer that is no error.

        Raises:
            ProviderError: the answer is an error, or there is none.
        """
        async with self.ask(path, body, stream=False) as (answer, _):
            return answer

    @asynccontextmanager
    async def ask(
        self, path: str, body: bytes, *, stream: bool
    ) -> AsyncIterator[tuple[bytes, Exchange | None]]:
        """
        Ask, and give the answer: whole, or as a stream of which the first read is given and the rest is in the exchange.

        A JSON body that answers a request for a stream is read to its end, and given whole.

        Raises:
            ProviderError: the answer is an error. Where it says that the token is invalid or has expired, a new one was
                tried before.
        """
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self._http.url(path)
        for may_mend in (True, False):
            skew_s = self._access.skew_s
            address, token = await self._access.address(url)
            handed = False
            try:
                async with Exchange(self._http, "POST", address, _HEADERS, body) as answer:
                    start = await (_beginning(answer) if stream else answer.read())
                    is_stream = stream and not start.lstrip().startswith(b"{")
                    if stream and not is_stream:
                        start += await answer.read()
                    code = _code_of_event(start) if is_stream else code_of(start)
                    if code is not None:
                        if may_mend and self._mended(code, token, answer):
                            continue
                        if not is_stream:
                            raise self._http.classify(answer.status, answer.headers, start)
                    handed = True
                    yield start, answer if is_stream else None
                    return
            except ProviderAuthFailed as error:
                if handed and error.vendor_code in self._access.renewable:
                    self._access.renew(token, None)  # too late for this call, but not for the next
                # A signature is refused with an HTTP status; with the vendor's time known, another may be right.
                if handed or not may_mend or self._access.skew_s == skew_s:
                    raise

    def _mended(self, code: str, token: str, answer: Exchange) -> bool:
        return code in self._access.renewable and self._access.renew(
            token, answer.headers.get("Date")
        )


def observing(learn: Callable[[str | None], None]) -> Classify:
    """A classifier that also learns the vendor's time from refusals."""

    def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        learn(headers.get("Date"))
        return classify_any(status, headers, body)

    return classify


def _code_of_event(read: bytes) -> str | None:
    """The code of a stream that begins with an error."""
    if b'"error_code"' not in read or not read.startswith(b"data:"):
        return None
    return code_of(read.partition(b"\n")[0].removeprefix(b"data:"))


async def _beginning(answer: Exchange) -> bytes:
    """The first bytes of a stream that are no white space; all of it where there are none."""
    start = b""
    async for read in answer:
        start += read
        if start.strip():
            break
    return start
