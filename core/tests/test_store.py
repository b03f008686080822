"""The store that forgets: the same promises as a database keeps, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fengchao_core.errors import InvalidParameter
from fengchao_core.store import KeyRecord, MemoryStore, MemoryUsage
from fengchao_core.usage import UsageRecord, total_up

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def make_key(number: int, name: str) -> KeyRecord:
    """A live key."""
    return KeyRecord(api_key=f"{number:032x}", name=name, sealed_secret=b"sealed", created_at=START)


def make_row(number: int, **fields: object) -> UsageRecord:
    """The row of a request that started so many minutes after the start."""
    row = UsageRecord(
        id=f"row-{number}",
        request_id="conversation",
        key="k",
        model="glm-4",
        provider="zhipu",
        outcome="ok",
        error="",
        streamed=True,
        attempts=1,
        started_at=START + number * MINUTE,
        duration_ms=900,
        first_delta_ms=100,
        prompt_tokens=10,
        completion_tokens=20,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="vendor",
        cost=Decimal("0.003"),
        currency="CNY",
        price_since="2024-01-01",
    )
    return replace(row, **fields)


async def test_keys_are_kept_in_order():
    """Keys are listed oldest first, revoked and changed ones in their places."""
    keys = MemoryStore().keys
    first, second = make_key(1, "z"), make_key(2, "a")
    await keys.add(first)
    await keys.add(second)
    changed = replace(first, note="changed")
    await keys.replace(first.api_key, changed)
    assert (changed, second) == await keys.all()


async def test_live_name_is_unique():
    """A live key's name is refused to others, a revoked key's is free."""
    keys = MemoryStore().keys
    first = make_key(1, "team")
    await keys.add(first)
    with pytest.raises(InvalidParameter) as caught:
        await keys.add(make_key(2, "team"))
    assert "name" == caught.value.param
    await keys.replace(first.api_key, replace(first, revoked_at=START))
    await keys.add(make_key(3, "team"))
    assert [True, False] == [key.revoked_at is not None for key in await keys.all()]


async def test_absent_key_is_not_replaced():
    """Replacing a key that is not there is refused and keeps nothing."""
    keys = MemoryStore().keys
    with pytest.raises(InvalidParameter):
        await keys.replace("absent", make_key(1, "team"))
    assert () == await keys.all()


async def test_revision_tells_of_every_change():
    """The revision grows with each change and with nothing else."""
    keys = MemoryStore().keys
    key = make_key(1, "team")
    seen = [await keys.revision()]
    await keys.add(key)
    seen.append(await keys.revision())
    await keys.replace(key.api_key, replace(key, note="changed"))
    seen.append(await keys.revision())
    assert sorted(set(seen)) == seen
    with pytest.raises(InvalidParameter):
        await keys.add(make_key(2, "team"))
    assert seen[-1] == await keys.revision()


async def test_rows_come_newest_first():
    """Rows come newest first, within a span of time and up to a number."""
    usage = MemoryStore().usage
    rows = [make_row(n) for n in range(5)]
    await usage.add(rows)
    assert tuple(reversed(rows)) == await usage.rows()
    assert (rows[4], rows[3]) == await usage.rows(limit=2)
    assert (rows[2], rows[1]) == await usage.rows(
        since=rows[1].started_at, until=rows[3].started_at
    )


async def test_same_row_is_kept_once():
    """A row that comes again is left as it was."""
    usage = MemoryStore().usage
    row = make_row(1)
    await usage.add([row, replace(row, outcome="failed")])
    await usage.add([replace(row, cost=None)])
    assert (row,) == await usage.rows()


async def test_totals_are_those_of_the_span():
    """Totals are the sums of the rows within the span."""
    usage = MemoryStore().usage
    rows = [make_row(n, outcome="ok" if n % 2 else "failed") for n in range(6)]
    await usage.add(rows)
    since, until = rows[1].started_at, rows[5].started_at
    assert total_up(rows, by="outcome") == await usage.totals(by="outcome")
    assert total_up(rows[1:5], by="outcome") == await usage.totals(
        by="outcome", since=since, until=until
    )


async def test_oldest_rows_make_room():
    """Beyond the capacity the oldest rows are forgotten."""
    usage = MemoryUsage(capacity=3)
    await usage.add([make_row(n) for n in range(5)])
    await usage.add([make_row(5)])
    assert ["row-5", "row-4", "row-3"] == [row.id for row in await usage.rows()]
