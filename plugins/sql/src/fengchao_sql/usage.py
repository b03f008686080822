"""Usage rows in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

import structlog
from sqlalchemy import Select, delete, select, update

from fengchao_core.reports import UsageQuery, UsageSum
from fengchao_core.store import UsageGrouping
from fengchao_core.usage import UsageRecord, UsageTotals
from fengchao_sql import reports
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.rollups import HOUR_US, RollUps, usage_hours
from fengchao_sql.tables import (
    LARGEST_COST,
    LARGEST_COUNT,
    from_micros,
    from_units,
    to_micros,
    to_units,
    usage_rows,
)

log = structlog.get_logger()

COLUMNS = tuple(column.name for column in usage_rows.c if column.name != "seq")
"""What a row is written with, in the table's order."""

LONGEST_TEXT = 200
"""Characters that are kept of a model's name or a request id, which a caller may have made up."""

_BLOCKS = (50, 10, 1)
"""
Rows in one statement, the most first. The driver lets go of the interpreter once per statement, and under load has to
wait for it each time.
"""

_IDS = 500
"""Ids in one query."""


class SqlUsage:
    """A `UsageStore`. Rows are only ever added."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rollups = RollUps(database.dialect)
        self._inserts = tuple(
            (
                length,
                database.insert_once(usage_rows, COLUMNS, unique="id", rows=length)
                + " RETURNING id",
            )
            for length in _BLOCKS
        )

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """
        Keep rows, all or none; a row whose `id` is already kept is left as it is.

        What no row can hold is cut to size and logged instead of raised: a row that could never be written would
        hold up every row behind it.

        Raises:
            StoreUnavailable: the database does not answer; nothing is lost by adding the same rows again.
        """
        if rows:
            await self._database.write(lambda to: self.add_within(to, rows))

    async def add_within(self, to: AsyncConnection, rows: Sequence[UsageRecord]) -> None:
        """As `add`, in a transaction that is open already."""
        start, fresh = 0, []
        for length, text in self._inserts:
            while len(rows) - start >= length:
                block = rows[start : start + length]
                values = tuple(chain.from_iterable(map(_values, block)))
                added = {id_ for (id_,) in await to.exec_driver_sql(text, values)}
                for row in block:
                    if row.id in added:
                        added.discard(row.id)
                        fresh.append(_fitted(row))
                start += length
        if fresh:
            await self._rollups.add(to, fresh)

    async def rows(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> tuple[UsageRecord, ...]:
        """Rows that started in [since, until), newest first. Raises `StoreUnavailable`."""
        query = select_rows(since=since, until=until, limit=limit)
        found = await self._database.read(query)
        return tuple(_record(row) for row in found)

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
            found += map(_record, rows)
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
            old = [_record(row) for row in found]
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
            await self._rollups.exchange(to, old, new)

        await self._database.write(change)

    async def sums(self, query: UsageQuery) -> tuple[UsageSum, ...]:
        """Sums of the rows that a query asks for, one per group and currency. Raises `StoreUnavailable`."""
        return await reports.sums(self._database, query)


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


def _fitted(row: UsageRecord) -> UsageRecord:
    """The row as it is kept: what no row can hold is cut."""
    if (
        len(row.model) <= LONGEST_TEXT
        and row.model.isascii()
        and "\0" not in row.model
        and max(row.prompt_tokens, row.completion_tokens) <= LARGEST_COUNT
        and not row.group
    ):
        return row
    return replace(
        row,
        model=fitted(row.model),
        group=fitted(row.group),
        prompt_tokens=_count(row.prompt_tokens),
        completion_tokens=_count(row.completion_tokens),
        cached_tokens=_count(row.cached_tokens),
        reasoning_tokens=_count(row.reasoning_tokens),
        images=_count(row.images),
        searches=_count(row.searches),
    )


def _values(row: UsageRecord) -> tuple[Any, ...]:
    """A row in the order of `COLUMNS`."""
    if row.cost is not None and row.cost > LARGEST_COST:
        log.error("usage.cost_cut", id=row.id, kept=LARGEST_COST)
    return (
        row.id,
        to_micros(row.started_at),
        "" if row.request_id == row.id else fitted(row.request_id),
        row.key,
        fitted(row.model),
        row.provider,
        row.outcome,
        row.error,
        row.streamed,
        _count(row.attempts),
        _count(row.duration_ms),
        None if row.first_delta_ms is None else _count(row.first_delta_ms),
        _count(row.prompt_tokens),
        _count(row.completion_tokens),
        _count(row.cached_tokens),
        _count(row.reasoning_tokens),
        row.usage_source,
        None if row.cost is None else to_units(row.cost),
        row.currency,
        row.price_since,
        None if row.operation == "chat" else row.operation,
        fitted(row.group) or None,
        _count(row.images) or None,
        _count(row.searches) or None,
        _count(row.vectors) or None,
        row.price_version,
        row.disconnect or None,
    )


def fitted(text: str) -> str:
    """Text as both databases take it: not endless, no NUL, no half of a surrogate pair."""
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT]
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _count(number: int) -> int:
    return min(number, LARGEST_COUNT)


def _record(row: Any) -> UsageRecord:
    return UsageRecord(
        id=row.id,
        request_id=row.request_id or row.id,
        key=row.key,
        model=row.model,
        provider=row.provider,
        outcome=row.outcome,
        error=row.error,
        streamed=row.streamed,
        attempts=row.attempts,
        started_at=from_micros(row.started_at),
        duration_ms=row.duration_ms,
        first_delta_ms=row.first_delta_ms,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cached_tokens=row.cached_tokens,
        reasoning_tokens=row.reasoning_tokens,
        usage_source=row.usage_source,
        cost=None if row.cost is None else from_units(row.cost),
        currency=row.currency,
        price_since=row.price_since,
        operation=row.operation or "chat",
        group=row.key_group or "",
        images=row.images or 0,
        searches=row.searches or 0,
        vectors=row.vectors or 0,
        price_version=row.price_version,
        disconnect=row.disconnect or "",
    )
