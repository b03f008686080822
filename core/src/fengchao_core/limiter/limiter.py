"""
Holds keys, and groups of keys, to their limits.

`reserve` looks at every limit of a caller and takes its share of all of them, or of none, in one step that nothing can
come between; `settle` books what was really used and gives the rest back. Neither waits for a disk or a database.

Requests per minute are a bucket that holds a minute's worth and refills evenly. Tokens are the same, but what a request
may use is only held back until it is known what it did use; so are budgets, which begin anew with each day or month.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock
from fengchao_core.limiter.cells import HELD, SPENT, Cells
from fengchao_core.limiter.periods import Calendar
from fengchao_core.limiter.refusals import Shortage, refusal
from fengchao_core.limiter.rules import (
    CONCURRENT,
    MINUTE,
    REQUESTS,
    TOKENS,
    Rule,
    budgets_of,
    rules_of,
)
from fengchao_core.limiter.spending import Spending
from fengchao_core.limiter.tariff import NANO, Tariff, whole
from fengchao_core.limits import Budget, BudgetLeft, KeyLimits
from fengchao_core.rates import RatesLeft
from fengchao_core.reservation import Reservation
from fengchao_core.types import Currency
from fengchao_core.usage import UsageRecord

_SECOND: Final = 1_000_000_000
_MOST_PLANS: Final = 10_000
Share = tuple[int, int]
"""What is held back of a rule's counter, and the beginning of the period where that is a budget's."""

_NO_CHARGE: Final[Mapping[Currency, int]] = {}


class Hold:
    """What one request holds back, until `settle()`."""

    __slots__ = ("_limiter", "_rows", "_rules", "_shares", "_started_at")

    def __init__(
        self,
        limiter: Limiter,
        rules: tuple[Rule, ...],
        shares: list[Share],
        started_at: datetime,
    ) -> None:
        self._limiter = limiter
        self._rules = rules
        self._shares = shares
        self._started_at = started_at
        self._rows: tuple[UsageRecord, ...] = ()

    def count(self, row: UsageRecord) -> None:
        """An attempt that cost something is followed by another."""
        self._rows += (row,)

    def settle(self, row: UsageRecord) -> None:
        """The request ended: book what it used, and give back the rest. A second time nothing happens."""
        shares, self._shares = self._shares, []
        if shares:
            self._limiter.settle(self._rules, shares, (*self._rows, row), self._started_at)


class _Plan:
    """The rules of one caller for one model, as long as its limits stay what they are."""

    __slots__ = ("amounts", "currencies", "group", "limits", "rules")

    def __init__(self, caller: Caller, rules: tuple[Rule, ...]) -> None:
        self.limits = caller.limits
        self.group = caller.group
        self.rules = rules
        self.amounts = tuple(r for r in rules if r.kind not in {REQUESTS, CONCURRENT})
        self.currencies = tuple({r.budget.currency for r in rules if r.budget is not None})


class Limiter:
    """
    The limits of every caller, for one event loop.

    Args:
        groups: the limits of the groups, by name.
        spending: what was spent before.
    """

    def __init__(
        self,
        cells: Cells,
        clock: Clock,
        *,
        groups: Mapping[str, KeyLimits],
        calendar: Calendar,
        tariff: Tariff,
        spending: Spending,
    ) -> None:
        self._cells = cells
        self._clock = clock
        self._groups = groups
        self._calendar = calendar
        self._tariff = tariff
        self._spending = spending
        self._plans: dict[tuple[str, str], _Plan] = {}
        self._budgets: dict[int, Rule] = {}
        self._is_closed = False

    def reserve(
        self, caller: Caller, reservation: Reservation, *, is_part: bool = False
    ) -> Hold | None:
        """
        Take a request's share of every limit of its caller.

        Args:
            is_part: whether it is made on the way of another one: it counts its tokens and its money, but is no further
                request and takes no further place.

        Returns:
            What is held back, to be settled when the request ends; None where nothing limits the caller.

        Raises:
            LimitExceeded, BudgetExceeded: a limit is reached; nothing was taken.
            PermissionDenied: the model has no price that the caller's budget could be charged with.
        """
        plan = self._plan(caller, reservation.card.id)
        rules = plan.rules if not is_part else plan.amounts
        if not rules:
            return None
        charge = _NO_CHARGE
        if plan.currencies:
            charge = self._tariff.charge(reservation, plan.currencies)
        cells, now = self._cells, self._now()
        cells.take()
        try:
            shares = self._look(rules, reservation, charge, now)
            if type(shares) is list:
                self._hold(rules, shares, now)
        finally:
            cells.give()
        if isinstance(shares, Shortage):
            raise refusal(shares, reservation, self.rates(rules), self._calendar)
        return Hold(self, rules, shares, reservation.started_at)

    def settle(
        self,
        rules: tuple[Rule, ...],
        shares: list[Share],
        rows: Iterable[UsageRecord],
        started_at: datetime,
    ) -> None:
        """As `Hold.settle`, which sees to it that it happens once."""
        if self._is_closed:  # and with it everything was given back
            return
        tokens, spent = 0, []
        for row in rows:
            tokens += row.prompt_tokens + row.completion_tokens
            if row.cost is not None and row.currency is not None:
                spent.append((row.cost, row.currency))
        cells, now = self._cells, self._now()
        day = started_at.date()
        cells.take()
        try:
            table, held = cells.table, cells.held
            for rule, (amount, mark) in zip(rules, shares, strict=True):
                place, kind = rule.place, rule.kind
                if kind == REQUESTS:
                    continue
                if kind == TOKENS:
                    if tokens:
                        table[place] = max(table[place], now) + tokens * MINUTE // rule.limit
                elif kind != CONCURRENT and spent and table[place] == mark and rule.budget:
                    # Nothing is booked to a period that is over: the next one's money is not this request's.
                    table[place + SPENT] += self._tariff.spent(spent, rule.budget.currency, day)
                table[place + HELD] -= amount
                held[rule.number] -= amount
        finally:
            cells.give()

    def left(self, caller: Caller, model: str) -> RatesLeft | None:
        """What is left of a caller's rates for a model now; None where it has none."""
        return self.rates(self._plan(caller, model).rules)

    def rates(self, rules: Iterable[Rule]) -> RatesLeft | None:
        """What is left of the rates among rules now, of the scarcest of a kind; None where there are none."""
        if self._is_closed:
            return None
        table, now = self._cells.table, self._now()
        requests: list[tuple[int, int, float]] = []
        tokens: list[tuple[int, int, float]] = []
        for rule in rules:
            used = max(table[rule.place] - now, 0)
            if rule.kind == REQUESTS:
                requests.append((max(MINUTE - used, 0) // rule.step, rule.limit, used / _SECOND))
            elif rule.kind == TOKENS:
                taken = -(-used * rule.limit // MINUTE) + table[rule.place + HELD]
                reset_s = min(taken * MINUTE // rule.limit, MINUTE) / _SECOND
                tokens.append((max(rule.limit - taken, 0), rule.limit, reset_s))
        if not requests and not tokens:
            return None
        requests_left, requests_limit, requests_reset_s = min(requests, default=(0, None, 0.0))
        tokens_left, tokens_limit, tokens_reset_s = min(tokens, default=(0, None, 0.0))
        return RatesLeft(
            requests_limit=requests_limit,
            requests_remaining=requests_left,
            requests_reset_s=requests_reset_s,
            tokens_limit=tokens_limit,
            tokens_remaining=tokens_left,
            tokens_reset_s=tokens_reset_s,
        )

    def budgets(self, caller: Caller) -> tuple[BudgetLeft, ...]:
        """What is left of every budget of a caller and of its group in the present period."""
        rules: list[Rule] = []
        if caller.limits is not None:
            rules += budgets_of(self._cells, f"key:{caller.key}", caller.limits)
        group = self._groups.get(caller.group) if caller.group else None
        if group is not None:
            rules += budgets_of(self._cells, f"group:{caller.group}", group)
        return tuple(self._budget_left(rule, rule.budget) for rule in rules if rule.budget)

    def _budget_left(self, rule: Rule, budget: Budget) -> BudgetLeft:
        now = self._clock.now()
        _, end, mark = self._calendar.period(budget.period, now)
        table, place = self._cells.table, rule.place
        spent = Decimal(table[place + SPENT]) / NANO
        if table[place] < mark:
            spent = self._spending.since(rule.scope, budget, mark, now.date())
        return BudgetLeft(
            "key" if rule.scope.startswith("key:") else "group",
            budget,
            spent,
            Decimal(table[place + HELD]) / NANO,
            end.astimezone(self._calendar.zone),
        )

    def close(self) -> None:
        """Give back everything that is held."""
        self._is_closed = True
        self._cells.close()

    def sweep(self) -> None:
        """Give back what processes that died held."""
        self._cells.sweep()

    async def synchronise(self) -> None:
        """
        Read what the rows say was spent, and count what they say more than we do: of other processes, other days.

        Raises:
            StoreUnavailable: or whatever else the store raises; the counters stay as they are.
        """
        now = self._clock.now()
        await self._spending.load(now)
        cells, table = self._cells, self._cells.table
        for place, rule in self._budgets.items():
            budget = rule.budget
            if budget is None:
                continue
            mark = self._calendar.period(budget.period, now)[2]
            known = whole(self._spending.since(rule.scope, budget, mark, now.date()))
            cells.take()
            try:
                if table[place] == mark:
                    table[place + SPENT] = max(table[place + SPENT], known)
            finally:
                cells.give()

    def _plan(self, caller: Caller, model: str) -> _Plan:
        plan = self._plans.get((caller.key, model))
        if plan is not None and plan.group == caller.group:
            if plan.limits is caller.limits:
                return plan
            if plan.limits == caller.limits:  # the keys were read again, and nothing changed
                plan.limits = caller.limits
                return plan
        rules: list[Rule] = []
        if caller.limits is not None:
            rules += rules_of(self._cells, f"key:{caller.key}", caller.limits, model)
        group = self._groups.get(caller.group) if caller.group else None
        if group is not None:
            rules += rules_of(self._cells, f"group:{caller.group}", group, model)
        for rule in rules:
            if rule.budget is not None:
                self._budgets[rule.place] = rule
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        plan = self._plans[caller.key, model] = _Plan(caller, tuple(rules))
        return plan

    def _look(
        self,
        rules: tuple[Rule, ...],
        asked: Reservation,
        charge: Mapping[Currency, int],
        now: int,
    ) -> list[Share] | Shortage:
        """Find each rule's share, or the first rule that has not enough. The table is held."""
        table = self._cells.table
        shares: list[Share] = []
        for rule in rules:
            place, kind = rule.place, rule.kind
            mark = 0
            if kind == REQUESTS:
                amount = rule.step
                over = max(table[place] - now, 0) + amount - MINUTE
                if over > 0:
                    return Shortage(rule, over / _SECOND, 0)
            elif kind == TOKENS:
                # A request that may use more than a minute's worth passes where nobody else uses any.
                amount = min(asked.tokens, rule.limit)
                held, used = table[place + HELD], max(table[place] - now, 0)
                left = rule.limit - held + (-used * rule.limit // MINUTE)
                if amount > left or asked.prompt_tokens > rule.limit:
                    wait = amount + held - rule.limit
                    wait_s = (used + wait * MINUTE // rule.limit) / _SECOND
                    return Shortage(rule, wait_s if wait <= 0 else None, left)
            elif kind == CONCURRENT:
                amount = 1
                if table[place + HELD] >= rule.limit:
                    return Shortage(rule, None, 0)
            else:
                amount, mark = self._budget(rule, charge, asked.started_at)
                spent = table[place + SPENT]
                left = rule.limit - spent - table[place + HELD]
                if amount and amount > left:
                    helps = (
                        amount <= rule.limit - spent
                    )  # once the requests under way have given back
                    return Shortage(rule, None if helps else 0.0, left)
            shares.append((amount, mark))
        return shares

    def _budget(self, rule: Rule, charge: Mapping[Currency, int], at: datetime) -> tuple[int, int]:
        """A request's share of a budget, and the beginning of its period, which begins now where it did not yet."""
        budget = rule.budget
        if budget is None:
            raise AssertionError("a rule about money has a budget")
        table, place = self._cells.table, rule.place
        mark = self._calendar.period(budget.period, at)[2]
        if table[place] < mark:
            known = self._spending.since(rule.scope, budget, mark, at.date())
            table[place + SPENT] = whole(known)
            table[place] = mark
        return charge[budget.currency], table[place]

    def _hold(self, rules: tuple[Rule, ...], shares: list[Share], now: int) -> None:
        table, held = self._cells.table, self._cells.held
        for rule, (amount, _) in zip(rules, shares, strict=True):
            place = rule.place
            if rule.kind == REQUESTS:
                table[place] = max(table[place], now) + amount
            else:
                held[rule.number] += amount
                table[place + HELD] += amount

    def _now(self) -> int:
        return int(self._clock.monotonic() * _SECOND)
