"""Where usage rows are kept: the protocol, and a list of bounded length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal, Protocol

from fengchao_core.reports import UsageQuery, UsageSum, sum_up
from fengchao_core.usage import UsageRecord, UsageTotals, total_up

UsageGrouping = Literal["key", "model", "provider", "day", "outcome"]


class UsageStore(Protocol):
    """Keeps one row per request."""

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """
        Keep rows, all or none; a row whose `id` is already kept is left as it is.

        Raises:
            StoreUnavailable: the database does not answer; nothing is lost by adding the same rows again.
        """
        ...

    async def rows(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> tuple[UsageRecord, ...]:
        """Rows that started in [since, until), newest first."""
        ...

    async def forget(self, before: datetime, most: int) -> int:
        """
        Delete rows that started before an instant, and sums by the hour; sums by the day stay.

        Args:
            most: rows in one go, so that nobody waits long for their turn.

        Returns:
            how many rows were deleted; less than `most` where there are no more.
        """
        ...

    async def get(self, ids: Sequence[str]) -> tuple[UsageRecord, ...]:
        """The rows of these ids that are kept, in any order."""
        ...

    async def totals(
        self, *, by: UsageGrouping, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[UsageTotals, ...]:
        """Sums of the rows that started in [since, until), one per group and currency, ordered by group."""
        ...

    async def reprice(self, rows: Sequence[UsageRecord]) -> None:
        """
        Put the cost, the currency and the price of these rows in the place of what is kept under their ids, all or none.

        Raises:
            StoreUnavailable: the database does not answer; nothing was changed.
        """
        ...

    async def sums(self, query: UsageQuery) -> tuple[UsageSum, ...]:
        """
        Sums of the rows that a query asks for, one per group and currency, ordered by them.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...


class MemoryUsage:
    """The newest usage rows, up to `capacity`; older ones are dropped."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._rows: dict[str, UsageRecord] = {}
        self._capacity = capacity

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """Keep rows, the oldest making room."""
        for row in rows:
            self._rows.setdefault(row.id, row)
        while len(self._rows) > self._capacity:
            del self._rows[next(iter(self._rows))]

    async def rows(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> tuple[UsageRecord, ...]:
        """Rows that started in [since, until), newest first."""
        found = [row for row in reversed(self._rows.values()) if _within(row, since, until)]
        found.sort(key=lambda row: row.started_at, reverse=True)
        return tuple(found[:limit])

    async def forget(self, before: datetime, most: int) -> int:
        """Delete rows that started before an instant; here their sums go with them."""
        old = [row.id for row in self._rows.values() if row.started_at < before][:most]
        for id_ in old:
            del self._rows[id_]
        return len(old)

    async def get(self, ids: Sequence[str]) -> tuple[UsageRecord, ...]:
        """The rows of these ids that are kept."""
        return tuple(self._rows[id_] for id_ in dict.fromkeys(ids) if id_ in self._rows)

    async def totals(
        self, *, by: UsageGrouping, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[UsageTotals, ...]:
        """Sums by group."""
        return total_up((row for row in self._rows.values() if _within(row, since, until)), by=by)

    async def reprice(self, rows: Sequence[UsageRecord]) -> None:
        """Put in what rows cost now."""
        for row in rows:
            kept = self._rows.get(row.id)
            if kept is not None:
                self._rows[row.id] = replace(
                    kept,
                    cost=row.cost,
                    currency=row.currency,
                    price_since=row.price_since,
                    price_version=row.price_version,
                )

    async def sums(self, query: UsageQuery) -> tuple[UsageSum, ...]:
        """Sums of the rows that a query asks for."""
        return sum_up(self._rows.values(), query)


def _within(row: UsageRecord, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or row.started_at >= since) and (until is None or row.started_at < until)
