"""The days and months that budgets are for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from fengchao_core.limits import Period


def begin_of(period: Period, at: datetime, zone: tzinfo) -> datetime:
    """The first instant, in UTC, of the calendar day or month that an aware instant lies in."""
    first = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        first = first.replace(day=1)
    return first.astimezone(UTC)


def end_of(period: Period, at: datetime, zone: tzinfo) -> datetime:
    """The first instant, in UTC, after that day or month."""
    local = at.astimezone(zone)
    # A month and a day have at most 31 days and 25 hours: what lies beyond is in the next one, and before its end.
    step = timedelta(days=1) if period == "day" else timedelta(days=32 - local.day)
    noon = local.replace(hour=12, minute=0, second=0, microsecond=0)
    return begin_of(period, noon + step, zone)


class Calendar:
    """
    The periods around now, worked out once for each.

    Args:
        zone: whose midnight it is.
    """

    def __init__(self, zone: tzinfo) -> None:
        self.zone = zone
        self._known: dict[Period, tuple[datetime, datetime, int]] = {}

    def period(self, period: Period, at: datetime) -> tuple[datetime, datetime, int]:
        """First instant, first instant after, and the first in seconds since 1970."""
        known = self._known.get(period)
        if known is None or not known[0] <= at < known[1]:
            begin = begin_of(period, at, self.zone)
            known = (begin, end_of(period, at, self.zone), int(begin.timestamp()))
            self._known[period] = known
        return known
