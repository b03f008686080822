"""What a report asks of usage rows, and the sums it gets: pure values, and the summing of a store without a database."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from io import StringIO
from typing import Final, Literal, get_args

from fengchao_core.money import Rate, RateBook
from fengchao_core.types import Currency
from fengchao_core.types.shared import dataclass
from fengchao_core.usage import NO_FAILURE, UsageRecord

Dimension = Literal["key", "group", "model", "provider", "operation", "outcome", "day", "hour"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

_COUNTS: Final = (
    "requests",
    "failures",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "images",
    "searches",
)
_FIGURES: Final = (*_COUNTS, "cost", "currency")

_HOUR_LENGTH = len("2026-11-21T08")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """
    Which rows, summed how.

    Attributes:
        by: what the rows are grouped by, the first first; none: one sum per currency.
        since: the first instant, aware; None: from the beginning.
        until: the first instant after, aware; None: to the end.
        key: rows of this key alone; None: of every key; likewise the others.
    """

    by: tuple[Dimension, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    group: str | None = None
    model: str | None = None
    provider: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """
    What the rows of one group in one currency add up to.

    Attributes:
        groups: the group's values, in the order of `UsageQuery.by`. A day is `2026-11-21`, an hour `2026-11-21T08` (UTC).
        currency: None for the rows that have no price.
        requests: without the attempts that were followed by another, whose tokens and cost count all the same.
    """

    groups: tuple[str, ...]
    currency: Currency | None
    requests: int
    failures: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    images: int
    searches: int
    cost: Decimal


def matches(row: UsageRecord, query: UsageQuery) -> bool:
    """Whether a row is one that a query asks for."""
    return (
        (query.since is None or row.started_at >= query.since)
        and (query.until is None or row.started_at < query.until)
        and all(
            wanted is None or wanted == getattr(row, name)
            for name in ("key", "group", "model", "provider", "outcome")
            if (wanted := getattr(query, name)) is not None
        )
    )


def value_of(row: UsageRecord, dimension: Dimension) -> str:
    """The value of a row in a dimension."""
    if dimension == "day":
        return row.started_at.date().isoformat()
    if dimension == "hour":
        return row.started_at.isoformat()[:_HOUR_LENGTH]
    return str(getattr(row, dimension))


def sum_up(rows: Iterable[UsageRecord], query: UsageQuery) -> tuple[UsageSum, ...]:
    """Sum the rows that a query asks for, ordered by group and currency."""
    found: dict[tuple[tuple[str, ...], Currency | None], list[UsageRecord]] = {}
    for row in rows:
        if matches(row, query):
            groups = tuple(value_of(row, dimension) for dimension in query.by)
            found.setdefault((groups, row.currency), []).append(row)
    return tuple(
        UsageSum(
            groups=groups,
            currency=currency,
            requests=sum(row.outcome != "retried" for row in mine),
            failures=sum(row.outcome not in NO_FAILURE for row in mine),
            prompt_tokens=sum(row.prompt_tokens for row in mine),
            completion_tokens=sum(row.completion_tokens for row in mine),
            cached_tokens=sum(row.cached_tokens for row in mine),
            reasoning_tokens=sum(row.reasoning_tokens for row in mine),
            images=sum(row.images for row in mine),
            searches=sum(row.searches for row in mine),
            cost=sum((row.cost or Decimal(0) for row in mine), Decimal(0)),
        )
        for (groups, currency), mine in sorted(
            found.items(), key=lambda item: (item[0][0], item[0][1] or "")
        )
    )


@dataclass(frozen=True, slots=True)
class Converted:
    """
    Sums told in one currency.

    Attributes:
        rates: what was converted by; each has its date.
        missing: currencies for which there is no rate; their sums stand as they were.
    """

    sums: tuple[UsageSum, ...]
    rates: tuple[Rate, ...]
    missing: tuple[Currency, ...]


def convert(sums: Iterable[UsageSum], currency: Currency, book: RateBook, day: date) -> Converted:
    """
    Tell sums in one currency, by the rates of a day. Sums of a group that then have the same currency become one.

    Tokens and requests of rows without a price stay apart: their cost is not known in any currency.
    """
    merged: dict[tuple[tuple[str, ...], Currency | None], UsageSum] = {}
    rates: dict[Currency, Rate] = {}
    missing: dict[Currency, None] = {}
    for one in sums:
        told = one
        if one.currency is not None and one.currency != currency:
            rate = book.find(one.currency, currency, day)
            if rate is None:
                missing[one.currency] = None
            else:
                rates[one.currency] = rate
                told = replace(one, currency=currency, cost=one.cost * rate.rate)
        known = merged.get((told.groups, told.currency))
        merged[told.groups, told.currency] = told if known is None else _together(known, told)
    ordered = sorted(merged.values(), key=lambda one: (one.groups, one.currency or ""))
    return Converted(tuple(ordered), tuple(rates.values()), tuple(missing))


def facts(one: UsageSum, by: Sequence[Dimension]) -> dict[str, object]:
    """A sum as a flat object of JSON's own types; the cost is text, and null where there is no price."""
    return {
        **dict(zip(by, one.groups, strict=True)),
        "requests": one.requests,
        "failures": one.failures,
        "prompt_tokens": one.prompt_tokens,
        "completion_tokens": one.completion_tokens,
        "cached_tokens": one.cached_tokens,
        "reasoning_tokens": one.reasoning_tokens,
        "images": one.images,
        "searches": one.searches,
        "cost": None if one.currency is None else f"{one.cost.normalize():f}",
        "currency": one.currency,
    }


def as_csv(sums: Iterable[UsageSum], by: Sequence[Dimension]) -> str:
    """Sums as CSV with a head line. A text that a spreadsheet would take for a formula is quoted with an apostrophe."""
    rows = [facts(one, by) for one in sums]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*by, *_FIGURES])
    for row in rows:
        writer.writerow([_harmless(row[name]) for name in (*by, *_FIGURES)])
    return text.getvalue()


def _harmless(value: object) -> object:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value


def _together(one: UsageSum, other: UsageSum) -> UsageSum:
    return replace(
        one, **{name: getattr(one, name) + getattr(other, name) for name in (*_COUNTS, "cost")}
    )
