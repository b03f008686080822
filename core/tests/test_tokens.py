"""Vendor tokens: one issue for everybody, never a stale one, and a clock that is put right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fengchao_core.errors import ProviderAuthFailed, ProviderTimeout
from fengchao_core.testing import FakeClock
from fengchao_core.tokens import Token, TokenManager


class Vendor:
    """Issues tokens that live so long, and counts them."""

    def __init__(self, life_s: float = 1800) -> None:
        self.life_s = life_s
        self.asked_at: list[datetime] = []

    def __call__(self, now: datetime) -> Token:
        """Issue the next one."""
        self.asked_at.append(now)
        return Token(f"t{len(self.asked_at)}", now + timedelta(seconds=self.life_s))


def test_the_value_is_not_shown() -> None:
    """A token's repr does not hold its value."""
    assert "hush" not in repr(Token("hush", FakeClock().now()))


async def test_one_issue_serves_until_the_margin() -> None:
    """A token serves until its margin is reached, then the next one is issued."""
    clock, vendor = FakeClock(), Vendor(life_s=1800)
    manager = TokenManager(vendor, clock, margin_s=60)
    assert "t1" == await manager.get()
    clock.advance(1739)
    assert "t1" == await manager.get()
    clock.advance(1)
    assert "t2" == await manager.get()


async def test_a_token_shorter_than_the_margin_serves_half_its_life() -> None:
    """A margin longer than a token's life does not make every call an issue."""
    clock, vendor = FakeClock(), Vendor(life_s=40)
    manager = TokenManager(vendor, clock, margin_s=60)
    assert "t1" == await manager.get()
    clock.advance(19)
    assert "t1" == await manager.get()
    clock.advance(1)
    assert "t2" == await manager.get()


async def test_a_thousand_first_calls_are_one_issue() -> None:
    """However many callers come at once, one token is issued, and all get it."""
    calls = 0
    go_on = asyncio.Event()

    async def issue(now: datetime) -> Token:
        nonlocal calls
        calls += 1
        await go_on.wait()
        return Token("one", now + timedelta(hours=1))

    manager = TokenManager(issue, FakeClock())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(manager.get()) for _ in range(1000)]
        await asyncio.sleep(0)
        go_on.set()
    assert {"one"} == {task.result() for task in tasks}
    assert 1 == calls


async def test_cancelling_the_one_who_issues_fails_nobody_else() -> None:
    """When the caller whose issue is under way is cancelled, the next in line issues and all others are served."""
    started: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def issue(now: datetime) -> Token:
        go_on = asyncio.Event()
        started.put_nowait(go_on)
        await go_on.wait()
        return Token("fine", now + timedelta(hours=1))

    manager = TokenManager(issue, FakeClock())
    tasks = [asyncio.ensure_future(manager.get()) for _ in range(10)]
    await started.get()
    tasks[0].cancel()
    (await started.get()).set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert ["fine"] * 9 == results[1:]


async def test_cancelling_one_who_waits_changes_nothing() -> None:
    """A waiting caller that is cancelled neither stops the issue nor the others."""
    go_on = asyncio.Event()

    async def issue(now: datetime) -> Token:
        await go_on.wait()
        return Token("fine", now + timedelta(hours=1))

    manager = TokenManager(issue, FakeClock())
    tasks = [asyncio.ensure_future(manager.get()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert ["fine", "fine"] == [results[0], results[2]]


async def test_a_failed_issue_fails_all_who_waited_for_it_and_is_tried_anew_later() -> None:
    """Waiters share one failure, each as an error of its own; the next caller tries again."""
    calls = 0
    go_on = asyncio.Event()

    async def issue(now: datetime) -> Token:
        nonlocal calls
        calls += 1
        await go_on.wait()
        if calls == 1:
            raise ProviderTimeout("connect", 10, provider="acme")
        return Token("fine", now + timedelta(hours=1))

    manager = TokenManager(issue, FakeClock())
    tasks = [asyncio.ensure_future(manager.get()) for _ in range(50)]
    await asyncio.sleep(0)
    go_on.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(e, ProviderTimeout) and e.phase == "connect" for e in errors)
    assert 50 == len({id(error) for error in errors})
    assert 1 == calls
    assert "fine" == await manager.get()


async def test_a_rejected_token_costs_one_refresh() -> None:
    """A hundred calls that were all rejected with the same token cause one issue; an old value does nothing."""
    vendor = Vendor()
    manager = TokenManager(vendor, FakeClock())
    rejected = await manager.get()
    for _ in range(100):
        manager.invalidate(rejected)
        assert "t2" == await manager.get()
    assert 2 == len(vendor.asked_at)


async def test_a_token_that_is_issued_expired_is_refused() -> None:
    """A vendor that issues expired tokens is an error, not a loop."""
    vendor = Vendor(life_s=0)
    manager = TokenManager(vendor, FakeClock(), name="acme")
    with pytest.raises(ProviderAuthFailed, match="already expired") as caught:
        await manager.get()
    assert "acme" == caught.value.provider
    assert 1 == len(vendor.asked_at)


async def test_tokens_that_expire_while_they_are_fetched_are_an_error() -> None:
    """When fetching takes longer than the token lives, the caller is told so after a few tries."""
    clock = FakeClock()

    async def issue(now: datetime) -> Token:
        clock.advance(10)
        return Token("late", now + timedelta(seconds=5))

    with pytest.raises(ProviderAuthFailed, match="before they could be used"):
        await TokenManager(issue, clock).get()


async def test_a_wrong_clock_is_repaired_and_reported_once() -> None:
    """The vendor's time is taken over where it differs, tokens are issued by it, and one warning tells of it."""
    clock, vendor = FakeClock(), Vendor()
    manager = TokenManager(vendor, clock, name="acme", skew_tolerance_s=5)
    theirs = clock.now() + timedelta(hours=2)
    with capture_logs() as logs:
        manager.observe_date(format_datetime(theirs, usegmt=True))
        manager.observe_date(format_datetime(theirs + timedelta(minutes=9), usegmt=True))
    await manager.get()
    assert vendor.asked_at == [theirs + timedelta(minutes=9)]
    assert [("token.clock_skew", "warning", "acme", 7200.0)] == [
        (log["event"], log["log_level"], log["provider"], log["vendor_ahead_s"]) for log in logs
    ]


async def test_a_clock_that_was_put_right_is_trusted_again() -> None:
    """Once the local clock agrees with the vendor's, the correction is gone."""
    clock = FakeClock()
    manager = TokenManager(Vendor(), clock)
    theirs = clock.now() - timedelta(hours=1)
    manager.observe_date(format_datetime(theirs, usegmt=True))
    assert -3600 == manager.skew_s
    clock.set_now(theirs)
    manager.observe_date(format_datetime(theirs, usegmt=True))
    assert 0 == manager.skew_s


@pytest.mark.parametrize("ahead_s", [-5, -1, 0, 3, 5])
async def test_a_small_difference_is_ignored(ahead_s: int) -> None:
    """Seconds are within what a slow network explains."""
    clock = FakeClock()
    manager = TokenManager(Vendor(), clock, skew_tolerance_s=5)
    with capture_logs() as logs:
        manager.observe_date(format_datetime(clock.now() + timedelta(seconds=ahead_s), usegmt=True))
    assert 0 == manager.skew_s
    assert [] == logs


@given(
    st.text()
    | st.sampled_from(["Sat, 99 Apr 2024 99:00:00 GMT", "Fri, 05 Apr 2024 19:34:38 -0000", "1e400"])
)
def test_any_date_header_is_survived(value: str) -> None:
    """Whatever a vendor sends as its date, nothing is raised."""
    TokenManager(Vendor(), FakeClock()).observe_date(value)


def _steps() -> Iterator[st.SearchStrategy[tuple[str, float]]]:
    yield st.tuples(st.just("advance"), st.floats(0, 5000))
    yield st.tuples(st.just("observe"), st.floats(-90_000, 90_000))
    yield st.tuples(st.just("invalidate"), st.just(0.0))


@given(st.lists(st.one_of(*_steps()), max_size=30), st.floats(1, 4000), st.floats(0, 4000))
async def test_a_token_is_never_handed_out_expired(
    steps: list[tuple[str, float]], life_s: float, margin_s: float
) -> None:
    """Whatever time does, a token that is handed out is one the vendor still takes, by the vendor's clock."""
    clock = FakeClock()
    expiries: dict[str, datetime] = {}

    def issue(now: datetime) -> Token:
        token = Token(f"t{len(expiries)}", now + timedelta(seconds=life_s))
        expiries[token.value] = token.expires_at
        return token

    manager = TokenManager(issue, clock, margin_s=margin_s)
    for what, amount in steps:
        value = await manager.get()
        assert manager.now() < expiries[value]
        if what == "advance":
            clock.advance(amount)
        elif what == "observe":
            manager.observe_date(
                format_datetime(clock.now() + timedelta(seconds=amount), usegmt=True)
            )
        else:
            manager.invalidate(value)
    assert manager.now() < expiries[await manager.get()]
