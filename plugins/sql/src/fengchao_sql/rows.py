"""
A usage row as the values of a statement, and back.

A row in which nothing is out of the ordinary is written without the columns that most rows lack: Python's SQLite driver
takes half of its time for values that are None. It is told by its length: `USUAL` or `COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from math import isfinite
from operator import attrgetter
from typing import Any, Final

from fengchao_core.logs import Log
from fengchao_core.usage import UsageRecord
from fengchao_sql.tables import (
    LARGEST_COST,
    LARGEST_COUNT,
    LARGEST_UNITS,
    fitted,
    from_micros,
    from_units,
    to_micros,
    to_units,
    usage_rows,
)

log = Log()

COLUMNS: Final = tuple(column.name for column in usage_rows.c if column.name != "seq")
"""What a whole row is written with, in the table's order."""

_RARE: Final = ("operation", "key_group", "images", "searches", "vectors", "disconnect")

USUAL: Final = tuple(name for name in COLUMNS if name not in _RARE)
"""What a usual row is written with. It has the same places as in `COLUMNS` up to `price_since`."""

ID: Final = USUAL.index("id")

NOT_TAKEN: Final = (TypeError, ValueError, ArithmeticError)
"""What is raised for a value that no row can hold."""

_COUNTS: Final = (
    "attempts",
    "duration_ms",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "searches",
    "vectors",
)
_TEXTS: Final = (
    "id",
    "request_id",
    "key",
    "group",
    "model",
    "provider",
    "outcome",
    "error",
    "usage_source",
    "operation",
    "disconnect",
)
_TEXTS_OR_NONE: Final = ("currency", "price_since", "price_version")

Values = tuple[Any, ...]
"""A row in the order of `USUAL` or `COLUMNS`."""

_fields = attrgetter(
    "id",
    "started_at",
    "request_id",
    "key",
    "model",
    "provider",
    "outcome",
    "error",
    "streamed",
    "attempts",
    "duration_ms",
    "first_delta_ms",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "usage_source",
    "cost",
    "currency",
    "price_since",
    "operation",
    "group",
    "images",
    "searches",
    "vectors",
    "price_version",
    "disconnect",
)


def values_of(row: UsageRecord, flag: Callable[[bool], object]) -> Values:
    """
    A row as it is kept: what no row can hold is cut to size, and a cost that was cut is logged.

    Args:
        flag: makes a truth value what the driver takes at once.
    """
    (
        id_, started_at, request_id, key, model, provider, outcome, error, streamed, attempts, duration_ms,
        first_delta_ms, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, source, cost, currency,
        price_since, operation, group, images, searches, vectors, price_version, disconnect,
    ) = _fields(row)  # fmt: skip
    # Together they are too large where one of them is, and negative where one of them is.
    counted = attempts | duration_ms | prompt_tokens | completion_tokens | cached_tokens
    if not 0 <= (counted | reasoning_tokens | (first_delta_ms or 0)) <= LARGEST_COUNT:
        attempts, duration_ms = _count(attempts), _count(duration_ms)
        prompt_tokens, completion_tokens = _count(prompt_tokens), _count(completion_tokens)
        cached_tokens, reasoning_tokens = _count(cached_tokens), _count(reasoning_tokens)
        first_delta_ms = None if first_delta_ms is None else _count(first_delta_ms)
    units = None
    if cost is not None:
        units = to_units(cost)
        if units == LARGEST_UNITS and cost > LARGEST_COST:
            log.error("usage.cost_cut", id=id_, kept=LARGEST_COST)
    usual = (
        id_,
        to_micros(started_at),
        "" if request_id == id_ else fitted(request_id),
        key,
        fitted(model),
        provider,
        outcome,
        error,
        flag(streamed),
        attempts,
        duration_ms,
        first_delta_ms,
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        reasoning_tokens,
        source,
        units,
        currency,
        price_since,
    )
    if operation == "chat" and not (group or images or searches or vectors or disconnect):
        return (*usual, price_version)
    return (
        *usual,
        None if operation == "chat" else operation,
        fitted(group) or None,
        _count(images) or None,
        _count(searches) or None,
        _count(vectors) or None,
        price_version,
        disconnect or None,
    )


def record_of(row: Any) -> UsageRecord:
    """A row that was read."""
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


def mended_values_of(row: UsageRecord, flag: Callable[[bool], object]) -> Values:
    """As `values_of`; a row that is none is kept as near to itself as it can be, and logged."""
    try:
        return values_of(row, flag)
    except NOT_TAKEN:
        return values_of(mended(row), flag)


def mended(row: UsageRecord) -> UsageRecord:
    """A row that every database takes, as near to this one as it can be: itself, unless something is wrong with it."""
    cost = row.cost if row.cost is not None and row.cost.is_finite() else None
    start = row.started_at
    changes: dict[str, Any] = {name: _count(getattr(row, name)) for name in _COUNTS}
    changes |= {name: _text(getattr(row, name)) for name in _TEXTS}
    changes |= {name: _text(getattr(row, name)) or None for name in _TEXTS_OR_NONE}
    changes["first_delta_ms"] = None if row.first_delta_ms is None else _count(row.first_delta_ms)
    changes["started_at"] = start if start.tzinfo is not None else start.replace(tzinfo=UTC)
    changes["streamed"] = bool(row.streamed)
    changes["cost"] = cost
    if cost is None:
        changes["currency"] = None
    new = replace(row, **changes)
    if new == row:
        return row
    log.warning("usage.row_mended", id=new.id, provider=new.provider)
    return new


def _count(number: object) -> int:
    """A number as a row takes it; zero where it is none."""
    if not isinstance(number, int):
        number = int(number) if isinstance(number, float) and isfinite(number) else 0
    return max(0, min(number, LARGEST_COUNT))


def _text(value: object) -> str:
    """A text as a row takes it; empty where it is none."""
    return fitted(value) if isinstance(value, str) else ""
