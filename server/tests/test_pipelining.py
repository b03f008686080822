"""Callers that send many requests at once on one connection, and what failed requests leave behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable

from fengchao_server.call import Call

BODY = b'{"api_key": "nobody", "secret_key": "nothing"}'
HEAD = b"POST /aigc/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
ONE = HEAD % len(BODY) + BODY


async def answers(bench, writes: Iterable[bytes], most: int) -> int:
    """How many answers come to these writes, each in a packet of its own; waits for so many at most."""
    port = int(bench.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    read = b""
    try:
        for data in writes:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(10):
            while read.count(b"HTTP/1.1 ") < most and (piece := await reader.read(65536)):
                read += piece
    finally:
        writer.close()
    return read.count(b"HTTP/1.1 ")


def calls() -> list[Call]:
    """All requests that are still in memory."""
    return [kept for kept in gc.get_objects() if type(kept) is Call]


async def test_many_requests_at_once(bench):
    """Each of eighty requests in one packet is answered, also behind one whose body came late."""
    assert 80 == await answers(bench, [80 * ONE], 80)
    late = [HEAD % len(BODY), BODY, 80 * ONE]
    assert 81 == await answers(bench, late, 81)


async def test_a_failed_request_is_forgotten(bench):
    """Nothing of a request that failed is left for the garbage collector, least of all its body."""
    gc.collect()
    gc.disable()
    before = {id(kept) for kept in calls()}  # errors that other tests keep hold theirs
    try:
        for path in ("/aigc/token", "/aigc/chat/", "/v1/chat/completions"):
            for data in (b"{" + b" " * 10_000, b'{"model": "nowhere", "messages": 3}'):
                async with bench.client.post(path, data=data, headers=bench.bearer) as answer:
                    assert answer.status >= 400
        await asyncio.sleep(0.05)
        assert [] == [kept.path for kept in calls() if id(kept) not in before]
    finally:
        gc.enable()


async def test_a_token_is_asked_for_in_few_words(bench):
    """A body that is far larger than a key pair is refused before it is read to its end."""
    data = b'{"api_key": "' + b"x" * 1_000_000 + b'"}'
    async with bench.client.post("/aigc/token", data=data) as answer:
        assert (413, 413) == (answer.status, (await answer.json())["status"])
