"""`fengchao usage show`: one request, and what was said in it where that is kept."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from fengchao_core.errors import SetupError
from fengchao_core.settings import Settings
from fengchao_server.admin.bodies import body_json, opened
from fengchao_server.cli.opened import journal, load_settings, open_store
from fengchao_server.cli.terminal import answer, answer_json, say
from fengchao_server.process import run as run_loop


def run(args: Namespace) -> int:
    """Print the usage rows and the bodies."""
    found = run_loop(_found(load_settings(args), args.id))
    if not found["bodies"]:
        say("没有留下内容 no body is kept: [ledger] keep_bodies")
    if args.json:
        answer_json(found)
    else:
        answer(_safe(json.dumps(found, ensure_ascii=False, indent=2, default=str)))
    return 0


async def _found(settings: Settings, which: str) -> dict[str, list[dict[str, object]]]:
    async with open_store(settings) as store:
        bodies = await opened(store, which, journal)
        rows = await store.usage.get([one.id for one in bodies] or [which])
    if not rows and not bodies:
        raise SetupError(
            f"no request {which!r} is known; name the id of a usage row, or the request_id of one whose body is kept"
        )
    return {
        "rows": [asdict(row) for row in rows],
        "bodies": [body_json(body) for body in bodies],
    }


def _safe(text: str) -> str:
    """Without what would steer a terminal: the words are a stranger's."""
    return "".join(
        char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in text
    )
