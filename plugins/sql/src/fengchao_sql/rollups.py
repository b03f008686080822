"""
Sums of usage by hour and by day, kept up to date with the rows in the transaction that adds them.

A report over months reads some thousand sums instead of millions of rows. They outlive the rows: those are deleted after
a while, the sums of their days stay.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Table,
    Text,
    and_,
    delete,
)

from fengchao_core.usage import NO_FAILURE, UsageRecord
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.tables import DAY_US, metadata, to_micros, to_units

HOUR_US: Final = 3_600_000_000

# A sum of costs in their own unit would leave 64 bits at nine million; in two halves it never does.
HALF: Final = 1_000_000

DIMENSIONS: Final = ("key", "key_group", "model", "provider", "operation", "outcome", "currency")
COUNTS: Final = (
    "requests",
    "failures",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "searches",
    "cost_high",
    "cost_low",
)


def _table(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", BigInteger, primary_key=True, autoincrement=False),
        *(Column(dimension, Text, primary_key=True) for dimension in DIMENSIONS),
        *(Column(count, BigInteger, nullable=False) for count in COUNTS),
        sqlite_with_rowid=False,
    )


usage_hours: Final = _table("usage_hours")
"""One row per hour (counted since 1970, UTC) and group; `''` is no currency."""

usage_days: Final = _table("usage_days")
"""Likewise, per day."""

_HOURS_A_DAY: Final = DAY_US // HOUR_US
LENGTHS: Final = ((usage_hours, HOUR_US), (usage_days, DAY_US))


class RollUps:
    """Writes the sums, within the transactions of others."""

    def __init__(self, dialect: Dialect) -> None:
        self._texts = {table.name: _upsert(table, dialect) for table, _ in LENGTHS}

    async def add(self, to: AsyncConnection, rows: Iterable[UsageRecord]) -> None:
        """Count rows that were just added, each once."""
        await self._count(to, [(row, 1) for row in rows])

    async def exchange(
        self, to: AsyncConnection, old: Iterable[UsageRecord], new: Iterable[UsageRecord]
    ) -> None:
        """
        Count rows as they are now instead of as they were.

        The sums of a day are right afterwards whether or not all of its rows are still kept.
        """
        await self._count(to, [*((row, -1) for row in old), *((row, 1) for row in new)])
        for table, _ in LENGTHS:
            await to.execute(delete(table).where(and_(*(table.c[name] == 0 for name in COUNTS))))

    async def _count(self, to: AsyncConnection, rows: Sequence[tuple[UsageRecord, int]]) -> None:
        hours: dict[tuple[Any, ...], list[int]] = {}
        for row, sign in rows:
            place = (
                to_micros(row.started_at) // HOUR_US,
                row.key,
                row.group,
                row.model,
                row.provider,
                row.operation,
                row.outcome,
                row.currency or "",
            )
            _add(hours, place, _counts(row), sign)
        days: dict[tuple[Any, ...], list[int]] = {}
        for place, counts in hours.items():
            _add(days, (place[0] // _HOURS_A_DAY, *place[1:]), counts, 1)
        for table, sums in ((usage_hours, hours), (usage_days, days)):
            # In one order, so that two transactions never wait for each other in a circle.
            values = [(*place, *counts) for place, counts in sorted(sums.items())]
            if values:
                await to.exec_driver_sql(self._texts[table.name], values)


def _add(
    sums: dict[tuple[Any, ...], list[int]],
    place: tuple[Any, ...],
    counts: Sequence[int],
    sign: int,
) -> None:
    entry = sums.get(place)
    if entry is None:
        sums[place] = [sign * count for count in counts]
    else:
        for n, count in enumerate(counts):
            if count:
                entry[n] += sign * count


def _counts(row: UsageRecord) -> tuple[int, ...]:
    """What a row adds, in the order of `COUNTS`."""
    cost = to_units(row.cost) if row.cost is not None else 0
    return (
        row.outcome != "retried",
        row.outcome not in NO_FAILURE,
        row.prompt_tokens,
        row.completion_tokens,
        row.cached_tokens,
        row.reasoning_tokens,
        row.images,
        row.searches,
        cost // HALF,
        cost % HALF,
    )


def _upsert(table: Table, dialect: Dialect) -> str:
    """The text that adds counts to a row, or makes it; for values in the table's order."""
    statement = importlib.import_module(f"sqlalchemy.dialects.{dialect.name}").insert(table)
    statement = statement.inline().on_conflict_do_update(
        index_elements=["bucket", *DIMENSIONS],
        set_={count: table.c[count] + statement.excluded[count] for count in COUNTS},
    )
    return str(statement.compile(dialect=dialect, column_keys=["bucket", *DIMENSIONS, *COUNTS]))
