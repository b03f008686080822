"""`fengchao usage verify`: counts the journals against the rows of the store."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from fengchao_core.ledger.journal import journal_folder
from fengchao_core.ledger.recount import Recount, recount
from fengchao_core.settings import Settings
from fengchao_server.cli.opened import load_settings, open_store
from fengchao_server.cli.terminal import answer, answer_json, table
from fengchao_server.process import run as run_loop

_OFF = (
    ("lost", "丢失 lost"),
    ("doubled", "重复 doubled"),
    ("differing", "不一致 differing"),
)


def run(args: Namespace) -> int:
    """Print what is off. Returns 1 where anything is."""
    found = run_loop(_recount(load_settings(args)))
    if args.json:
        answer_json(asdict(found))
    else:
        _print(found)
    return 0 if found.is_good else 1


async def _recount(settings: Settings) -> Recount:
    # Without a journal of its own: it only reads, and leaves to the servers what is theirs to bring home.
    reading = settings.model_copy(
        update={"ledger": settings.ledger.model_copy(update={"journal": False})}
    )
    async with open_store(reading) as store:
        return await recount(journal_folder(settings.home, settings.store.url), store.usage)


def _print(found: Recount) -> None:
    answer(
        f"{found.lost} 行丢失，{found.doubled} 行重复 {found.lost} lost, {found.doubled} doubled"
    )
    table(
        (
            "流水 journals",
            "行 rows",
            "在途 pending",
            "进行中 under way",
            "不一致 differing",
            "坏行 damaged",
        ),
        [
            (
                found.journals,
                found.rows,
                found.pending,
                found.under_way,
                found.differing,
                found.damaged,
            )
        ],
    )
    for kind, title in _OFF:
        ids: list[str] = getattr(found, f"{kind}_ids")
        if ids:
            more = getattr(found, kind) - len(ids)
            rest = f" …… 还有 {more} 行 and {more} more" if more else ""
            answer(f"{title}: {', '.join(ids)}{rest}")
