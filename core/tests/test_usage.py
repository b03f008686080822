"""What a request costs, what rows add up to, and how tokens are guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.testing.strategies import prices, usages
from fengchao_core.types import Price, PriceTier, Usage
from fengchao_core.usage import UsageRecord, cost, estimate_tokens, group_of, total_up

FLAT = Price(
    input=Decimal("0.0005"),
    output=Decimal("0.0015"),
    currency="USD",
    since=date(2024, 1, 25),
    source="a test",
)
TIERED = Price(
    input=Decimal(1),
    output=Decimal(2),
    cached_input=Decimal("0.5"),
    currency="CNY",
    since=date(2024, 1, 1),
    source="a test",
    tiers=(
        PriceTier(above_tokens=1000, input=Decimal(3), output=Decimal(4)),
        PriceTier(
            above_tokens=2000, input=Decimal(5), output=Decimal(6), cached_input=Decimal("0.25")
        ),
    ),
)
ROW = UsageRecord(
    id="1",
    request_id="r",
    key="k",
    model="glm-4",
    provider="zhipu",
    outcome="ok",
    error="",
    streamed=False,
    attempts=1,
    started_at=datetime(2026, 11, 21, 8, 0, tzinfo=UTC),
    duration_ms=10,
    first_delta_ms=None,
    prompt_tokens=10,
    completion_tokens=5,
    cached_tokens=0,
    reasoning_tokens=0,
    usage_source="vendor",
    cost=Decimal("0.1"),
    currency="CNY",
    price_since="2024-01-01",
)

rows = st.builds(
    replace,
    st.just(ROW),
    key=st.sampled_from(["k1", "k2"]),
    model=st.sampled_from(["glm-4", "文心一言"]),
    outcome=st.sampled_from(["ok", "failed", "cancelled"]),
    prompt_tokens=st.integers(0, 10**6),
    completion_tokens=st.integers(0, 10**6),
    started_at=st.integers(-48, 48).map(lambda hours: ROW.started_at + timedelta(hours=hours)),
    cost=st.decimals(0, 1000, places=9),
    currency=st.sampled_from(["CNY", "USD"]),
)
groupings = st.sampled_from(["key", "model", "provider", "day", "outcome"])


# What it costs.


def test_cost_of_a_plain_request():
    """Input and output are charged per 1,000 tokens, exactly."""
    money = cost(Usage(prompt_tokens=7, completion_tokens=3), FLAT)
    assert (Decimal("0.000008"), "USD") == (money.amount, money.currency)


def test_cached_input_has_its_own_price():
    """Cached tokens are part of the prompt and charged at their own price where there is one."""
    usage = Usage(prompt_tokens=1000, cached_tokens=400)
    assert Decimal("0.8") == cost(usage, TIERED).amount
    assert Decimal("0.0005") == cost(usage, FLAT).amount


def test_more_cached_than_there_was():
    """A vendor that counts more cached tokens than the prompt has is not believed."""
    usage = Usage(prompt_tokens=100, cached_tokens=5000)
    assert Decimal("0.05") == cost(usage, TIERED).amount


@pytest.mark.parametrize(
    ("prompt", "amount"),
    [
        (999, "0.999"),
        (1000, "1"),
        (1001, "3.003"),
        (2000, "6"),
        (2001, "10.005"),
        (10_000, "50"),
    ],
)
def test_tiers_begin_above_their_border(prompt, amount):
    """A tier holds from the first token above its border, and for the whole request."""
    assert Decimal(amount) == cost(Usage(prompt_tokens=prompt), TIERED).amount


def test_tier_prices_output_and_cache():
    """A tier brings its own prices of output and cache; without one of the cache its input's holds."""
    usage = Usage(prompt_tokens=2000, completion_tokens=1000, cached_tokens=1000)
    assert Decimal(3 + 3 + 4) == cost(usage, TIERED).amount
    usage = replace(usage, prompt_tokens=3000)
    assert Decimal("0.25") + 10 + 6 == cost(usage, TIERED).amount


@given(usage=usages(), price=prices())
def test_cost_is_never_negative_and_exact(usage, price):
    """A cost is at least nothing, in the price's currency, and the same as in unbounded arithmetic."""
    money = cost(usage, price)
    assert price.currency == money.currency
    assert money.amount >= 0
    rates = price
    for tier in price.tiers:
        if usage.prompt_tokens > tier.above_tokens:
            rates = tier
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    exact = (
        Fraction(rates.input) * (usage.prompt_tokens - cached)
        + Fraction(cached_rate) * cached
        + Fraction(rates.output) * usage.completion_tokens
    ) / 1000
    assert exact == Fraction(money.amount)


@given(one=usages(), other=usages(), price=prices())
def test_cost_adds_up(one, other, price):
    """Without tiers two requests cost together what one request of their sum costs."""
    price = replace(price, tiers=())
    one, other = (
        replace(usage, cached_tokens=min(usage.cached_tokens, usage.prompt_tokens))
        for usage in (one, other)
    )
    both = Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
    )
    assert cost(one, price).amount + cost(other, price).amount == cost(both, price).amount


@given(usage=usages(), price=prices(), more=st.integers(0, 10**6))
def test_longer_answer_is_never_cheaper(usage, price, more):
    """More output never costs less."""
    longer = replace(usage, completion_tokens=usage.completion_tokens + more)
    assert cost(usage, price).amount <= cost(longer, price).amount


# What rows add up to.


def test_day_is_that_of_the_start():
    """A row belongs to the day on which it started."""
    last = datetime(2026, 11, 21, 23, 59, 59, 999999, tzinfo=UTC)
    assert "2026-11-21" == group_of(replace(ROW, started_at=last), "day")
    assert "2026-11-22" == group_of(
        replace(ROW, started_at=last + timedelta(microseconds=1)), "day"
    )


def test_rows_without_a_price_stand_alone():
    """Rows that have no price are their own group, before those of a currency, and cost nothing."""
    unpriced = replace(ROW, cost=None, currency=None)
    totals = total_up([ROW, unpriced, replace(ROW, currency="USD")], by="model")
    assert [(None, Decimal(0)), ("CNY", Decimal("0.1")), ("USD", Decimal("0.1"))] == [
        (total.currency, total.cost) for total in totals
    ]


def test_everything_but_ok_is_a_failure():
    """Every outcome but `ok` counts as a failure."""
    outcomes = ["ok", "failed", "refused", "cancelled", "timeout", "sensitive"]
    (total,) = total_up([replace(ROW, outcome=outcome) for outcome in outcomes], by="model")
    assert (6, 5) == (total.requests, total.failures)


def test_no_rows_no_totals():
    """Nothing adds up to nothing."""
    assert () == total_up([], by="day")


@given(some=st.lists(rows, max_size=20), by=groupings)
def test_totals_lose_nothing(some, by):
    """Whatever they are grouped by, the totals of a currency add up to its rows, and groups come in order."""
    totals = total_up(some, by=by)
    keys = [(total.group, total.currency) for total in totals]
    assert sorted(set(keys)) == keys
    for currency in ("CNY", "USD"):
        mine = [row for row in some if row.currency == currency]
        theirs = [total for total in totals if total.currency == currency]
        assert len(mine) == sum(total.requests for total in theirs)
        assert sum(row.outcome != "ok" for row in mine) == sum(t.failures for t in theirs)
        assert sum(row.prompt_tokens for row in mine) == sum(t.prompt_tokens for t in theirs)
        assert sum(r.completion_tokens for r in mine) == sum(t.completion_tokens for t in theirs)
        assert sum(row.cost for row in mine) == sum(total.cost for total in theirs)


@given(data=st.data(), some=st.lists(rows, max_size=20), by=groupings)
def test_totals_know_no_order(data, some, by):
    """The order of the rows does not change their totals."""
    shuffled = data.draw(st.permutations(some))
    assert total_up(some, by=by) == total_up(shuffled, by=by)


# How tokens are guessed.


def test_estimates():
    """Nothing is no token, any text at least one; Chinese counts more per character than English."""
    assert 0 == estimate_tokens("")
    assert 1 == estimate_tokens(" ")
    assert 1 == estimate_tokens("好")
    assert 700 == estimate_tokens("好" * 1000)
    assert 100 == estimate_tokens("x" * 320)
    assert 800 == estimate_tokens("好" * 1000 + "x" * 320)


@given(text=st.text(), more=st.text())
def test_estimate_grows_with_the_text(text, more):
    """More text is never fewer tokens, and two texts are about the sum of both."""
    both = estimate_tokens(text + more)
    assert both >= estimate_tokens(text)
    assert both >= estimate_tokens(more)
    assert 1 >= both - estimate_tokens(text) - estimate_tokens(more)
