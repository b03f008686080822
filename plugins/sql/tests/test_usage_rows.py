"""Usage rows in SQLite: what they keep, what they take and what they weigh."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fengchao_core.usage import Disconnect, Outcome, UsageRecord
from fengchao_sql.store import open_store
from fengchao_sql.tables import LARGEST_COST, LARGEST_COUNT

plain_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200
)
counts = st.integers(0, LARGEST_COUNT)
outcomes = st.sampled_from(get_args(Outcome))
records = st.builds(
    UsageRecord,
    id=st.just(""),
    request_id=plain_text.filter(bool),  # the pipeline makes one where the caller has none
    key=plain_text,
    model=plain_text,
    provider=plain_text,
    outcome=outcomes,
    error=plain_text,
    streamed=st.booleans(),
    attempts=st.integers(0, 20),
    started_at=st.datetimes(timezones=st.just(UTC)),
    duration_ms=counts,
    first_delta_ms=st.none() | counts,
    prompt_tokens=counts,
    completion_tokens=counts,
    cached_tokens=counts,
    reasoning_tokens=counts,
    usage_source=st.sampled_from(["vendor", "tokenizer", "estimate", "none"]),
    cost=st.none() | st.decimals(0, LARGEST_COST, places=12),
    currency=st.sampled_from(["CNY", "USD", None]),
    price_since=st.none() | st.dates().map(str),
    operation=st.sampled_from(["chat", "embeddings", "image_generation"]),
    group=plain_text,
    images=counts,
    searches=counts,
    vectors=counts,
    price_version=st.none() | plain_text,
    disconnect=st.sampled_from(get_args(Disconnect)),
)


@given(rows=st.lists(records, max_size=5))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_row_comes_back_as_kept(store, rows):
    """Every row comes back equal in every field, money to the last of its twelve decimal places."""
    rows = [replace(row, id=uuid.uuid4().hex) for row in rows]
    await store.usage.add(rows)
    kept = {row.id: row for row in await store.usage.rows(limit=1_000_000)}
    assert rows == [kept[row.id] for row in rows]


async def test_instant_of_another_zone(store, make_row):
    """An instant given in another time zone is the same instant, and counts to its day in UTC."""
    shanghai = timezone(timedelta(hours=8))
    row = make_row(started_at=datetime(2026, 11, 22, 7, 59, tzinfo=shanghai))
    await store.usage.add([row])
    assert (row,) == await store.usage.rows()
    assert ["2026-11-21"] == [total.group for total in await store.usage.totals(by="day")]


async def test_sums_may_pass_what_a_row_holds(store, make_row):
    """Totals of the dearest rows there can be are exact."""
    dearest = Decimal(LARGEST_COST) - Decimal("0.000000000001")
    await store.usage.add([make_row(cost=dearest, prompt_tokens=LARGEST_COUNT) for _ in range(50)])
    (total,) = await store.usage.totals(by="model")
    assert (50 * dearest, 50 * LARGEST_COUNT) == (total.cost, total.prompt_tokens)


async def test_nasty_row_holds_up_nobody(store, make_row):
    """A row with text and numbers that no database takes is cut to size, and its neighbours are kept whole."""
    good = make_row()
    nasty = make_row(
        model="\0\ud800" + "长" * 100_000,
        request_id="x" * 100_000,
        prompt_tokens=10**30,
        duration_ms=2**40,
        cost=Decimal(10) ** 30,
    )
    with capture_logs() as logs:
        await store.usage.add([good, nasty])
    kept, same = await store.usage.rows()
    assert good == same
    assert "\ufffd?长" == kept.model[:3]
    assert (200, 200) == (len(kept.model), len(kept.request_id))
    assert (LARGEST_COUNT, LARGEST_COUNT) == (kept.prompt_tokens, kept.duration_ms)
    assert Decimal(LARGEST_COST) == kept.cost
    assert ["usage.cost_cut"] == [entry["event"] for entry in logs]


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt_tokens": -5, "completion_tokens": 2**65},
        {"prompt_tokens": 3.5},
        {"completion_tokens": "7"},
        {"images": float("nan"), "duration_ms": float("inf")},
        {"cost": Decimal("NaN")},
        {"started_at": datetime(2026, 1, 1)},  # noqa: DTZ001  # without a zone: that is what is wrong
        {"usage_source": None, "provider": "\ud800"},
        {"error": "half \udc00", "price_since": object()},
        {"key": None, "operation": 7, "disconnect": ("cut",)},
    ],
)
async def test_a_row_that_is_none_holds_nothing_up(store, make_row, wrong):
    """What a plugin out of order counted is kept as well as it can be; the rows beside it are kept as they are."""
    good, more = make_row(), make_row()
    await store.usage.add([good, make_row(**wrong), more])
    kept = await store.usage.rows()
    assert 3 == len(kept)
    assert {good, more} <= set(kept)
    assert all(
        0 <= count <= LARGEST_COUNT
        for row in kept
        for count in (row.prompt_tokens, row.completion_tokens)
    )
    (total,) = [
        one for one in await store.usage.totals(by="outcome") if one.currency == good.currency
    ]
    assert total.requests >= 2


async def test_finer_cost_is_rounded(store, make_row):
    """A cost finer than twelve decimal places is rounded half to even."""
    costs = [Decimal("0.0000000000005"), Decimal("0.0000000000015"), Decimal("1e-30")]
    await store.usage.add([make_row(cost=cost) for cost in costs])
    kept = await store.usage.rows()
    assert [Decimal(0), Decimal("2e-12"), Decimal(0)] == [row.cost for row in reversed(kept)]


async def test_row_is_small(tmp_path: Path, make_row):
    """A typical row takes less than 300 bytes of the file, indexes included."""
    pattern = make_row()
    rows = [
        replace(
            pattern,
            id=uuid.uuid4().hex,
            request_id=str(uuid.uuid4()),
            started_at=pattern.started_at + timedelta(milliseconds=n),
        )
        for n in range(10_000)
    ]
    async with open_store("sqlite:///fengchao.db", tmp_path) as store:
        for start in range(0, len(rows), 500):
            await store.usage.add(rows[start : start + 500])
    assert (tmp_path / "fengchao.db").stat().st_size / len(rows) < 300
