"""
Amounts of one currency told in another, by dated rates that an operator sets.

Nothing is ever converted without a rate, and whoever shows a converted amount can name the rate and its date.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, tzinfo
from decimal import Decimal

from fengchao_core.types import Currency
from fengchao_core.types.shared import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """
    What one unit of a currency is worth in another.

    Attributes:
        since: the first day on which it holds (UTC).
        source: where it was read, for people.
    """

    base: Currency
    quote: Currency
    rate: Decimal
    since: date
    source: str = ""


class RateBook:
    """
    The rates there are.

    Args:
        rates: in any order; each counts in both directions, and the newest that already holds is taken.
    """

    def __init__(self, rates: Iterable[Rate] = ()) -> None:
        self.rates = tuple(sorted(rates, key=lambda rate: rate.since, reverse=True))

    def find(self, base: Currency, quote: Currency, day: date) -> Rate | None:
        """The rate from one currency to another on a day, None where nobody set one. Of a currency to itself it is 1."""
        if base == quote:
            return Rate(base, quote, Decimal(1), day)
        for rate in self.rates:
            if rate.since > day:
                continue
            if (rate.base, rate.quote) == (base, quote):
                return rate
            if (rate.base, rate.quote) == (quote, base):
                return Rate(base, quote, 1 / rate.rate, rate.since, rate.source)
        return None


def zone_of(name: str) -> tzinfo:
    """
    A time zone by its name. Only names other than `UTC` need the machine's list of zones.

    Raises:
        ValueError: there is no such zone.
    """
    if name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"no time zone is called {name!r}; write UTC or a name like Asia/Shanghai, and on a machine without zones "
            "install the package tzdata"
        ) from error
