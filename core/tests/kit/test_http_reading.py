"""Reading bodies: a slow reader holds the vendor up and loses nothing; a quick one asks for nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from random import Random

import pytest
from aiohttp import ClientSession
from aiohttp.base_protocol import BaseProtocol
from yarl import URL

from fengchao_core.kit.http import Sessions
from fengchao_core.testing import Answer, ScriptedVendor, sse_answer

EVENT = b"data: 1\n\n"
NOISE = Random(1).randbytes(3_000_000)
ZEROS = bytes(20_000_000)  # a thousandth of that when compressed


@pytest.fixture
async def vendor() -> AsyncIterator[ScriptedVendor]:
    """A vendor that plays what it is told."""
    async with ScriptedVendor() as scripted:
        yield scripted


@pytest.fixture
async def session(vendor: ScriptedVendor) -> AsyncIterator[ClientSession]:
    """The session that a provider of this vendor would have."""
    async with Sessions() as sessions:
        yield sessions.session(URL(vendor.base_url))


@pytest.mark.parametrize(
    ("sent", "packed"),
    [(NOISE, False), (NOISE, True), (ZEROS, True)],
    ids=["plain", "packed", "packed tightly"],
)
async def test_a_slow_reader_gets_it_all(
    vendor: ScriptedVendor, session: ClientSession, sent: bytes, packed: bool
) -> None:
    """A body that is longer than what is held at a time arrives whole and in order, read slowly at first."""
    body = gzip.compress(sent, 1) if packed else sent
    steps = tuple(body[start : start + 50_000] for start in range(0, len(body), 50_000))
    vendor.answers(Answer(steps, headers={"Content-Encoding": "gzip"} if packed else {}))
    got = bytearray()
    async with asyncio.timeout(30), session.get(vendor.base_url) as answer:
        reads = 0
        async for read in answer.content.iter_any():
            got += read
            reads += 1
            if reads < 10:
                await asyncio.sleep(0.01)
    assert sent == bytes(got)


async def test_a_quick_reader_asks_for_nothing(
    vendor: ScriptedVendor, session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing was paused, neither the parser nor the transport is told to go on for each event."""
    asked = 0
    resume = BaseProtocol.resume_reading

    def count(self: BaseProtocol, *args: bool) -> None:
        nonlocal asked
        if type(self).__name__ == "_Answers":
            asked += 1
        resume(self, *args)

    monkeypatch.setattr(BaseProtocol, "resume_reading", count)
    vendor.answers(sse_answer(*[EVENT] * 50))
    async with session.get(vendor.base_url) as answer:
        read = b"".join([piece async for piece in answer.content.iter_any()])
    assert (50 * EVENT, 0) == (read, asked)
