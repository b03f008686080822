"""Usage rows on their way to the store."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from fengchao_core import MemoryStore
from fengchao_core.ledger import StoreLedger
from fengchao_core.settings import LedgerSettings
from fengchao_core.telemetry import Telemetry
from fengchao_core.usage import UsageRecord


def row(number: int) -> UsageRecord:
    return UsageRecord(
        id=str(number),
        request_id="r",
        key="k",
        model="m",
        provider="p",
        outcome="ok",
        error="",
        streamed=False,
        attempts=1,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        duration_ms=1,
        first_delta_ms=1,
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="vendor",
        cost=None,
        currency=None,
        price_since=None,
    )


@asynccontextmanager
async def running(usage, **settings):
    ledger = StoreLedger(usage, LedgerSettings(**settings), Telemetry())
    task = asyncio.create_task(ledger.run())
    try:
        yield ledger
    finally:
        await ledger.close()
        await task


class Away:
    """A usage store that fails a number of times, then keeps."""

    def __init__(self, failures):
        self.kept = MemoryStore().usage
        self.failures = failures
        self.batches = []

    async def add(self, rows):
        if self.failures:
            self.failures -= 1
            raise OSError("locked")
        self.batches.append(len(rows))
        await self.kept.add(rows)


async def test_every_row_arrives_in_batches():
    """Many rows share transactions of the set size, and none is lost."""
    usage = Away(0)
    async with running(usage, batch=10, interval_s=0) as ledger:
        for number in range(95):
            ledger.settle(row(number))
        await ledger.flush()
        assert (95, 10) == (len(await usage.kept.rows()), max(usage.batches))


async def test_rows_wait_while_the_store_is_away():
    """A store that fails gets the same rows again; none is lost, none doubled."""
    usage = Away(2)
    async with running(usage, interval_s=0) as ledger:
        for number in range(3):
            ledger.settle(row(number))
        await ledger.flush()
        assert 3 == len(await usage.kept.rows())


async def test_closing_writes_what_is_left():
    """Rows taken just before the end are written before close is through."""
    usage = Away(0)
    async with running(usage, interval_s=60) as ledger:
        ledger.settle(row(1))
    assert 1 == len(await usage.kept.rows())


async def test_a_full_ledger_gives_up_the_oldest():
    """Beyond the capacity the oldest rows make room; the newest are kept."""
    usage = Away(0)
    async with running(usage, capacity=5, interval_s=0) as ledger:
        for number in range(8):
            ledger.settle(row(number))
        await ledger.flush()
    assert {"3", "4", "5", "6", "7"} == {r.id for r in await usage.kept.rows()}
