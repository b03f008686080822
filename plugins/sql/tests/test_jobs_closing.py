"""Tasks in a database, and a gateway that is closed just when it takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fengchao_core import Caller, Gateway, Settings
from fengchao_core.jobs import JobKind


async def hang(_payload: dict[str, Any], _caller: Caller, _gateway: Gateway) -> dict[str, Any]:
    """Never end."""
    await asyncio.Event().wait()
    return {}


async def test_closing_while_tasks_are_taken(tmp_path: Path):
    """A gateway that is closed in the very moment when it takes a task gives that back, too."""
    settings = Settings.model_validate({"home": tmp_path, "jobs": {"poll_s": 0.01}})
    for pause in range(6):
        async with Gateway.open(settings) as gateway:
            gateway.jobs.register(JobKind("work", hang))
            await gateway.jobs.submit("work", {})
            for _ in range(pause):
                await asyncio.sleep(0.001)
    async with Gateway.open(settings) as gateway:
        assert {"queued"} == {total.state for total in await gateway.store.jobs.totals()}
