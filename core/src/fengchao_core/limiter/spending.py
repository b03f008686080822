"""What was spent before this process counted: sums of the ledger's rows, read now and then, never by a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from fengchao_core.limiter.periods import Calendar
from fengchao_core.limits import Budget, Period
from fengchao_core.money import RateBook
from fengchao_core.types import Currency
from fengchao_core.types.shared import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key spent on a model, in one currency, since some instant."""

    key: str
    group: str
    model: str
    currency: Currency
    cost: Decimal


class ReadsSpending(Protocol):
    """Who knows what was spent."""

    async def spent(self, since: datetime) -> Iterable[Spent]:
        """The sums over the rows that started at `since` or later."""
        ...


class Spending:
    """
    Sums of the present day and month.

    Args:
        source: where the rows are.
        canonical: the id of a model by any name of it.
    """

    def __init__(
        self,
        source: ReadsSpending,
        calendar: Calendar,
        rates: RateBook,
        canonical: Callable[[str], str],
    ) -> None:
        self._source = source
        self._calendar = calendar
        self._rates = rates
        self._canonical = canonical
        self._sums: dict[tuple[Period, int], dict[tuple[str, str | None, Currency], Decimal]] = {}

    async def load(self, now: datetime) -> None:
        """Read the sums. Raises what the store raises."""
        sums: dict[tuple[Period, int], dict[tuple[str, str | None, Currency], Decimal]] = {}
        for period in ("day", "month"):
            begin, _, mark = self._calendar.period(period, now)
            found = sums[period, mark] = {}
            for row in await self._source.spent(begin):
                scopes = (
                    [f"key:{row.key}", f"group:{row.group}"] if row.group else [f"key:{row.key}"]
                )
                for scope in scopes:
                    for model in (None, self._canonical(row.model)):
                        of = (scope, model, row.currency)
                        found[of] = found.get(of, Decimal(0)) + row.cost
        self._sums = sums

    def since(self, scope: str, budget: Budget, mark: int, day: date) -> Decimal:
        """
        What the rows say was spent of a budget in the period that began at `mark`, in the budget's currency.

        Args:
            day: today, whose rate of exchange counts.

        What was spent in a currency for which there is no rate is not in it.
        """
        sums = self._sums.get((budget.period, mark))
        if not sums:
            return Decimal(0)
        total = Decimal(0)
        for currency in ("CNY", "USD"):
            amount = sums.get((scope, budget.model, currency))
            if amount and (rate := self._rates.find(currency, budget.currency, day)):
                total += amount * rate.rate
        return total
