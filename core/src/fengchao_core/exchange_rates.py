"""The rates of exchange that the settings have."""

from __future__ import annotations

from fengchao_core.money import Rate, RateBook
from fengchao_core.settings import MoneySettings


def rate_book(money: MoneySettings) -> RateBook:
    """The rates of `[[money.rates]]`."""
    return RateBook(
        Rate(row.base, row.quote, row.rate, row.since, row.source) for row in money.rates
    )
