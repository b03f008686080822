"""What reports sum, how they tell it in one currency, and what rows would cost by other prices."""

import csv
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO

from core.tests.test_usage import ROW, rows
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core import ModelCard, Price
from fengchao_core.money import Rate, RateBook
from fengchao_core.reports import DIMENSIONS, UsageQuery, as_csv, convert, sum_up
from fengchao_core.repricing import Differences, repriced

BOOK = RateBook(
    [
        Rate("USD", "CNY", Decimal(7), date(2026, 1, 1), "a bank"),
        Rate("USD", "CNY", Decimal(8), date(2026, 11, 1)),
    ]
)
TODAY = date(2026, 11, 21)


@given(st.lists(rows, max_size=20), st.lists(st.sampled_from(DIMENSIONS), max_size=3, unique=True))
def test_sums_lose_nothing(some, by):
    """Whatever rows are grouped by, their sums add up to them, in order and each group once per currency."""
    sums = sum_up(some, UsageQuery(by=tuple(by)))
    keys = [(one.groups, one.currency) for one in sums]
    assert sorted(set(keys)) == keys
    assert len(some) == sum(one.requests for one in sums)
    assert sum(row.prompt_tokens for row in some) == sum(one.prompt_tokens for one in sums)
    for currency in ("CNY", "USD"):
        mine = sum((row.cost for row in some if row.currency == currency), Decimal(0))
        assert mine == sum((one.cost for one in sums if one.currency == currency), Decimal(0))


def test_filters_and_hours():
    """A query takes the rows of its span and its filters, grouped by the hour they began in."""
    some = [
        replace(ROW, id=str(n), started_at=ROW.started_at + timedelta(minutes=30 * n), key=key)
        for n, key in enumerate("aabb")
    ]
    query = UsageQuery(by=("hour", "key"), since=some[1].started_at, until=some[3].started_at)
    assert [("2026-11-21T08", "a"), ("2026-11-21T09", "b")] == [
        one.groups for one in sum_up(some, query)
    ]
    assert 2 == sum(one.requests for one in sum_up(some, UsageQuery(key="b")))
    assert () == sum_up(some, UsageQuery(group="nobody"))


@given(st.lists(rows, max_size=20))
def test_one_currency(some):
    """Told in one currency every group stands once, nothing is lost, and the rate is named with its date."""
    sums = sum_up(some, UsageQuery(by=("model",)))
    told = convert(sums, "CNY", BOOK, TODAY)
    assert len({one.groups for one in told.sums}) == len(told.sums)
    assert sum(one.requests for one in sums) == sum(one.requests for one in told.sums)
    expected = sum((one.cost * (8 if one.currency == "USD" else 1) for one in sums), Decimal(0))
    assert expected == sum((one.cost for one in told.sums), Decimal(0))
    assert {date(2026, 11, 1)} >= {rate.since for rate in told.rates}


def test_a_currency_without_a_rate():
    """What no rate can convert stays in its currency, and is said to."""
    sums = sum_up([replace(ROW, currency="USD")], UsageQuery(by=("model",)))
    told = convert(sums, "CNY", BOOK, date(2025, 1, 1))
    assert (sums, ("USD",)) == (told.sums, told.missing)


def test_rates_count_both_ways():
    """A rate of one direction is also that of the other."""
    assert Decimal(1) / 8 == BOOK.find("CNY", "USD", TODAY).rate
    assert (Decimal(7), "a bank") == (
        BOOK.find("USD", "CNY", date(2026, 10, 31)).rate,
        BOOK.find("USD", "CNY", date(2026, 10, 31)).source,
    )


def test_csv():
    """CSV has a head line and plain figures; an unknown cost is empty, and no text becomes a formula."""
    some = [replace(ROW, model="=1+1", cost=None, currency=None), replace(ROW, model="glm,4")]
    lines = list(csv.reader(StringIO(as_csv(sum_up(some, UsageQuery(by=("model",))), ("model",)))))
    assert ("model", "cost", "currency") == (lines[0][0], lines[0][-2], lines[0][-1])
    assert ("'=1+1", "", "") == (lines[1][0], lines[1][-2], lines[1][-1])
    assert ("glm,4", "0.1", "CNY") == (lines[2][0], lines[2][-2], lines[2][-1])


PRICE = Price(
    input=Decimal(1), output=Decimal(2), currency="CNY", since=date(2026, 11, 1), source="test"
)


def test_repricing():
    """A row is priced by what holds on its day now; one that no price covers, or that cost the same, stays as it is."""
    card = ModelCard(id="glm-4", owned_by="v", prices=(PRICE,))
    new = repriced(ROW, card)
    assert (Decimal("0.02"), "2026-11-01") == (new.cost, new.price_version)
    assert new is repriced(new, card)
    old = replace(ROW, started_at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    assert old is repriced(old, card)
    unasked = replace(ROW, usage_source="none")
    assert unasked is repriced(unasked, card)
    writes = replace(card, prices=(replace(PRICE, cache_write=Decimal(3)),))
    assert repriced(ROW, writes) is None
    found = Differences()
    found.add(ROW, new)
    found.add(replace(ROW, currency="USD"), new)
    assert {
        ("glm-4", "CNY"): (2, Decimal("0.1"), Decimal("0.04")),
        ("glm-4", "USD"): (1, Decimal("0.1"), Decimal(0)),
    } == {key: (one.rows, one.before, one.after) for key, one in found.found.items()}
