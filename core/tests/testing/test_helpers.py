"""The clock, the guard and the strategies that plugins' tests are made of."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.testing import FakeClock, ScriptedVendor, strategies
from fengchao_core.types import ChatRequest, Message, Price, Usage
from fengchao_core.usage import cost

pytest_plugins = ["pytester"]


def test_the_clock_stands_until_it_is_moved() -> None:
    """Both clocks move together by `advance`, and only then."""
    clock = FakeClock(datetime(2024, 4, 6, 3, 0, tzinfo=timezone(timedelta(hours=8))))
    before = clock.monotonic()
    assert datetime(2024, 4, 5, 19, 0, tzinfo=UTC) == clock.now() == clock.now()
    clock.advance(1.5)
    assert datetime(2024, 4, 5, 19, 0, 1, 500_000, tzinfo=UTC) == clock.now()
    assert before + 1.5 == clock.monotonic()


def test_the_clock_refuses_what_no_clock_does() -> None:
    """Time does not run backwards and has a zone; the wall clock alone may be put right."""
    clock = FakeClock()
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2024, 1, 1))  # noqa: DTZ001  # what is refused here
    ticks = clock.monotonic()
    clock.set_now(datetime(2020, 1, 1, tzinfo=UTC))
    assert (datetime(2020, 1, 1, tzinfo=UTC), ticks) == (clock.now(), clock.monotonic())


GUARDED = """
    import contextlib, socket, asyncio
    import pytest
    from fengchao_core.testing.guard import loopback_only

    def test_reaches_out():
        with socket.socket() as s:
            s.connect(("192.0.2.1", 80))

    def test_swallows_it():
        with contextlib.suppress(BaseException):
            socket.getaddrinfo("example.com", 80)

    async def test_reaches_out_by_the_loop():
        with contextlib.suppress(AssertionError):
            await asyncio.open_connection("192.0.2.1", 80)

    @pytest.mark.online
    def test_may():
        with socket.socket() as s, contextlib.suppress(OSError):
            s.settimeout(0.001)
            s.connect(("192.0.2.1", 80))

    def test_stays_here():
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
            socket.create_connection(("localhost", server.getsockname()[1])).close()
        a, b = socket.socketpair()
        a.close(); b.close()
"""


def test_the_guard_fails_tests_that_reach_beyond_loopback(pytester: pytest.Pytester) -> None:
    """A connection or a name look-up beyond loopback fails its test, swallowed or not; `online` tests may."""
    pytester.makepyfile(GUARDED)
    pytester.makeini(
        "[pytest]\nmarkers = online: x\nasyncio_mode = auto\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*reached beyond loopback*"])
    # A test that swallows the error passes its body; the fixture fails it afterwards.
    result.assert_outcomes(passed=4, failed=1, errors=3)


@given(st.data(), strategies.texts())
def test_chunkings_join_to_the_whole(data: st.DataObject, text: str) -> None:
    """Any chunking joins to the whole, of texts and of bytes, and texts can be encoded."""
    assert text == "".join(data.draw(strategies.chunkings(text)))
    assert text.encode() == b"".join(data.draw(strategies.chunkings(text.encode())))


@given(strategies.chat_requests(), strategies.messages())
def test_requests_end_with_the_user(request: ChatRequest, message: Message) -> None:
    """Every conversation can be sent: the user speaks last and says something."""
    assert "user" == request.messages[-1].role
    assert request.messages[-1].text.strip()
    assert message.role in {"system", "user", "assistant", "tool"}


@given(strategies.usages(), strategies.prices())
def test_usages_and_prices_fit_together(usage: Usage, price: Price) -> None:
    """A usage's parts do not exceed it, and any price gives a cost of at least nothing."""
    assert usage.cached_tokens <= usage.prompt_tokens
    assert usage.reasoning_tokens <= usage.completion_tokens
    assert cost(usage, price).amount >= 0


async def test_the_vendor_closes_its_port() -> None:
    """After the vendor is left, nothing listens where it was."""
    async with ScriptedVendor() as vendor:
        host, port = vendor.base_url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
