"""Reserve and settle in any order: no budget is exceeded, and what was not used always comes back."""

from decimal import Decimal

from core.tests.limiter.conftest import MIDDAY, make_bench, used
from hypothesis import given, settings
from hypothesis import strategies as st

from fengchao_core.errors import LimitExceeded
from fengchao_core.limiter import LocalCells
from fengchao_core.limiter.cells import HELD, SPENT
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.testing import FakeClock

money = st.decimals(0, 3, places=3)
step = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(["a", "b"]), st.integers(0, 400), money),
    st.tuples(st.just("settle"), st.integers(0, 20), st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.just("wait"), st.integers(0, 30), st.none(), st.none()),
)


@settings(max_examples=60)
@given(st.lists(step, max_size=60))
def test_any_interleaving(steps):
    """However requests begin and end, spent and held together never pass a limit, and at the end nothing is held."""
    cells = LocalCells()
    team = KeyLimits(budgets=(Budget(Decimal(8), "CNY"),), concurrent=6)
    bench = make_bench(cells, FakeClock(MIDDAY), team=team)
    own = KeyLimits(
        tokens_per_minute=1000,
        budgets=(Budget(Decimal(5), "CNY", "day"), Budget(Decimal(1), "USD")),
    )
    open_holds = []
    spent = {"a": Decimal(0), "b": Decimal(0)}
    used_tokens = {"a": [], "b": []}

    def end(held, share, part):
        hold, key, tokens, cost = held
        paid = (cost * Decimal(str(part))).quantize(Decimal("0.000000001"), rounding="ROUND_DOWN")
        count = int(tokens * share)
        hold.settle(used(tokens=count, cost=str(paid)))
        spent[key] += paid
        used_tokens[key].append((bench.clock.monotonic(), count))

    for kind, one, two, three in steps:
        if kind == "ask":
            try:
                hold = bench.ask(
                    own, key=one, group="team", prompt=two, completion=0, cost=str(three)
                )
            except LimitExceeded:
                pass
            else:
                open_holds.append((hold, one, two, three))
        elif kind == "settle" and open_holds:
            end(open_holds.pop(one % len(open_holds)), two, three)
        elif kind == "wait":
            bench.clock.advance(one)
        for key in ("a", "b"):
            held = sum(cost for _, k, _, cost in open_holds if k == key)
            assert spent[key] + held <= 5
            assert spent[key] + held <= 7  # one dollar
            now = bench.clock.monotonic()
            lately = sum(tokens for at, tokens in used_tokens[key] if at > now - 60)
            assert lately <= 2000  # what the bucket holds, and what runs into it in the meantime
            assert sum(tokens for _, k, tokens, _ in open_holds if k == key) <= 1000
        assert sum(spent.values()) + sum(cost for *_, cost in open_holds) <= 8
        assert len(open_holds) <= 6
    while open_holds:
        end(open_holds.pop(), 1.0, 1.0)
    for name, place in cells.names():
        assert 0 == cells.table[place + HELD]
        if name == "key:a|day|CNY|":
            assert abs(spent["a"] * 10**9 - cells.table[place + SPENT]) <= 60
    assert all(held == 0 for held in cells.held)


@given(st.lists(st.tuples(money, st.floats(0, 1)), min_size=1, max_size=30))
def test_what_is_spent_adds_up(requests):
    """A budget of exactly what requests cost lets all of them pass, one after another, and not a nano more."""
    paid = [
        (cost, (cost * Decimal(str(part))).quantize(Decimal("0.000001"), rounding="ROUND_DOWN"))
        for cost, part in requests
    ]
    total = sum((spent for _, spent in paid), Decimal(0))
    limits = KeyLimits(budgets=(Budget(total, "CNY"),))
    bench = make_bench(LocalCells(), FakeClock(MIDDAY))
    for _, spent in paid:
        bench.ask(limits, cost=str(spent)).settle(used(cost=str(spent)))
    try:
        bench.ask(limits, cost="0.000000001")
    except LimitExceeded:
        return
    raise AssertionError("a budget that is spent let something pass")
