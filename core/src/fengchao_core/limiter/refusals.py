"""What a caller is told whose limit is reached: which one it is, and when to come back."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from fengchao_core.errors import BudgetExceeded, LimitExceeded
from fengchao_core.limiter.periods import Calendar
from fengchao_core.limiter.rules import CONCURRENT, REQUESTS, TOKENS, Rule
from fengchao_core.limiter.tariff import NANO
from fengchao_core.rates import RatesLeft
from fengchao_core.reservation import Reservation

SOON_S: Final = 1.0
"""When to come back where it depends on requests under way, of which nobody knows when they end."""


class Shortage(NamedTuple):
    """
    The limit that is reached.

    Attributes:
        wait_s: until time alone has freed enough; None where requests under way have to end first.
        left: what is left of it, requests under way taken off.
    """

    rule: Rule
    wait_s: float | None
    left: int


def refusal(
    shortage: Shortage, reservation: Reservation, rates: RatesLeft | None, calendar: Calendar
) -> LimitExceeded:
    """The error that says so."""
    rule, wait_s, left = shortage
    whose = (
        "this key's" if rule.scope.startswith("key:") else f"{rule.scope.replace(':', ' ', 1)}'s"
    )
    on = f" on model {rule.model!r}" if rule.model is not None else ""
    budget = rule.budget
    if budget is not None:
        amount = f"{budget.amount.normalize():f} {budget.currency} a {budget.period}"
        said = f"of {whose} budget of {amount}{on}"
        return _over_budget(said, shortage, reservation, rates, calendar)
    if rule.kind == TOKENS and reservation.prompt_tokens > rule.limit:
        return LimitExceeded(
            f"some {reservation.prompt_tokens} input tokens are more than {whose} limit of {rule.limit} tokens per "
            f"minute{on} ever lets pass; send less at once",
            limit=rule.name,
            rates=rates,
        )
    wait_s = SOON_S if wait_s is None else max(wait_s, 0.001)
    if rule.kind == CONCURRENT:
        said = f"{whose} limit of {rule.limit} concurrent requests{on} is reached"
    elif rule.kind == REQUESTS:
        said = f"{whose} limit of {rule.limit} requests per minute{on} is reached"
    else:
        said = (
            f"of {whose} limit of {rule.limit} tokens per minute{on} {max(left, 0)} are left, and this request may use "
            f"{reservation.tokens}"
        )
    return LimitExceeded(
        f"{said}; come back in {wait_s:.3g} s", limit=rule.name, retry_after=wait_s, rates=rates
    )


def _over_budget(
    said: str,
    shortage: Shortage,
    reservation: Reservation,
    rates: RatesLeft | None,
    calendar: Calendar,
) -> BudgetExceeded:
    rule, wait_s, left = shortage
    budget = rule.budget
    if budget is None:
        raise AssertionError("only a budget can be over budget")
    if wait_s is None:
        wait_s = SOON_S
        reason = "are left beside what requests under way may still use"
        when = f"in {wait_s:.3g} s"
    else:
        _, end, _ = calendar.period(budget.period, reservation.started_at)
        wait_s = max((end - reservation.started_at).total_seconds(), SOON_S)
        reason = "are left"
        when = f"at {end.astimezone(calendar.zone).isoformat()}"
    rest = max(Decimal(left) / NANO, Decimal(0)).normalize()
    return BudgetExceeded(
        f"{said} {rest:f} {budget.currency} {reason}, which is less than this request may cost; come back {when}",
        limit=rule.name,
        retry_after=wait_s,
        rates=rates,
    )
