"""`fengchao tasks`: how many asynchronous tasks wait, run and have ended, by key."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from fengchao_core.store.jobs import JobTotals
from fengchao_server.cli.opened import load_settings, open_store
from fengchao_server.cli.terminal import answer_json, table
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Print the counts, one line per queue, key and state."""
    totals = run_loop(_totals(args))
    if args.json:
        answer_json([{**asdict(t), "oldest": t.oldest.isoformat()} for t in totals])
    else:
        table(
            ("队列 queue", "密钥 key", "状态 state", "任务 tasks", "最早 oldest"),
            [(t.queue, t.key, t.state, t.tasks, f"{t.oldest:%Y-%m-%d %H:%M:%SZ}") for t in totals],
        )
    return 0


async def _totals(args: Namespace) -> tuple[JobTotals, ...]:
    async with open_store(load_settings(args)) as store:
        return await store.jobs.totals()
