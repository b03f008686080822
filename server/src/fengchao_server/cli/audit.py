"""`fengchao audit`: who changed what, when and from where."""

from __future__ import annotations

from argparse import Namespace

import orjson

from fengchao_server.admin.audit import entry_json
from fengchao_server.cli.opened import load_settings, open_store
from fengchao_server.cli.terminal import answer_json, table
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Show the newest records."""
    run_loop(_show(args))
    return 0


async def _show(args: Namespace) -> None:
    async with open_store(load_settings(args)) as store:
        records = await store.audit.page(
            limit=args.limit, actor=args.actor, action=args.action, target=args.target
        )
    if args.json:
        answer_json([entry_json(record) for record in records])
        return
    table(
        ("时间 at (UTC)", "谁 actor", "从 from", "操作 action", "对象 target", "变化 change"),
        [
            (
                f"{record.at:%Y-%m-%d %H:%M:%S}",
                record.actor,
                record.address,
                record.action,
                record.target,
                # JSON shows a line break as \n: nothing in a note can look like another line of the log.
                f"{_json(record.before)} → {_json(record.after)}",
            )
            for record in records
        ],
    )


def _json(fields: object) -> str:
    return orjson.dumps(fields).decode()
