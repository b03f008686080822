"""`/admin/usage`: what was used and what it cost, by anything, as JSON or CSV."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast, get_args

from fengchao_core.exchange_rates import rate_book
from fengchao_core.money import Rate
from fengchao_core.reports import (
    DIMENSIONS,
    Dimension,
    UsageQuery,
    as_csv,
    convert,
    facts,
)
from fengchao_core.types import Currency
from fengchao_server.admin.reading import answer, query
from fengchao_server.admin.shape import NOT_KEPT, AdminShape
from fengchao_server.answers import Answer
from fengchao_server.days import instant
from fengchao_server.described import Described
from fengchao_server.refusals import Invalid
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_server.call import Call

_CSV = b"text/csv; charset=utf-8"
_FILTERS = ("key", "group", "model", "provider", "outcome")
_ASKED = ("by", "since", "until", *_FILTERS, "currency", "format")


class AppliedRate(Described):
    """A rate that sums were converted by."""

    base: str
    quote: str
    rate: str
    since: str
    source: str


class Report(Described):
    """
    Sums, one per group and currency.

    Attributes:
        by: what they are grouped by.
        sums: each holds its group's values by their names, counts, and `cost` as text, null where there is no price.
        rates: what was converted by, where one currency was asked for.
        missing: currencies without a rate, whose sums stand as they were.
    """

    by: list[str]
    sums: list[dict[str, Any]]
    rates: list[AppliedRate]
    missing: list[str]


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route(
            method="GET", path="/admin/usage", handler=usage, shape=AdminShape(), auth="operator",
            summary="用量与费用报告 Usage and cost", query=tuple(f"{name}?" for name in _ASKED), gives=Report,
        ),
    ]  # fmt: skip


async def usage(call: Call) -> Answer:
    """The report."""
    asked = query(call, _ASKED)
    by = _dimensions(asked.get("by", "model"))
    wanted = _one_of(asked, "format", ("json", "csv"), "json")
    currency = _one_of(asked, "currency", get_args(Currency), "")
    sums = await call.gateway.store.usage.sums(
        UsageQuery(
            by=by,
            since=_instant(asked, "since"),
            until=_instant(asked, "until"),
            **{name: asked.get(name) for name in _FILTERS},
        )
    )
    rates: tuple[Rate, ...] = ()
    missing: tuple[Currency, ...] = ()
    if currency:
        book = rate_book(call.gateway.settings.money)
        told = convert(sums, cast("Currency", currency), book, datetime.now(UTC).date())
        sums, rates, missing = told.sums, told.rates, told.missing
    if wanted == "csv":
        headers = {**NOT_KEPT, "Content-Disposition": 'attachment; filename="usage.csv"'}
        if rates:
            headers["X-Exchange-Rates"] = "; ".join(
                f"1 {r.base} = {r.rate.normalize():f} {r.quote} since {r.since}" for r in rates
            )
        return Answer(as_csv(sums, by).encode(), content_type=_CSV, headers=headers)
    return answer(
        {
            "by": list(by),
            "sums": [facts(one, by) for one in sums],
            "rates": [
                {
                    "base": rate.base,
                    "quote": rate.quote,
                    "rate": f"{rate.rate.normalize():f}",
                    "since": rate.since.isoformat(),
                    "source": rate.source,
                }
                for rate in rates
            ],
            "missing": list(missing),
        }
    )


def _dimensions(text: str) -> tuple[Dimension, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) < len(names) or set(names) - set(DIMENSIONS):
        raise Invalid(
            f"'by' must be one or more of {', '.join(DIMENSIONS)}, separated by commas, each once",
            msg=f"by 应为 {'、'.join(DIMENSIONS)} 中的一个或几个，用逗号分隔",
            param="by",
        )
    return cast("tuple[Dimension, ...]", names)


def _one_of(asked: dict[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = asked.get(name, default)
    if value != default and value not in known:
        raise Invalid(
            f"'{name}' must be one of {', '.join(known)}",
            msg=f"{name} 应为 {'、'.join(known)} 之一",
            param=name,
        )
    return value


def _instant(asked: dict[str, str], name: str) -> datetime | None:
    try:
        return instant(asked.get(name))
    except ValueError:
        raise Invalid(
            f"'{name}' must be a day like 2026-11-21, or an instant with its time zone",
            msg=f"{name} 应为日期，例如 2026-11-21，或带时区的时间",
            param=name,
        ) from None
