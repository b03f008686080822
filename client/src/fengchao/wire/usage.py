"""`/aigc/usage/`: what a key used and what is left of its limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from fengchao_core.account import Account
    from fengchao_core.limits import BudgetLeft
    from fengchao_core.rates import RatesLeft

Json = dict[str, Any]


class UsageTotal(BaseModel):
    """
    What was used of a model, or on a day, in one currency.

    Attributes:
        cost: exact, as text; None where the model has no price.
    """

    model: str | None = None
    day: str | None = None
    requests: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    images: int
    searches: int
    cost: str | None
    currency: str | None


class BudgetCard(BaseModel):
    """
    A budget in its present day or month. Amounts are exact, as text.

    Attributes:
        scope: whether it is the key's own, or that of its group.
        model: the one model it is for; None: all.
        held: what requests under way may still cost.
        remaining: what is left beside both.
        resets_at: when the next period begins, with its time zone.
    """

    scope: Literal["key", "group"]
    model: str | None
    period: Literal["day", "month"]
    currency: str
    amount: str
    spent: str
    held: str
    remaining: str
    resets_at: datetime


class RateCard(BaseModel):
    """A rate per minute: of how many how many are left, and in how many seconds all are."""

    limit: int
    remaining: int
    reset_s: float


class UsageReport(BaseModel):
    """
    What a key used, and what is left of its limits.

    Attributes:
        since: the first instant that is counted.
        until: the first instant that is not; None: up to now.
        totals: one per model or day, and currency.
        requests: of the key's requests per minute; None: not limited; likewise `tokens`.
    """

    since: datetime | None = None
    until: datetime | None = None
    totals: list[UsageTotal] = Field(default_factory=list)
    budgets: list[BudgetCard] = Field(default_factory=list)
    requests: RateCard | None = None
    tokens: RateCard | None = None


class UsageResponse(BaseModel):
    """The answer of `/aigc/usage/`."""

    status: int = 200
    msg: str = ""
    data: UsageReport


def usage_report(account: Account) -> Json:
    """The `data` of `/aigc/usage/`."""
    from fengchao_core.reports import facts

    query, rates = account.query, account.rates
    return {
        "since": query.since.isoformat() if query.since else None,
        "until": query.until.isoformat() if query.until else None,
        "totals": [facts(one, query.by) for one in account.sums],
        "budgets": [_budget(left) for left in account.budgets],
        **_rates(rates),
    }


def _budget(left: BudgetLeft) -> Json:
    budget = left.budget
    amounts = {
        "amount": budget.amount,
        "spent": left.spent,
        "held": left.held,
        "remaining": left.remaining,
    }
    return {
        "scope": left.scope,
        "model": budget.model,
        "period": budget.period,
        "currency": budget.currency,
        **{name: f"{amount.normalize():f}" for name, amount in amounts.items()},
        "resets_at": left.resets_at.isoformat(),
    }


def _rates(rates: RatesLeft | None) -> Json:
    found: Json = {"requests": None, "tokens": None}
    if rates is not None and rates.requests_limit is not None:
        found["requests"] = {
            "limit": rates.requests_limit,
            "remaining": rates.requests_remaining,
            "reset_s": round(rates.requests_reset_s, 3),
        }
    if rates is not None and rates.tokens_limit is not None:
        found["tokens"] = {
            "limit": rates.tokens_limit,
            "remaining": rates.tokens_remaining,
            "reset_s": round(rates.tokens_reset_s, 3),
        }
    return found


BY: Sequence[str] = ("model", "day")
"""What the totals can be grouped by."""
