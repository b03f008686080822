"""What requests cost in the currencies of budgets, as whole numbers of counters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

from fengchao_core.errors import PermissionDenied
from fengchao_core.money import RateBook
from fengchao_core.reservation import Reservation
from fengchao_core.types import Currency, ModelCard

NANO: Final = Decimal(10**9)
"""Counters count 1e-9 of a currency; parts of it are rounded up, so that a budget is never overrun by rounding."""

LARGEST: Final = 2**60
"""Beyond it no counter counts: a thousand million of a currency."""


class Tariff:
    """
    Charges budgets.

    Args:
        unpriced: whether a model without a price is refused to those who have a budget, or counts as free. A model of our
            own house without a price is free, and so is a search.
    """

    def __init__(self, rates: RateBook, *, unpriced: Literal["refuse", "free"] = "refuse") -> None:
        self._rates = rates
        self._unpriced = unpriced
        self._known: tuple[date, dict[tuple[Currency, Currency], Decimal | None]] = (date.min, {})

    def charge(
        self, reservation: Reservation, currencies: Iterable[Currency]
    ) -> dict[Currency, int]:
        """
        What a reservation may cost, in each of these currencies.

        Raises:
            PermissionDenied: the model has no price, or one in a currency that has no rate.
        """
        cost, own = reservation.cost, reservation.currency
        card = reservation.card
        if cost is None or own is None:
            is_free = card.is_local or reservation.operation == "web_search"
            if self._unpriced == "refuse" and not is_free:
                raise PermissionDenied(
                    f"this key has a budget, but model {card.id!r} has no price it could be charged with; "
                    f'set one under [[models."{card.id}".prices]], or [money] unpriced = "free"',
                    param="model",
                )
            return dict.fromkeys(currencies, 0)
        day = reservation.started_at.date()
        return {currency: self._nanos(cost, own, currency, day, card) for currency in currencies}

    def spent(
        self, amounts: Iterable[tuple[Decimal, Currency]], currency: Currency, day: date
    ) -> int:
        """What amounts are together; those in a currency that has no rate are not in it."""
        total = 0
        for amount, own in amounts:
            rate = self._rate(own, currency, day)
            if rate is not None:
                total += whole(amount * rate)
        return total

    def _nanos(
        self, cost: Decimal, own: Currency, currency: Currency, day: date, card: ModelCard
    ) -> int:
        if own == currency:
            return whole(cost)
        rate = self._rate(own, currency, day)
        if rate is None:
            raise PermissionDenied(
                f"this key has a budget in {currency}, but model {card.id!r} is priced in {own} and no rate between the "
                "two is set; add one under [[money.rates]]",
                param="model",
            )
        return whole(cost * rate)

    def _rate(self, own: Currency, currency: Currency, day: date) -> Decimal | None:
        if self._known[0] != day:
            self._known = (day, {})
        known = self._known[1]
        if (own, currency) not in known:
            rate = self._rates.find(own, currency, day)
            known[own, currency] = rate.rate if rate is not None else None
        return known[own, currency]


def whole(amount: Decimal) -> int:
    """An amount in 1e-9 of its currency, rounded up."""
    return min(int((amount * NANO).to_integral_value(ROUND_CEILING)), LARGEST)
