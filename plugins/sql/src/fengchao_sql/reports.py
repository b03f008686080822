"""The sums of reports, made by the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, Text, case, func, literal_column, select

from fengchao_core.reports import Dimension, UsageQuery, UsageSum
from fengchao_core.usage import NO_FAILURE
from fengchao_sql.engine import Database
from fengchao_sql.tables import DAY_US, from_micros, from_units, to_micros, usage_rows

HOUR_US: Final = 3_600_000_000

_FILTERS: Final = ("key", "group", "model", "provider", "outcome")
_COUNTS: Final = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "searches",
)

_USUAL: Final = {"group": "''", "operation": "'chat'"}

# A sum of costs in their own unit would leave SQLite's 64 bits at nine million; summed in two halves it never does.
_HALF: Final = 1_000_000


async def sums(database: Database, query: UsageQuery) -> tuple[UsageSum, ...]:
    """As `UsageStore.sums`. Raises `StoreUnavailable`."""
    found = [_sum(row, query.by) for row in await database.read(select_sums(query))]
    # Ordered here, because databases do not agree on the order of text.
    return tuple(sorted(found, key=lambda one: (one.groups, one.currency or "")))


def select_sums(query: UsageQuery) -> Select[Any]:
    """The query of `sums`."""
    t = usage_rows.c
    groups = [_group(dimension).label(f"group_{n}") for n, dimension in enumerate(query.by)]
    statement = select(
        *groups,
        t.currency,
        func.sum(case((t.outcome != "retried", 1), else_=0)).label("requests"),
        func.sum(case((t.outcome.not_in(NO_FAILURE), 1), else_=0)).label("failures"),
        *(func.sum(t[name]).label(name) for name in _COUNTS),
        func.sum(t.cost // _HALF).label("cost_high"),
        func.sum(t.cost % _HALF).label("cost_low"),
    )
    if query.since is not None:
        statement = statement.where(t.started_at >= to_micros(query.since))
    if query.until is not None:
        statement = statement.where(t.started_at < to_micros(query.until))
    for name in _FILTERS:
        wanted = getattr(query, name)
        if wanted is not None:
            statement = statement.where(_column(name) == wanted)
    return statement.group_by(*(_group(dimension) for dimension in query.by), t.currency)


def _group(dimension: Dimension) -> ColumnElement[Any]:
    # Numbers and words are written out: PostgreSQL takes two parameters for two different expressions.
    if dimension in {"day", "hour"}:
        length = DAY_US if dimension == "day" else HOUR_US
        return usage_rows.c.started_at // literal_column(str(length), BigInteger)
    return _column(dimension)


def _column(name: str) -> ColumnElement[Any]:
    """A column as text that is never absent: what most rows lack is NULL in the table."""
    column: ColumnElement[Any] = usage_rows.c["key_group" if name == "group" else name]
    usual = _USUAL.get(name)
    return column if usual is None else func.coalesce(column, literal_column(usual, Text))


def _sum(row: Any, by: tuple[Dimension, ...]) -> UsageSum:
    return UsageSum(
        groups=tuple(_value(row[n], dimension) for n, dimension in enumerate(by)),
        currency=row.currency,
        requests=int(row.requests),
        failures=int(row.failures),
        cost=from_units(int(row.cost_high or 0) * _HALF + int(row.cost_low or 0)),
        **{name: int(getattr(row, name) or 0) for name in _COUNTS},
    )


def _value(value: Any, dimension: Dimension) -> str:
    if dimension == "day":
        return _at(value, DAY_US).date().isoformat()
    if dimension == "hour":
        return _at(value, HOUR_US).strftime("%Y-%m-%dT%H")
    return str(value)


def _at(number: Any, length: int) -> datetime:
    return from_micros(int(number) * length)
