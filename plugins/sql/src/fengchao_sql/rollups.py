"""
Sums of usage by hour and by day, kept up to date with the rows in the transaction that adds them.

A report over months reads some thousand sums instead of millions of rows. They outlive the rows: those are deleted after
a while, the sums of their days stay.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Table,
    Text,
    and_,
    delete,
)

from fengchao_core.usage import NO_FAILURE
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.rows import COLUMNS, USUAL, Values
from fengchao_sql.tables import DAY_US, metadata

if TYPE_CHECKING:
    import sqlite3

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


Sums = dict[tuple[Any, ...], list[int]]
"""By the bucket and the dimensions of a table: counts in the order of `COUNTS`."""

_STARTED_AT: Final = USUAL.index("started_at")
_COST: Final = USUAL.index("cost")
_PIECES: Final = tuple(map(COLUMNS.index, ("images", "searches")))
_tokens: Final = tuple(itemgetter(USUAL.index(name)) for name in COUNTS[2:6])
_AS_USUAL: Final = tuple(
    map(USUAL.index, ("key", "model", "provider", "outcome", "currency"))
)  # these stand at the same places in a whole row
_dimensions_usual = itemgetter(*_AS_USUAL)
_dimensions = itemgetter(*_AS_USUAL, COLUMNS.index("operation"), COLUMNS.index("key_group"))


class RollUps:
    """Writes the sums, within the transactions of others."""

    def __init__(self, dialect: Dialect) -> None:
        self._texts = {table.name: _upsert(table, dialect) for table, _ in LENGTHS}

    async def add(self, to: AsyncConnection, rows: Iterable[Values]) -> None:
        """Count rows that were just added, each once."""
        for text, values in self._statements(_sums(rows)):
            await to.exec_driver_sql(text, values)

    def add_at_once(self, to: sqlite3.Connection, rows: Iterable[Values]) -> None:
        """As `add`, where the driver does not let others have their turn meanwhile."""
        for text, values in self._statements(_sums(rows)):
            to.executemany(text, values)

    async def exchange(
        self, to: AsyncConnection, old: Iterable[Values], new: Iterable[Values]
    ) -> None:
        """
        Count rows as they are now instead of as they were.

        The sums of a day are right afterwards whether or not all of its rows are still kept.
        """
        hours = _sums(new)
        for place, counts in _sums(old).items():
            _add(hours, place, [-count for count in counts])
        for text, values in self._statements(hours):
            await to.exec_driver_sql(text, values)
        for table, _ in LENGTHS:
            await to.execute(delete(table).where(and_(*(table.c[name] == 0 for name in COUNTS))))

    def _statements(self, hours: Sums) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """What adds the sums of hours, and those of their days: each text with the values of all its rows."""
        days: Sums = {}
        for place, counts in hours.items():
            _add(days, (place[0] // _HOURS_A_DAY, *place[1:]), counts)
        for table, sums in ((usage_hours, hours), (usage_days, days)):
            if sums:
                # In one order, so that two transactions never wait for each other in a circle.
                values = [(*place, *counts) for place, counts in sorted(sums.items())]
                yield self._texts[table.name], values


def _sums(rows: Iterable[Values]) -> Sums:
    """What rows add, by the hour and the dimensions, in the order of `COUNTS`."""
    alike: defaultdict[tuple[Any, ...], list[Values]] = defaultdict(list)
    for row in rows:
        dimensions = _dimensions_usual if len(row) == len(USUAL) else _dimensions
        alike[row[_STARTED_AT] // HOUR_US, *dimensions(row)].append(row)
    sums: Sums = {}
    for (hour, key, model, provider, outcome, currency, *rare), some in alike.items():
        operation, group = rare or (None, None)
        place = (
            hour,
            key,
            group or "",
            model,
            provider,
            operation or "chat",
            outcome,
            currency or "",
        )
        costs = [row[_COST] or 0 for row in some]
        counts = [
            len(some) if outcome != "retried" else 0,
            len(some) if outcome not in NO_FAILURE else 0,
            *(sum(map(tokens, some)) for tokens in _tokens),
            *(sum(row[n] or 0 for row in some) if rare else 0 for n in _PIECES),
            sum(cost // HALF for cost in costs),
            sum(cost % HALF for cost in costs),
        ]
        _add(sums, place, counts)
    return sums


def _add(sums: Sums, place: tuple[Any, ...], counts: list[int]) -> None:
    known = sums.get(place)
    sums[place] = counts if known is None else [a + b for a, b in zip(known, counts, strict=True)]


def _upsert(table: Table, dialect: Dialect) -> str:
    """The text that adds counts to a row, or makes it; for values in the table's order."""
    statement = importlib.import_module(f"sqlalchemy.dialects.{dialect.name}").insert(table)
    statement = statement.inline().on_conflict_do_update(
        index_elements=["bucket", *DIMENSIONS],
        set_={count: table.c[count] + statement.excluded[count] for count in COUNTS},
    )
    return str(statement.compile(dialect=dialect, column_keys=["bucket", *DIMENSIONS, *COUNTS]))
