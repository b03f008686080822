"""`fengchao usage`: what was used and what it cost, summed by the store."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import cast, get_args

from fengchao_core import Store
from fengchao_core.errors import SetupError
from fengchao_core.exchange_rates import rate_book
from fengchao_core.reports import (
    DIMENSIONS,
    Converted,
    Dimension,
    UsageQuery,
    UsageSum,
    as_csv,
    convert,
    facts,
)
from fengchao_core.settings import Settings
from fengchao_core.types import Currency
from fengchao_server.cli.opened import load_settings, open_store, read_day
from fengchao_server.cli.terminal import answer, answer_json, say, table
from fengchao_server.process import run as run_loop

_PATIENCE_S = 2.0


def run(args: Namespace) -> int:
    """Print the sums, one line per group and currency."""
    by = read_dimensions(args.by)
    settings = load_settings(args)
    sums = run_loop(_sums(args, by, settings))
    if args.currency is not None:
        told = convert(sums, args.currency, rate_book(settings.money), datetime.now(UTC).date())
        say_rates(told)
        sums = told.sums
    if args.csv:
        answer(as_csv(sums, by).rstrip("\n"))
    elif args.json:
        answer_json([_with_group(one, by) for one in sums])
    else:
        table(
            (
                *(f"分组 {dimension}" for dimension in by),
                "请求 requests",
                "失败 failed",
                "输入 prompt",
                "输出 completion",
                "费用 cost",
            ),
            [
                (
                    *one.groups,
                    one.requests,
                    one.failures,
                    one.prompt_tokens,
                    one.completion_tokens,
                    cost_of(one),
                )
                for one in sums
            ],
        )
    return 0


def read_dimensions(text: str) -> tuple[Dimension, ...]:
    """
    What `--by` names, separated by commas.

    Raises:
        SetupError: there is no such grouping, or it is named twice.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) < len(names) or set(names) - set(DIMENSIONS):
        raise SetupError(
            f"--by must be one or more of {', '.join(DIMENSIONS)}, separated by commas, each once"
        )
    return cast("tuple[Dimension, ...]", names)


def say_rates(told: Converted) -> None:
    """Say by which rates sums were converted, and which could not be."""
    for rate in told.rates:
        source = f"，{rate.source}" if rate.source else ""
        say(
            f"汇率 rate: 1 {rate.base} = {rate.rate.normalize():f} {rate.quote}"
            f"（自 since {rate.since.isoformat()}{source}）"
        )
    for currency in told.missing:
        say(
            f"没有 {currency} 的汇率，按原币列出 no rate for {currency}, listed as it is; add one under [[money.rates]]"
        )


def cost_of(one: UsageSum) -> str:
    """A cost and its currency; `?` where there is no price."""
    return f"{one.cost.normalize():f} {one.currency}" if one.currency else "?"


async def find_key(store: Store, which: str | None) -> str | None:
    """The public half of a key that is named by that, or by its name; of several of one name the newest."""
    if which is None:
        return None
    for record in reversed(await store.keys.all()):
        if which in {record.api_key, record.name}:
            return record.api_key
    return which


@asynccontextmanager
async def patience(what: str) -> AsyncIterator[None]:
    """Say on a terminal that something takes long, and how long it took so far."""

    async def tell() -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(_PATIENCE_S)
            say(f"{what} … {time.monotonic() - begun:.0f} s")

    task = asyncio.create_task(tell()) if sys.stderr.isatty() else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _sums(
    args: Namespace, by: tuple[Dimension, ...], settings: Settings
) -> tuple[UsageSum, ...]:
    async with open_store(settings) as store, patience("正在统计 counting"):
        return await store.usage.sums(
            UsageQuery(
                by=by,
                since=read_day(args.since, "--since"),
                until=read_day(args.until, "--until"),
                key=await find_key(store, args.key),
                group=args.group,
                model=args.model,
                provider=args.provider,
                outcome=args.outcome,
            )
        )


def _with_group(one: UsageSum, by: tuple[Dimension, ...]) -> dict[str, object]:
    """A sum as JSON; where there is one grouping its value is also called `group`."""
    told = facts(one, by)
    return {"group": one.groups[0], **told} if len(by) == 1 else told


CURRENCIES: tuple[str, ...] = get_args(Currency)
