"""The short way of a usual call: to the vendor, and to whoever asks, the same as the long one."""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from multidict import CIMultiDict
from yarl import URL

from fengchao_core.errors import ProviderError, ProviderUnavailable, RateLimited
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.http import Exchange, Sessions, VendorHttp
from fengchao_core.kit.http.line import MAX_SHORT_BYTES, line_to
from fengchao_core.provider import Limits, ProviderContext, ProviderSettings
from fengchao_core.testing import (
    Answer,
    Do,
    FakeClock,
    Received,
    ScriptedVendor,
    json_answer,
    sse_answer,
)

KEYS = {"Authorization": "Bearer a-secret-key", "X-Name": "été"}


class SignedEachTime(StaticAuth):
    """The same headers, asked for anew for each request: such calls go the long way."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self.fixed = None


def both_ways(base_url: str, sessions: Sessions, **options: Any) -> tuple[VendorHttp, VendorHttp]:
    """A transport that goes the short way, and one that goes the long way."""
    context = ProviderContext("acme", FakeClock(), Limits(), sessions)
    settings = ProviderSettings(base_url=base_url)
    classify = classify_by({"fast": RateLimited})
    short, long = (
        VendorHttp(context, settings, auth, classify, max_body_bytes=100_000, **options)
        for auth in (StaticAuth(KEYS), SignedEachTime(KEYS))
    )
    return short, long


@asynccontextmanager
async def opened(
    *answers: Answer, **options: Any
) -> AsyncIterator[tuple[ScriptedVendor, VendorHttp, VendorHttp]]:
    """A vendor with these answers, and both ways to it."""
    async with ScriptedVendor() as vendor, Sessions() as sessions:
        vendor.answers(*answers)
        yield vendor, *both_ways(f"{vendor.base_url}/v1?version=1%2F2", sessions, **options)


async def outcome(http: VendorHttp, body: bytes = b'{"q":"\xe9\x97\xae"}') -> object:
    """All that a caller learns of one call."""
    try:
        async with http.post("/chat", body) as answer:
            head = {k: v for k, v in answer.headers.items() if k != "Date"}
            return answer.status, head, await answer.read()
    except ProviderError as error:
        return type(error), error.args, {k: v for k, v in vars(error).items() if k != "attempts"}


def sent(request: Received) -> object:
    """All that a vendor learns of one request, but for the connection it came by."""
    return request.method, request.target, sorted(request.headers.items()), request.body


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.mark.parametrize(
    "answer",
    [
        json_answer({"text": "好"}),
        json_answer({}, headers={"Connection": "close"}),
        Answer((b"{", b"}")),
        Answer((), status=204),
        Answer((gzip.compress(b"{}"),), headers={"Content-Encoding": "gzip"}),
        Answer((b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", PLAIN), raw=True),
        Answer((b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,), raw=True),
        Answer((b"HTTP/1.0 200 OK\r\n\r\n{}",), raw=True),
        Answer((b"x" * 60_000, b"x" * 60_000)),
        json_answer({}, status=302, headers={"Location": "/elsewhere"}),
        json_answer({"error": {"code": "fast", "message": "m"}}, status=401),
        json_answer({"error": {"code": "fast"}}, status=429, headers={"Retry-After": "7"}),
        Answer((Do.CUT,)),
        Answer((b"{", Do.CUT)),
        Answer((b"",), raw=True),
        Answer((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",), raw=True),
    ],
)
async def test_both_ways_are_the_same(answer: Answer) -> None:
    """What is sent, what is answered, and what goes wrong."""
    async with opened(answer) as (vendor, short, long):
        assert await outcome(long) == await outcome(short)
    assert sent(vendor.requests[0]) == sent(vendor.requests[1])


@pytest.mark.parametrize(
    "raw", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_no_http_is_the_same_error(raw: bytes) -> None:
    """It is told by its class alone, which aiohttp calls differently on its own way."""
    async with opened(Answer((raw,), raw=True)) as (_, short, long):
        kinds = {type(await http_error(http)) for http in (short, long)}
    assert {ProviderUnavailable} == kinds


async def test_both_ways_share_their_connections() -> None:
    """One pool: a connection that one has given back serves the other, a stream's, too."""
    async with opened(json_answer({}), sse_answer(b"data: 1\n\n"), json_answer({})) as it:
        vendor, short, long = it
        await outcome(short)
        async with short.post("/chat", b"{}") as answer:
            assert [b"data: 1\n\n"] == [read async for read in answer]
        await outcome(long)
        await outcome(short)
    assert 1 == len({request.peer for request in vendor.requests})


@pytest.mark.parametrize("size", [0, MAX_SHORT_BYTES, MAX_SHORT_BYTES + 1, 900_000])
async def test_a_body_of_any_length_arrives(size: int) -> None:
    """What is too long for one write goes the long way."""
    async with opened(json_answer({})) as (vendor, short, _):
        await outcome(short, b"x" * size)
    assert b"x" * size == vendor.requests[0].body


async def test_who_stops_waiting_hangs_up() -> None:
    """Neither a connection nor its place in the pool is kept by a call that was cancelled."""
    async with opened(Answer((Do.HANG,))) as (vendor, short, _):
        asked = asyncio.create_task(outcome(short))
        request = await vendor.request(1)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        async with asyncio.timeout(1):
            await request.closed_by_client.wait()


async def test_a_closed_gateway_is_told() -> None:
    """After the sessions were closed nothing is sent, whether or not a line was open."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer({}))
        async with Sessions() as sessions:
            used, _ = both_ways(vendor.base_url, sessions)
            fresh, _ = both_ways(vendor.base_url, sessions)
            await outcome(used)
        for http in (used, fresh):
            with pytest.raises(ProviderUnavailable, match="closed"):
                await http.post_json("/chat", b"{}")
    assert 1 == len(vendor.requests)


def test_the_installed_aiohttp_was_tried() -> None:
    """A usual call does go the short way; if not, try the new release and add it to `TRIED_AIOHTTP`."""
    usual = CIMultiDict({"Accept": "application/json", **KEYS})
    assert line_to(_transport(), URL("http://vendor.invalid/v1"), usual) is not None


@pytest.mark.parametrize(
    "unusual",
    [{"X": "a\nb"}, {"expect": "100-continue"}, {"Content-Length": "5"}, {"connection": "close"}],
)
def test_headers_that_change_the_protocol_go_the_long_way(unusual: dict[str, str]) -> None:
    """So does what cannot travel in a header, for its error."""
    assert line_to(_transport(), URL("http://vendor.invalid/v1"), CIMultiDict(unusual)) is None


def test_a_proxy_is_reached_the_long_way() -> None:
    """Proxies have handshakes and credentials of their own."""
    http = _transport(proxy="http://127.0.0.1:8080")
    assert line_to(http, URL("http://vendor.invalid/v1"), CIMultiDict()) is None


async def http_error(http: VendorHttp) -> BaseException:
    """The error that a call ends with."""
    with pytest.raises(ProviderError) as caught:
        await http.post_json("/chat", b"{}")
    return caught.value


def _transport(**settings: Any) -> VendorHttp:
    context = ProviderContext("acme", FakeClock(), Limits(), Sessions())
    settings = {"base_url": "http://vendor.invalid", **settings}
    return VendorHttp(context, ProviderSettings(**settings), StaticAuth(), classify_by({}))


async def test_a_late_word_is_no_answer_to_the_next_call() -> None:
    """What a vendor says on an idle connection, asked by nobody, closes it; the next call gets an answer of its own."""
    said = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + (b"own"))
        await writer.drain()
        if not said.is_set():
            await asyncio.sleep(0.02)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
            await writer.drain()
            said.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Sessions() as sessions:
        short, _ = both_ways(f"http://127.0.0.1:{port}/v1", sessions)
        first = await short.post_json("/chat", b"{}")
        await said.wait()
        await asyncio.sleep(0.02)
        assert (b"own", b"own") == (first, await short.post_json("/chat", b"{}"))


async def test_a_failed_call_is_forgotten() -> None:
    """Once its error was seen, nothing of a failed call is left for the garbage collector, least of all its body."""
    gc.collect()
    gc.disable()
    before = {id(kept) for kept in gc.get_objects() if type(kept) is Exchange}
    try:
        async with opened(
            json_answer({"error": {"code": "fast"}}, status=400), Answer((b"x", Do.CUT))
        ) as (_, *ways):
            for http in ways:
                await outcome(http)
                await outcome(http)
        left = [kept for kept in gc.get_objects() if type(kept) is Exchange]
        assert [] == [kept for kept in left if id(kept) not in before]
    finally:
        gc.enable()
