"""Rows survive: other writers, a killed process, a lock that does not go away, a cancelled caller."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fengchao_core.errors import StoreUnavailable
from fengchao_sql import engine
from fengchao_sql.store import open_store

URL = "sqlite:///fengchao.db"

WRITER = """
import asyncio, sys, uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from fengchao_core.usage import UsageRecord
from fengchao_sql.store import open_store

def row(name):
    return UsageRecord(
        id=name, request_id="", key="k", model=sys.argv[2], provider="p", outcome="ok", error="",
        streamed=False, attempts=1, started_at=datetime.now(UTC), duration_ms=1, first_delta_ms=None,
        prompt_tokens=1, completion_tokens=1, cached_tokens=0, reasoning_tokens=0, usage_source="vendor",
        cost=Decimal("0.001"), currency="CNY", price_since=None,
    )

async def main():
    async with open_store("sqlite:///fengchao.db", Path(sys.argv[1])) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(int(sys.argv[3])):
            names = [f"{sys.argv[2]}-{n}-{i}" for i in range(3)]
            await store.usage.add([row(name) for name in names])
            print(*names, flush=True)

asyncio.run(main())
"""


def start_writer(home: Path, model: str, batches: int) -> subprocess.Popen[str]:
    """A process that waits for a line and then writes batches, naming the rows of each after its commit."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home), model, str(batches)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert "ready\n" == process.stdout.readline()
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    """Let a writer begin."""
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


async def test_two_processes_write_at_once(tmp_path: Path):
    """Two processes that write as fast as they can lose nothing and fail nothing."""
    async with open_store(URL, tmp_path) as store:
        writers = [start_writer(tmp_path, name, 100) for name in ("one", "two")]
        for writer in writers:
            let_go(writer)
        for writer in writers:
            await asyncio.to_thread(writer.communicate, timeout=60)
        assert [0, 0] == [writer.returncode for writer in writers]
        totals = await store.usage.totals(by="model")
    assert [("one", 300), ("two", 300)] == [(total.group, total.requests) for total in totals]


async def test_killed_process_loses_no_committed_row(tmp_path: Path):
    """Every row that a writer was told is kept is there after the writer is killed, and batches are whole."""
    writer = start_writer(tmp_path, "killed", 1_000_000)
    let_go(writer)
    assert writer.stdout
    told = [name for _ in range(25) for name in writer.stdout.readline().split()]
    writer.kill()
    told += writer.communicate(timeout=60)[0].split()
    async with open_store(URL, tmp_path) as store:
        kept = {row.id for row in await store.usage.rows(limit=1_000_000)}
    assert set(told) <= kept
    assert 0 == len(kept) % 3


async def test_locked_database_is_unavailable_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_row, make_key
):
    """While another process holds the lock writing fails as ours, reading goes on, and afterwards all works."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
    row = make_row()
    async with open_store(URL, tmp_path) as store:
        with contextlib.closing(sqlite3.connect(tmp_path / "fengchao.db")) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                await store.usage.add([row])
            with pytest.raises(StoreUnavailable):
                await store.keys.add(make_key("team"))
            assert () == await store.usage.rows()
            holder.rollback()
        await store.usage.add([row])
        assert (row,) == await store.usage.rows()


async def test_damaged_database_is_unavailable(tmp_path: Path, make_key):
    """A table that disappears makes the store unavailable, and the error shows no value that was to be kept."""
    async with open_store(URL, tmp_path) as store:
        with contextlib.closing(sqlite3.connect(tmp_path / "fengchao.db")) as other:
            other.execute("DROP TABLE api_keys")
        with pytest.raises(StoreUnavailable) as caught:
            await store.keys.add(make_key("private name", note="private note"))
    assert "private" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__cause__}"


async def test_cancelled_writer_leaves_the_store_usable(store, make_row):
    """Cancelling a caller at any moment of a write keeps all of its rows or none, and blocks nobody."""
    for steps in range(12):
        rows = [make_row(model=f"m{steps}") for _ in range(3)]
        task = asyncio.create_task(store.usage.add(rows))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await store.usage.add(rows)
    totals = await store.usage.totals(by="model")
    assert {f"m{steps}": 3 for steps in range(12)} == {t.group: t.requests for t in totals}


async def test_many_tasks_write_and_read_at_once(store, make_row):
    """Many tasks share one store without getting in each other's way."""

    async def work(n: int) -> None:
        await store.usage.add([make_row(model=f"m{n}")])
        await store.keys.revision()

    async with asyncio.TaskGroup() as group:
        for n in range(60):
            group.create_task(work(n))
    assert 60 == len(await store.usage.rows())
