"""Usage rows in the database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, delete, select, update

from fengchao_core.errors import StoreUnavailable
from fengchao_core.reports import UsageQuery, UsageSum
from fengchao_core.store import UsageGrouping
from fengchao_core.usage import UsageRecord, UsageTotals
from fengchao_sql import reports
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database, is_misfit
from fengchao_sql.rollups import HOUR_US, RollUps, usage_hours
from fengchao_sql.rows import (
    COLUMNS,
    ID,
    NOT_TAKEN,
    USUAL,
    Values,
    mended,
    mended_values_of,
    record_of,
    values_of,
)
from fengchao_sql.tables import to_micros, to_units, usage_rows

if TYPE_CHECKING:
    import sqlite3

_BLOCKS = (256, 64, 16, 4, 1)
"""
Rows in one statement, the most first: whatever is done per statement, its way to the database's thread and back above all,
costs as much as twenty rows. Both databases take well over 256 rows' values at once.
"""

_INSERT: Final = re.compile(r"(.*? VALUES )(\(.*\))( ON CONFLICT .*)", re.DOTALL)
_NUMBERED: Final = re.compile(r"\$(\d+)")
"""A parameter, where the driver numbers them."""

_IDS = 500
"""Ids in one query."""


class _KnownRows(Exception):
    """A row was there already."""


class SqlUsage:
    """A `UsageStore`. Rows are only ever added."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rollups = RollUps(database.dialect)
        # Python's SQLite driver takes eight times as long for a truth value as for a number; PostgreSQL's takes no other.
        self._flag = int if database.is_sqlite else bool
        self._inserts = {
            len(columns): several(database.insert_once(usage_rows, columns, unique="id"))
            for columns in (USUAL, COLUMNS)
        }

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """
        Keep rows, all or none; a row whose `id` is already kept is left as it is.

        What no row can hold is cut to size and logged instead of raised: a row that could never be written would
        hold up every row behind it.

        Raises:
            StoreUnavailable: the database does not answer; nothing is lost by adding the same rows again.
        """
        if not rows:
            return
        values: list[Values] = []
        for start in range(0, len(rows), _BLOCKS[0]):
            values += self._values(rows[start : start + _BLOCKS[0]])
            await asyncio.sleep(0)  # others have their turn
        try:
            await self._write(values)
        except (StoreUnavailable, UnicodeEncodeError) as error:
            if not is_misfit(error):
                raise
            await self._write([values_of(mended(row), self._flag) for row in rows])

    async def _write(self, values: Sequence[Values]) -> None:
        try:
            if self._database.is_sqlite:
                await self._database.write_at_once(lambda to: self._add_at_once(to, values))
            else:
                await self._database.write(lambda to: self._add_new(to, values))
        except _KnownRows:
            # Somebody died between writing them and writing that down, or a task that ended wrote its row itself.
            await self._database.write(lambda to: self._add_unknown(to, values))

    async def add_within(self, to: AsyncConnection, rows: Sequence[UsageRecord]) -> None:
        """As `add`, in a transaction that is open already."""
        await self._add_unknown(to, self._values(rows))

    def _values(self, rows: Iterable[UsageRecord]) -> list[Values]:
        flag = self._flag
        try:
            return [values_of(row, flag) for row in rows]
        except (
            NOT_TAKEN
        ):  # a plugin that is out of order must not hold up the rows of all the others
            return [mended_values_of(row, flag) for row in rows]

    async def _add_new(self, to: AsyncConnection, rows: Sequence[Values]) -> None:
        """Add rows and count them. Raises `_KnownRows` where one was there already: nothing of it may be kept then."""
        for block, text in self._blocks(rows):
            done = await to.exec_driver_sql(text, tuple(chain.from_iterable(block)))
            if done.rowcount != len(block):
                raise _KnownRows
        await self._rollups.add(to, rows)

    def _add_at_once(self, to: sqlite3.Connection, rows: Sequence[Values]) -> None:
        """As `_add_new`."""
        for block, text in self._blocks(rows):
            if to.execute(text, tuple(chain.from_iterable(block))).rowcount != len(block):
                raise _KnownRows
        self._rollups.add_at_once(to, rows)

    async def _add_unknown(self, to: AsyncConnection, rows: Sequence[Values]) -> None:
        """As `_add_new`, but asks which rows were not there yet, and counts those."""
        fresh = []
        for block, text in self._blocks(rows):
            values = tuple(chain.from_iterable(block))
            added = {id_ for (id_,) in await to.exec_driver_sql(f"{text} RETURNING id", values)}
            for row in block:
                if row[ID] in added:
                    added.discard(row[ID])
                    fresh.append(row)
        await self._rollups.add(to, fresh)

    def _blocks(self, rows: Sequence[Values]) -> Iterator[tuple[Sequence[Values], str]]:
        """Rows of one shape, as many as a statement takes, with its text."""
        for columns, texts in self._inserts.items():
            alike = [row for row in rows if len(row) == columns]
            start = 0
            for length, text in zip(_BLOCKS, texts, strict=True):
                while len(alike) - start >= length:
                    yield alike[start : start + length], text
                    start += length

    async def rows(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> tuple[UsageRecord, ...]:
        """Rows that started in [since, until), newest first. Raises `StoreUnavailable`."""
        query = select_rows(since=since, until=until, limit=limit)
        found = await self._database.read(query)
        return tuple(record_of(row) for row in found)

    async def forget(self, before: datetime, most: int) -> int:
        """Delete some rows that started before an instant, and the sums of their hours. Raises `StoreUnavailable`."""
        start = to_micros(before)
        old = select(usage_rows.c.seq).where(usage_rows.c.started_at < start)
        deleted = 0

        async def change(to: AsyncConnection) -> None:
            nonlocal deleted
            some = old.order_by(usage_rows.c.started_at).limit(most)
            rows = await to.execute(delete(usage_rows).where(usage_rows.c.seq.in_(some)))
            deleted = rows.rowcount
            if deleted < most:
                await to.execute(delete(usage_hours).where(usage_hours.c.bucket < start // HOUR_US))

        await self._database.write(change)
        return deleted

    async def get(self, ids: Sequence[str]) -> tuple[UsageRecord, ...]:
        """The rows of these ids that are kept, in any order. Raises `StoreUnavailable`."""
        found: list[UsageRecord] = []
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), _IDS):
            some = wanted[start : start + _IDS]
            rows = await self._database.read(select(usage_rows).where(usage_rows.c.id.in_(some)))
            found += map(record_of, rows)
        return tuple(found)

    async def totals(
        self, *, by: UsageGrouping, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[UsageTotals, ...]:
        """
        Sums of the rows that started in [since, until), one per group and currency, ordered by group.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        found = await self.sums(UsageQuery(by=(by,), since=since, until=until))
        return tuple(
            UsageTotals(
                group=one.groups[0],
                currency=one.currency,
                requests=one.requests,
                failures=one.failures,
                prompt_tokens=one.prompt_tokens,
                completion_tokens=one.completion_tokens,
                cost=one.cost,
            )
            for one in found
        )

    async def reprice(self, rows: Sequence[UsageRecord]) -> None:
        """
        Put the cost, the currency and the price of these rows in the place of what is kept, all or none.

        Raises:
            StoreUnavailable: the database does not answer; nothing was changed.
        """
        wanted = {row.id: row for row in rows}

        async def change(to: AsyncConnection) -> None:
            found = await to.execute(select(usage_rows).where(usage_rows.c.id.in_(wanted)))
            old = [record_of(row) for row in found]
            new = [_repriced(row, wanted[row.id]) for row in old]
            for row in new:
                await to.execute(
                    update(usage_rows)
                    .where(usage_rows.c.id == row.id)
                    .values(
                        cost=None if row.cost is None else to_units(row.cost),
                        currency=row.currency,
                        price_since=row.price_since,
                        price_version=row.price_version,
                    )
                )
            await self._rollups.exchange(to, self._values(old), self._values(new))

        await self._database.write(change)

    async def sums(self, query: UsageQuery) -> tuple[UsageSum, ...]:
        """Sums of the rows that a query asks for, one per group and currency. Raises `StoreUnavailable`."""
        return await reports.sums(self._database, query)


def several(one: str) -> tuple[str, ...]:
    """The INSERT of one row, as `Database.insert_once` gives it, for as many rows as `_BLOCKS` says."""
    parts = _INSERT.fullmatch(one)
    if parts is None:
        raise ValueError("this is not the INSERT of one row")
    start, values, end = parts.groups()
    per_row = len(_NUMBERED.findall(values))
    more = [
        _NUMBERED.sub(lambda found, n=n: f"${int(found[1]) + n * per_row}", values)
        for n in range(_BLOCKS[0])
    ]
    return tuple(f"{start}{', '.join(more[:length])}{end}" for length in _BLOCKS)


def _repriced(row: UsageRecord, by: UsageRecord) -> UsageRecord:
    return replace(
        row,
        cost=by.cost,
        currency=by.currency,
        price_since=by.price_since,
        price_version=by.price_version,
    )


def select_rows(*, since: datetime | None, until: datetime | None, limit: int) -> Select[Any]:
    """The query of `SqlUsage.rows`."""
    newest = (usage_rows.c.started_at.desc(), usage_rows.c.seq.desc())
    return _within(select(usage_rows), since, until).order_by(*newest).limit(limit)


def _within(query: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        query = query.where(usage_rows.c.started_at >= to_micros(since))
    if until is not None:
        query = query.where(usage_rows.c.started_at < to_micros(until))
    return query
