"""`fengchao usage reprice`: what a period would cost by the prices of now, and with `--write` does."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta

from fengchao_core import ModelCard, Store
from fengchao_core.errors import SetupError
from fengchao_core.repricing import Differences, repriced
from fengchao_core.settings import Settings
from fengchao_core.usage import UsageRecord
from fengchao_server.cli.opened import load_settings, open_store, open_unbooked, read_day
from fengchao_server.cli.terminal import answer_json, say, table
from fengchao_server.cli.usage import patience
from fengchao_server.process import run as run_loop

_STEP = timedelta(hours=1)
_BATCH = 500
_MOST = 10_000_000


def run(args: Namespace) -> int:
    """Show the difference, and write it where that was asked for."""
    since, until = read_day(args.since, "--since"), read_day(args.until, "--until")
    if since is None:
        raise SetupError("reprice needs --since, the first day whose rows are counted anew")
    settings = load_settings(args)
    found = run_loop(_reprice(args, settings, since, until or datetime.now(UTC)))
    if args.json:
        answer_json(
            {
                "written": args.write,
                "skipped": found.skipped,
                "models": [
                    {
                        "model": model,
                        "currency": currency,
                        "rows": one.rows,
                        "before": str(one.before),
                        "after": str(one.after),
                        "difference": str(one.after - one.before),
                    }
                    for (model, currency), one in found.found.items()
                ],
            }
        )
        return 0
    table(
        ("模型 model", "行 rows", "原来 before", "现在 after", "差额 difference", "货币 currency"),
        [
            (
                model,
                one.rows,
                f"{one.before:f}",
                f"{one.after:f}",
                f"{one.after - one.before:+f}",
                c,
            )
            for (model, c), one in found.found.items()
        ],
    )
    if found.skipped:
        say(
            f"{found.skipped} 行没有重算：价格含写入缓存，行里没有记 rows were left: their price names cache writes, "
            "which rows do not keep"
        )
    if not args.write:
        say("没有写入；加 --write 写入 nothing was written; add --write to write")
    return 0


async def _reprice(
    args: Namespace, settings: Settings, since: datetime, until: datetime
) -> Differences:
    async with open_unbooked(settings) as gateway:
        cards = {name: card for card in gateway.models() for name in (*card.aliases, card.id)}
    found = Differences()
    async with open_store(settings) as store, patience("正在重算 pricing anew"):
        begin = since
        while begin < until:
            end = min(begin + _STEP, until)
            if args.model is None or args.model in cards:
                await _window(store, cards, begin, end, args, found)
            begin = end
    return found


async def _window(  # noqa: PLR0917  # one call
    store: Store,
    cards: dict[str, ModelCard],
    begin: datetime,
    end: datetime,
    args: Namespace,
    found: Differences,
) -> None:
    changed: list[UsageRecord] = []
    for row in await store.usage.rows(since=begin, until=end, limit=_MOST):
        card = cards.get(row.model)
        if card is None or args.model not in {None, row.model}:
            continue
        new = repriced(row, card)
        if new is None:
            found.skipped += 1
        elif new is not row:
            found.add(row, new)
            changed.append(new)
    if args.write:
        for first in range(0, len(changed), _BATCH):
            await store.usage.reprice(changed[first : first + _BATCH])
