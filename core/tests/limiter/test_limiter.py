"""What passes a key's limits and what does not, and what comes back when a request ends."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from core.tests.limiter.conftest import CARD, used

from fengchao_core import ModelCard
from fengchao_core.errors import BudgetExceeded, LimitExceeded, PermissionDenied
from fengchao_core.limiter import Spent
from fengchao_core.limits import Budget, KeyLimits, ModelLimits


def passed(bench, limits, times=1000, **asked):
    """How many of so many requests at once pass, and the refusal of the first that does not."""
    for number in range(times):
        try:
            bench.ask(limits, **asked)
        except LimitExceeded as error:
            return number, error
    return times, None


def test_a_thousand_at_once_against_a_hundred(bench):
    """Of a thousand requests at once against limits for exactly a hundred, a hundred pass, whichever limit it is."""
    for number, limits in enumerate(
        [
            KeyLimits(requests_per_minute=100),
            KeyLimits(tokens_per_minute=10_000),
            KeyLimits(concurrent=100),
            KeyLimits(budgets=(Budget(Decimal(100), "CNY", "day"),)),
            KeyLimits(models=(ModelLimits(model="m", concurrent=100),)),
            KeyLimits(budgets=(Budget(Decimal(100), "CNY", model="m"),)),
        ]
    ):
        count, error = passed(bench, limits, key=f"k{number}")
        assert 100 == count
        assert error is not None


def test_no_limits(bench):
    """A caller without limits holds nothing."""
    assert bench.ask(None) is None
    assert bench.ask(KeyLimits()) is None
    assert bench.ask(None, group="unknown") is None


def test_requests_refill_evenly(bench):
    """After the minute's worth is used, one more is free each sixtieth of a minute's limit; the refusal says when."""
    limits = KeyLimits(requests_per_minute=60)
    count, error = passed(bench, limits)
    assert (60, "requests_per_minute", 1.0) == (count, error.limit, error.retry_after)
    bench.clock.advance(0.9)
    assert pytest.approx(0.1) == passed(bench, limits)[1].retry_after
    bench.clock.advance(error.retry_after)
    assert 1 == passed(bench, limits)[0]
    bench.clock.advance(3600)
    assert 60 == passed(bench, limits)[0]


def test_tokens_that_were_not_used_come_back(bench):
    """A request holds what it may use; what it did use is taken off the minute, the rest is free at once."""
    limits = KeyLimits(tokens_per_minute=1000)
    first = bench.ask(limits, prompt=100, completion=800)
    with pytest.raises(
        LimitExceeded, match="of this key's limit of 1000 tokens per minute 100 are left"
    ):
        bench.ask(limits, prompt=100, completion=800)
    first.settle(used(tokens=200))
    bench.ask(limits, prompt=0, completion=800)
    assert 0 == bench.left(limits).tokens_remaining
    bench.clock.advance(12)  # 200 tokens of 1000 a minute
    bench.ask(limits, prompt=100, completion=100)


def test_tokens_say_when_to_come_back(bench):
    """Where time alone frees enough tokens the refusal names that time; where requests under way must end, a second."""
    limits = KeyLimits(tokens_per_minute=600)
    bench.ask(limits, prompt=600, completion=0).settle(used(tokens=600))
    with pytest.raises(LimitExceeded) as caught:
        bench.ask(limits, prompt=50, completion=50)
    assert pytest.approx(10) == caught.value.retry_after
    bench.clock.advance(10)
    held = bench.ask(limits, prompt=50, completion=50)
    bench.clock.advance(60)
    with pytest.raises(LimitExceeded) as caught:
        bench.ask(limits, prompt=100, completion=500)
    assert 1.0 == caught.value.retry_after
    held.settle(used(tokens=0))
    bench.ask(limits, prompt=100, completion=500)


def test_a_request_bigger_than_a_minute(bench):
    """An answer that may be longer than a minute's tokens passes alone; a prompt that is longer never does."""
    limits = KeyLimits(tokens_per_minute=100)
    held = bench.ask(limits, prompt=50, completion=4000)
    held.settle(used(tokens=400))
    with pytest.raises(LimitExceeded):
        bench.ask(limits, prompt=10, completion=0)
    bench.clock.advance(240)
    with pytest.raises(LimitExceeded, match="ever lets pass") as caught:
        bench.ask(limits, prompt=101, completion=0)
    assert caught.value.retry_after is None
    bench.ask(limits, prompt=50, completion=50)


def test_concurrent_requests(bench):
    """The place of a request that ended is free, however it ended, and only once."""
    limits = KeyLimits(concurrent=2)
    first, second = bench.ask(limits), bench.ask(limits)
    with pytest.raises(LimitExceeded, match="2 concurrent requests") as caught:
        bench.ask(limits)
    assert ("concurrent", 1.0) == (caught.value.limit, caught.value.retry_after)
    first.settle(used())
    first.settle(used())
    third = bench.ask(limits)
    assert 0 == passed(bench, limits)[0]
    second.settle(used())
    third.settle(used())
    assert 2 == passed(bench, limits)[0]


def test_a_budget_takes_what_was_spent(bench):
    """A request holds what it may cost and pays what it did; the refusal tells the end of the period."""
    limits = KeyLimits(budgets=(Budget(Decimal(2), "CNY", "day"),))
    for _ in range(4):
        bench.ask(limits).settle(used(cost="0.25"))
    bench.ask(limits)
    with pytest.raises(
        BudgetExceeded, match="beside what requests under way may still use"
    ) as caught:
        bench.ask(limits)
    assert 1.0 == caught.value.retry_after
    bench.ask(limits, cost="0").settle(used(cost="1"))
    with pytest.raises(BudgetExceeded, match="of this key's budget of 2 CNY a day 0 CNY") as caught:
        bench.ask(limits, cost="0.001")
    assert ("budget_day", 12 * 3600) == (caught.value.limit, caught.value.retry_after)
    assert "2026-11-22T00:00:00+00:00" in str(caught.value)


def test_a_budget_begins_anew(bench):
    """With the day its budget is whole again; what began the day before is not booked to the new one."""
    limits = KeyLimits(budgets=(Budget(Decimal(2), "CNY", "day"), Budget(Decimal(3), "CNY")))
    late = bench.ask(limits, cost="2")
    bench.clock.advance(12 * 3600)
    with pytest.raises(BudgetExceeded):  # the late one still holds its part
        bench.ask(limits, cost="2")
    late.settle(used(cost="2"))
    with pytest.raises(BudgetExceeded) as caught:
        bench.ask(limits, cost="2")
    assert "budget_month" == caught.value.limit
    bench.ask(limits, cost="1").settle(used(cost="1"))


def test_all_or_nothing(bench):
    """A request that one limit refuses takes nothing of the others."""
    narrow = KeyLimits(requests_per_minute=2, concurrent=1)
    held = bench.ask(narrow)
    for _ in range(10):
        with pytest.raises(LimitExceeded, match="concurrent"):
            bench.ask(narrow)
    held.settle(used())
    bench.ask(narrow)


def test_groups_share(open_bench):
    """The keys of a group share its limits, beside each its own."""
    bench = open_bench(team=KeyLimits(concurrent=3))
    own = KeyLimits(concurrent=2)
    assert 2 == passed(bench, own, key="a", group="team")[0]
    count, error = passed(bench, own, key="b", group="team")
    assert (1, "group team's limit of 3 concurrent requests is reached; come back in 1 s") == (
        count,
        str(error),
    )
    assert 2 == passed(bench, own, key="c")[0]


def test_limits_of_one_model(bench):
    """A limit for one model leaves the others alone."""
    limits = KeyLimits(models=(ModelLimits(model="m", requests_per_minute=1),), concurrent=5)
    other = ModelCard(id="other", owned_by="v", prices=CARD.prices)
    bench.ask(limits)
    with pytest.raises(LimitExceeded, match="on model 'm'"):
        bench.ask(limits)
    assert 4 == passed(bench, limits, card=other)[0]


def test_changed_limits_hold_at_once(bench):
    """A key whose limits are changed is held to the new ones, and what it has used stays used."""
    assert 2 == passed(bench, KeyLimits(concurrent=2))[0]
    assert 0 == passed(bench, KeyLimits(concurrent=2))[0]
    assert 3 == passed(bench, KeyLimits(concurrent=5))[0]
    assert 0 == passed(bench, KeyLimits(concurrent=1))[0]


def test_another_currency_by_its_rate(bench):
    """A request priced in another currency is charged by the rate of its day."""
    limits = KeyLimits(budgets=(Budget(Decimal(10), "CNY"),))
    bench.ask(limits, cost="1", currency="USD").settle(used(cost="1", currency="USD"))
    bench.ask(limits, cost="3")
    with pytest.raises(BudgetExceeded):
        bench.ask(limits, cost="0.000000001")


def test_no_rate_no_conversion(bench):
    """Without a rate that holds on its day a request in another currency is refused, naming the setting."""
    bench.clock.set_now(datetime(2026, 10, 31, tzinfo=UTC))
    with pytest.raises(PermissionDenied, match=r"\[\[money.rates\]\]"):
        bench.ask(KeyLimits(budgets=(Budget(Decimal(10), "CNY"),)), currency="USD")


def test_models_without_a_price(bench):
    """A key with a budget may not use a model without a price, unless it is of our own house."""
    limits = KeyLimits(budgets=(Budget(Decimal(1), "CNY"),))
    with pytest.raises(PermissionDenied, match="has no price"):
        bench.ask(limits, cost=None)
    home = ModelCard(id="home", owned_by="v", is_local=True)
    bench.ask(limits, cost=None, card=home).settle(used(cost=None))
    bench.ask(KeyLimits(concurrent=1), key="other", cost=None)


async def test_what_was_spent_before(bench):
    """A budget begins with what the rows say was spent by the key or its group, by any name of the model."""
    bench.rows.found = [
        Spent("k", "", "alias", "CNY", Decimal(1)),
        Spent("k", "", "x", "USD", Decimal(1)),
        Spent("other", "", "m", "CNY", Decimal(50)),
    ]
    await bench.limiter.synchronise()
    limits = KeyLimits(budgets=(Budget(Decimal(20), "CNY"), Budget(Decimal(3), "CNY", model="m")))
    bench.ask(limits, cost="2")
    with pytest.raises(BudgetExceeded, match="on model 'm'"):
        bench.ask(limits, cost="0.1")


async def test_rows_of_others_are_followed(bench):
    """What other hosts spend counts once it is read; what the rows do not show yet is not forgotten."""
    limits = KeyLimits(budgets=(Budget(Decimal(10), "CNY"),))
    bench.ask(limits, cost="2").settle(used(cost="2"))
    bench.rows.found = [Spent("k", "", "m", "CNY", Decimal(9))]
    await bench.limiter.synchronise()
    with pytest.raises(BudgetExceeded):
        bench.ask(limits, cost="2")
    bench.rows.found = []
    await bench.limiter.synchronise()
    with pytest.raises(BudgetExceeded):
        bench.ask(limits, cost="2")


def test_rates_left(bench):
    """What is left is told of the scarcest rate, and when all of it is free again."""
    limits = KeyLimits(
        requests_per_minute=60,
        tokens_per_minute=1000,
        models=(ModelLimits(model="m", requests_per_minute=6),),
    )
    bench.ask(limits, prompt=100, completion=400)
    left = bench.left(limits)
    assert (6, 5, 10.0) == (left.requests_limit, left.requests_remaining, left.requests_reset_s)
    assert (1000, 500, 30.0) == (left.tokens_limit, left.tokens_remaining, left.tokens_reset_s)
    assert bench.left(KeyLimits(concurrent=1), key="other") is None
    _, refused = passed(bench, limits, prompt=0, completion=1)
    assert 0 == refused.rates.requests_remaining


def test_a_budget_of_nothing(bench):
    """A budget of 0 lets pass what costs nothing, and nothing else."""
    limits = KeyLimits(budgets=(Budget(Decimal(0), "CNY"),))
    bench.ask(limits, cost="0")
    with pytest.raises(BudgetExceeded):
        bench.ask(limits, cost="0.000001")


def test_a_clock_set_back(bench):
    """A wall clock that is set back to yesterday does not open yesterday's budget again."""
    limits = KeyLimits(budgets=(Budget(Decimal(1), "CNY", "day"),))
    bench.ask(limits).settle(used(cost="1"))
    bench.clock.set_now(bench.clock.now() - timedelta(days=1))
    with pytest.raises(BudgetExceeded):
        bench.ask(limits)
