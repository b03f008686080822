"""
The sums of reports, made by the database.

A span of time is read from the coarsest sums that fit it: its whole days from those by day, the whole hours at its ends
from those by hour, and only what is left from the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    Text,
    case,
    func,
    literal_column,
    select,
)

from fengchao_core.reports import Dimension, UsageQuery, UsageSum
from fengchao_core.usage import NO_FAILURE
from fengchao_sql.engine import Database
from fengchao_sql.rollups import HALF, HOUR_US, usage_days, usage_hours
from fengchao_sql.tables import DAY_US, from_micros, from_units, to_micros, usage_rows

_FILTERS: Final = ("key", "group", "model", "provider", "outcome")
_COUNTS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "searches",
)
_SUMMED: Final = ("requests", "failures", *_COUNTS, "cost")
_USUAL: Final = {"group": "''", "operation": "'chat'"}
_LENGTHS: Final = {usage_rows.name: 1, usage_hours.name: HOUR_US, usage_days.name: DAY_US}

Piece = tuple[Table, int | None, int | None]
"""A table, and the span of it in microseconds; None is without end."""


async def sums(database: Database, query: UsageQuery) -> tuple[UsageSum, ...]:
    """As `UsageStore.sums`. Raises `StoreUnavailable`."""
    found: dict[tuple[tuple[str, ...], str], UsageSum] = {}
    for piece in pieces(query):
        for row in await database.read(select_sums(query, piece)):
            one = _sum(row, query.by)
            place = (one.groups, one.currency or "")
            known = found.get(place)
            found[place] = one if known is None else _together(known, one)
    # Ordered here, because databases do not agree on the order of text.
    return tuple(one for _, one in sorted(found.items(), key=lambda item: item[0]))


def pieces(query: UsageQuery) -> Iterator[Piece]:
    """What has to be read for a query."""
    since = None if query.since is None else to_micros(query.since)
    until = None if query.until is None else to_micros(query.until)
    tables = (
        (usage_rows, usage_hours) if "hour" in query.by else (usage_rows, usage_hours, usage_days)
    )
    yield from _split(tables, since, until)


def _split(tables: tuple[Table, ...], since: int | None, until: int | None) -> Iterator[Piece]:
    *finer, table = tables
    length = _LENGTHS[table.name]
    low = None if since is None else -(-since // length) * length
    high = None if until is None else until // length * length
    if not finer:
        if since is None or until is None or since < until:
            yield table, since, until
    elif low is not None and high is not None and low >= high:
        yield from _split(tuple(finer), since, until)  # nothing whole of this length is in it
    else:
        if since != low:
            yield from _split(tuple(finer), since, low)
        yield table, low, high
        if until != high:
            yield from _split(tuple(finer), high, until)


def select_sums(query: UsageQuery, piece: Piece) -> Select[Any]:
    """The query for one piece of `sums`."""
    table, low, high = piece
    groups = [_group(table, dimension).label(f"group_{n}") for n, dimension in enumerate(query.by)]
    t = table.c
    if table is usage_rows:
        at: ColumnElement[Any] = t.started_at
        figures = [
            func.sum(case((t.outcome != "retried", 1), else_=0)).label("requests"),
            func.sum(case((t.outcome.not_in(NO_FAILURE), 1), else_=0)).label("failures"),
            func.sum(t.cost // HALF).label("cost_high"),
            func.sum(t.cost % HALF).label("cost_low"),
        ]
    else:
        at = t.bucket
        low, high = (None if end is None else end // _LENGTHS[table.name] for end in (low, high))
        figures = [
            func.sum(t[name]).label(name)
            for name in ("requests", "failures", "cost_high", "cost_low")
        ]
    statement = select(
        *groups, t.currency, *figures, *(func.sum(t[name]).label(name) for name in _COUNTS)
    )
    if low is not None:
        statement = statement.where(at >= low)
    if high is not None:
        statement = statement.where(at < high)
    for name in _FILTERS:
        wanted = getattr(query, name)
        if wanted is not None:
            statement = statement.where(_column(table, name) == wanted)
    return statement.group_by(*(_group(table, dimension) for dimension in query.by), t.currency)


def _group(table: Table, dimension: Dimension) -> ColumnElement[Any]:
    if dimension not in {"day", "hour"}:
        return _column(table, dimension)
    length = DAY_US if dimension == "day" else HOUR_US
    at = table.c.started_at if table is usage_rows else table.c.bucket
    # Numbers and words are written out: PostgreSQL takes two parameters for two different expressions.
    return at // literal_column(str(length // _LENGTHS[table.name]), BigInteger)


def _column(table: Table, name: str) -> ColumnElement[Any]:
    """A column as text that is never absent: what most rows lack is NULL in their table."""
    column: ColumnElement[Any] = table.c["key_group" if name == "group" else name]
    usual = _USUAL.get(name) if table is usage_rows else None
    return column if usual is None else func.coalesce(column, literal_column(usual, Text))


def _sum(row: Any, by: tuple[Dimension, ...]) -> UsageSum:
    return UsageSum(
        groups=tuple(_value(row[n], dimension) for n, dimension in enumerate(by)),
        currency=row.currency or None,
        requests=int(row.requests),
        failures=int(row.failures),
        cost=from_units(int(row.cost_high or 0) * HALF + int(row.cost_low or 0)),
        **{name: int(getattr(row, name) or 0) for name in _COUNTS},
    )


def _together(one: UsageSum, other: UsageSum) -> UsageSum:
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in _SUMMED})


def _value(value: Any, dimension: Dimension) -> str:
    if dimension == "day":
        return _at(value, DAY_US).date().isoformat()
    if dimension == "hour":
        return _at(value, HOUR_US).strftime("%Y-%m-%dT%H")
    return str(value)


def _at(number: Any, length: int) -> datetime:
    return from_micros(int(number) * length)
