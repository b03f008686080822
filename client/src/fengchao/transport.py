"""
One HTTP exchange: sent, signed, limited in time, and its failures put into words.

Whatever is not a good answer is raised as a `FengChaoAPIError`: a failed connection or a time limit as well as a status.
No URL and no header reaches a message: the one may hold an address of somebody's house, the other a token.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

import orjson

from fengchao.errors import error_for, error_of
from fengchao.signing import Signer
from fengchao.sse import EventParser, EventTooLargeError
from fengchao.uploads import Form
from fengchao.wire.codes import Code
from fengchao.wire.models import FinalResponse

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

TIMEOUT_S = 600.0
"""The limit of an exchange where neither the client nor the call names one."""

CONNECT_S = 10.0

_JSON = {"Content-Type": "application/json"}
_TRY_LATER = frozenset({429, 502, 503, 504})


class Transport:
    """
    Exchanges with the service at an address. Holds no connection: each exchange is given the session to use.

    Args:
        base_url: checked, without a closing slash.
        timeout_s: the limit of an exchange that brings none. Of a stream it limits each wait for the next bytes.
    """

    def __init__(self, base_url: str, signer: Signer, *, timeout_s: float) -> None:
        self._base_url = base_url
        self._signer = signer
        self._timeout_s = timeout_s

    async def get(self, session: ClientSession, path: str) -> bytes:
        """The body of an answer that needs no keys."""
        with _put_into_words():
            async with session.get(self._base_url + path, timeout=self._limit(None)) as response:
                return await _good_body(response)

    async def post(
        self,
        session: ClientSession,
        path: str,
        body: bytes,
        timeout_s: float | None,
        *,
        once: str | None = None,
    ) -> bytes:
        """
        The body of the answer to a JSON body.

        Args:
            once: what all attempts of one call have in common, so that the service takes only one of them.
        """
        headers = {**_JSON, "Authorization": self._signer.token()}
        if once is not None:
            headers["Idempotency-Key"] = once
        limit = self._limit(timeout_s)
        with _put_into_words():
            async with session.post(
                self._base_url + path, data=body, headers=headers, timeout=limit
            ) as response:
                return await _good_body(response)

    async def ask(
        self, session: ClientSession, method: Literal["GET", "DELETE"], path: str
    ) -> bytes:
        """The body of an answer that needs keys, to a request without a body."""
        headers = {"Authorization": self._signer.token()}
        with _put_into_words():
            async with session.request(
                method, self._base_url + path, headers=headers, timeout=self._limit(None)
            ) as response:
                return await _good_body(response)

    async def upload(
        self, session: ClientSession, path: str, form: Form, timeout_s: float | None
    ) -> bytes:
        """The body of the answer to a form with files, which is sent as it is read."""
        headers = {**form.headers, "Authorization": self._signer.token()}
        limit = self._limit(timeout_s)
        with _put_into_words():
            async with session.post(
                self._base_url + path, data=form.body(), headers=headers, timeout=limit
            ) as response:
                return await _good_body(response)

    async def stream(
        self, session: ClientSession, path: str, body: bytes | None, timeout_s: float | None
    ) -> EventStream:
        """The answer to a JSON body, or to a GET, as a stream, once its first event is there. The caller closes it."""
        headers = {
            **(_JSON if body is not None else {}),
            "Accept": "text/event-stream",
            "Authorization": self._signer.token(),
        }
        limit = self._limit(timeout_s, stream=True)
        method = "GET" if body is None else "POST"
        with _put_into_words():
            response = await session.request(
                method, self._base_url + path, data=body, headers=headers, timeout=limit
            )
        stream = EventStream(response)
        try:
            await stream.begin()
        except BaseException:
            stream.close()
            raise
        return stream

    def _limit(self, timeout_s: float | None, *, stream: bool = False) -> ClientTimeout:
        from aiohttp import ClientTimeout

        limit_s = self._timeout_s if timeout_s is None else timeout_s
        connect_s = min(CONNECT_S, limit_s)
        if stream:
            return ClientTimeout(total=None, sock_connect=connect_s, sock_read=limit_s)
        return ClientTimeout(total=limit_s, sock_connect=connect_s)


class EventStream:
    """The events of a response, one by one."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self._parser = EventParser()
        self._waiting: deque[bytes] = deque()
        self._ended = False

    async def begin(self) -> None:
        """Wait for the first event, so that what fails before it can be tried again."""
        if self._response.status != Code.OK:
            with _put_into_words():
                await _good_body(self._response)
        if self._response.content_type == "application/json":
            # A service that has nothing to stream may answer at once.
            with _put_into_words():
                self._waiting.append(await self._response.read())
            self._ended = True
            return
        await self._fill()

    async def next(self) -> bytes | None:
        """The next event; None at the end."""
        if not self._waiting:
            await self._fill()
        return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """End the request; its connection is kept only where the stream was read to the end."""
        if self._ended:
            self._response.release()
        else:
            self._response.close()

    async def _fill(self) -> None:
        while not self._waiting and not self._ended:
            with _put_into_words():
                chunk = await self._response.content.readany()
            try:
                events = self._parser.feed(chunk) if chunk else self._parser.close()
                self._waiting.extend(event for event in events if event != b"[DONE]")
            except EventTooLargeError as error:
                raise error_of(Code.ACCESS_FAILED, "流式结果中的一条过大") from error
            self._ended = not chunk


@contextmanager
def _put_into_words() -> Iterator[None]:
    """Turn what the transport raises into what a caller can read."""
    from aiohttp import ClientConnectionError, ClientError

    try:
        yield
    except TimeoutError as error:
        raise error_of(Code.TIMEOUT, "服务未在时限内回答", retryable=True) from error
    except ClientConnectionError as error:
        reason = f"无法连接服务，或连接已断开（{type(error).__name__}）"
        raise error_of(Code.ACCESS_FAILED, reason, retryable=True) from error
    except ClientError as error:
        # A body cut short, mostly. Not chained: some of these carry the request's headers.
        reason = f"服务的回答不完整（{type(error).__name__}）"
        raise error_of(Code.ACCESS_FAILED, reason, retryable=True) from None


async def _good_body(response: ClientResponse) -> bytes:
    raw = await response.read()
    if response.status == Code.OK:
        return raw
    try:
        said = FinalResponse.model_validate({**orjson.loads(raw), "data": None}).msg
    except (ValueError, TypeError):
        said = (
            f"访问异常：HTTP {response.status}"  # a proxy's page, say, which nobody wants in a msg
        )
    raise error_for(
        FinalResponse(status=response.status, msg=said),
        retryable=response.status in _TRY_LATER,
        retry_after_s=_retry_after(response.headers.get("Retry-After")),
    )


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
