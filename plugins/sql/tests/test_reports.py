"""The sums of reports and repricing, as every store makes them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fengchao_core.reports import DIMENSIONS, UsageQuery, sum_up

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
async def kept(any_store, make_row):
    """Rows of every kind, in the store."""
    rows = [
        make_row(),
        make_row(cost=Decimal("0.000000001"), group="研发", images=2, searches=1),
        make_row(currency="USD", cost=Decimal("1.5"), key="ffff", started_at=NOON),
        make_row(cost=None, currency=None, outcome="refused", operation="embeddings"),
        make_row(outcome="retried", started_at=NOON - timedelta(microseconds=1), group="研发"),
        make_row(outcome="unknown", model="文心一言", provider="qianfan"),
    ]
    await any_store.usage.add(rows)
    return rows


@pytest.mark.parametrize(
    "by", [(), *((d,) for d in DIMENSIONS), ("day", "group", "model"), ("hour", "key")]
)
async def test_sums_are_those_of_the_rows(any_store, kept, by):
    """Sums are what summing the rows one by one gives, for every grouping and several at once."""
    assert sum_up(kept, UsageQuery(by=by)) == await any_store.usage.sums(UsageQuery(by=by))


@pytest.mark.parametrize(
    "wanted",
    [
        {"key": "ffff"},
        {"group": "研发"},
        {"group": ""},
        {"model": "文心一言"},
        {"provider": "qianfan", "outcome": "unknown"},
        {"since": NOON},
        {"until": NOON},
        {"outcome": "nobody's"},
    ],
)
async def test_filters(any_store, kept, wanted):
    """A filter takes the rows that have its value, also where most rows lack one."""
    query = UsageQuery(by=("model",), **wanted)
    assert sum_up(kept, query) == await any_store.usage.sums(query)


async def test_repricing(any_store, kept):
    """Repricing changes the money of the rows it names and nothing else; an id that is not kept is left."""
    new = replace(
        kept[0],
        cost=Decimal("0.5"),
        currency="USD",
        price_since="2026-01-01",
        price_version="2026-01-01-abc",
        prompt_tokens=0,
    )
    await any_store.usage.reprice([new, replace(new, id="nobody")])
    expected = [replace(new, prompt_tokens=kept[0].prompt_tokens), *kept[1:]]
    found = {row.id: row for row in await any_store.usage.rows()}
    assert {row.id: row for row in expected} == found
    for by in ((), ("day",), ("hour", "model")):
        query = UsageQuery(by=by)
        assert sum_up(expected, query) == await any_store.usage.sums(query)
