"""`fengchao usage`: what was used and what it cost, summed by the store."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from datetime import datetime

from fengchao_core.usage import UsageTotals
from fengchao_server.cli.opened import load_settings, open_store, read_day
from fengchao_server.cli.terminal import answer_json, table
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Print the sums, one line per group and currency."""
    since, until = read_day(args.since, "--since"), read_day(args.until, "--until")
    totals = run_loop(_totals(args, since, until))
    if args.json:
        answer_json([{**asdict(t), "cost": str(t.cost)} for t in totals])
    else:
        table(
            (
                f"分组 {args.by}",
                "请求 requests",
                "失败 failed",
                "输入 prompt",
                "输出 completion",
                "费用 cost",
            ),
            [
                (t.group, t.requests, t.failures, t.prompt_tokens, t.completion_tokens, _cost(t))
                for t in totals
            ],
        )
    return 0


async def _totals(
    args: Namespace, since: datetime | None, until: datetime | None
) -> tuple[UsageTotals, ...]:
    async with open_store(load_settings(args)) as store:
        return await store.usage.totals(by=args.by, since=since, until=until)


def _cost(totals: UsageTotals) -> str:
    return f"{totals.cost.normalize():f} {totals.currency}" if totals.currency else "?"
