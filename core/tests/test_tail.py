"""The tail of a journal: what is stored in it outlives the process, is read once, and never costs the process its life."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from fengchao_core import MemoryStore
from fengchao_core.ledger import StoreLedger, events
from fengchao_core.ledger.journal import KEPT, Journal, segments
from fengchao_core.ledger.recount import recount
from fengchao_core.ledger.recovery import Left, rows_left, take_over
from fengchao_core.ledger.tail import NAME
from fengchao_core.settings import LedgerSettings
from fengchao_core.telemetry import Telemetry
from fengchao_core.usage import Begun, UsageRecord

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
PLENTY = 1 << 30
KILLS = 8

WRITER = """
    import itertools, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from fengchao_core.ledger import events
    from fengchao_core.ledger.journal import Journal
    from fengchao_core.usage import Begun

    journal = Journal(Path(sys.argv[1]), most_bytes=1 << 30)
    print(journal.folder, flush=True)
    now = datetime.now(UTC)
    said = sys.stdout.buffer
    for number in itertools.count(1):
        assert journal.append(events.begun(Begun(f"{number}", "r", "k", "", "m" * (number % 90), 1, now)))
        said.write(b"%d\\n" % number)
        if not number % 50:
            said.flush()
"""


def row(id_: str) -> UsageRecord:
    return UsageRecord(
        id=id_,
        request_id=id_,
        key="k",
        model="m",
        provider="p",
        outcome="ok",
        error="",
        streamed=False,
        attempts=1,
        started_at=NOW,
        duration_ms=1,
        first_delta_ms=None,
        prompt_tokens=7,
        completion_tokens=1,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="vendor",
        cost=None,
        currency=None,
        price_since=None,
    )


def begun(id_: str) -> Begun:
    return Begun(id_, id_, "k", "", "m", 7, NOW)


def die(journal: Journal) -> None:
    """Let go of a journal as the kernel does when its process is killed."""
    os.close(journal._fd)
    os.close(journal._lock)


class Ids:
    """A usage store that knows which rows it was given: the one in memory forgets some of so many."""

    def __init__(self) -> None:
        self.given: list[str] = []

    async def add(self, rows) -> None:
        self.given += [row.id for row in rows]


async def kept_after_recovery(root) -> set[str]:
    usage = Ids()
    await take_over(root, None, usage, lambda _model: None, PLENTY)
    assert len(usage.given) == len({*usage.given})
    return {*usage.given}


def write_for(folder, seconds: float) -> tuple[str, int]:
    """Let a process begin requests and kill it; gives its journal, and the last request it said was written down."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        journal = writer.stdout.readline().decode().strip()
        said = writer.stdout.readline()
        os.set_blocking(writer.stdout.fileno(), False)
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            said += writer.stdout.read(1 << 20) or b""
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        os.set_blocking(writer.stdout.fileno(), True)
        said += writer.stdout.read()
    return journal, int(said[: said.rindex(b"\n")].splitlines()[-1])


async def test_a_killed_process_has_stored_what_it_went_on_from(tmp_path):
    """However suddenly it is killed, every event whose storing had returned is there, none is damaged, none is there twice."""
    for kill in range(KILLS):
        root = tmp_path / str(kill)
        folder, last = write_for(root, 0.03 * (kill + 1))
        left = Left()
        assert [] == list(rows_left(root / folder, events.START, left))
        known = sorted(map(int, left.reserved))
        assert [1, len(known)] == [known[0], known[-1]]
        assert len(known) >= last > 0
        assert 0 == left.damaged
        assert not {str(number) for number in known} ^ await kept_after_recovery(root)
        (kept,) = (root / KEPT).glob("*.log")
        assert len(known) == kept.read_bytes().count(b'["R"')


def test_it_is_read_while_it_is_written(tmp_path):
    """A recount of a living process sees every event up to some instant, and no damage."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            folder = tmp_path / writer.stdout.readline().decode().strip()
            os.set_blocking(writer.stdout.fileno(), False)
            seen = readings = 0
            while readings < 20:
                writer.stdout.read(1 << 20)
                left = Left()
                assert [] == list(rows_left(folder, events.START, left))
                known = sorted(map(int, left.reserved))
                assert list(range(1, len(known) + 1)) == known
                assert len(known) >= seen
                assert 0 == left.damaged
                seen = len(known)
                readings += bool(seen)
                assert writer.poll() is None
        finally:
            writer.kill()


@pytest.mark.parametrize("written", [0.0, 0.4, 1.0])
async def test_a_death_between_writing_and_forgetting_doubles_nothing(tmp_path, written):
    """What was written to the segment, in part or whole, and still stands in the tail, counts once."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    for number in range(20):
        journal.append(events.settled(row(str(number))))
    data = bytes(journal._tail.data)
    os.write(journal._fd, data[: int(len(data) * written)])
    die(journal)
    usage = MemoryStore().usage
    await take_over(tmp_path, None, usage, lambda _model: None, PLENTY)
    assert 20 == len(await usage.rows())
    found = await recount(tmp_path, usage)
    assert (20, 0, 0, True) == (found.rows, found.doubled, found.damaged, found.is_good)


async def test_a_disk_that_lost_what_the_tail_has_behind_it_costs_only_that(tmp_path):
    """Where the machine died and the segment is shorter than the tail says, the tail's events are still read."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("lost")))
    journal.flush()
    journal.append(events.settled(row("a")))
    journal.append(events.settled(row("b")))
    die(journal)
    ((_, path),) = segments(journal.folder)
    os.truncate(path, path.stat().st_size - 40)
    usage = MemoryStore().usage
    await take_over(tmp_path, None, usage, lambda _model: None, PLENTY)
    assert {"a", "b"} == {kept.id for kept in await usage.rows()}
    assert 1 == (await recount(tmp_path, usage)).damaged


async def test_a_file_system_that_maps_nothing_gets_a_write_for_each_event(tmp_path, monkeypatch):
    """There the events stand in the segment at once."""

    def no_map(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", no_map)
    journal = Journal(tmp_path, most_bytes=PLENTY)
    for name in ("a", "b"):
        assert journal.append(events.begun(begun(name)))
    ((_, path),) = segments(journal.folder)
    assert 2 == path.read_bytes().count(b'["R"')
    die(journal)
    assert {"a", "b"} == await kept_after_recovery(tmp_path)


async def test_a_disk_without_room_to_spare_is_left_alone(tmp_path, monkeypatch):
    """Nothing more is stored once the tail has to be written, rows go by memory, and it goes on when there is room."""
    is_full = True
    real = os.statvfs

    def statvfs(path: object) -> object:
        return SimpleNamespace(f_bavail=10, f_frsize=4096) if is_full else real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    usage = MemoryStore().usage
    journal = Journal(tmp_path, most_bytes=PLENTY)
    ledger = StoreLedger(usage, LedgerSettings(interval_s=0), Telemetry(), journal)
    task = asyncio.create_task(ledger.run())
    names = {str(number) for number in range(3000)}
    with capture_logs() as logs:
        for name in sorted(names):
            ledger.begin(begun(name))
            ledger.settle(row(name))
        await ledger.flush()
    assert names == {kept.id for kept in await usage.rows(limit=10_000)}
    assert any("ledger.journal_fails" == entry["event"] for entry in logs)
    assert (tmp_path / journal.folder / NAME).stat().st_size > journal._tail.size > 0
    is_full = False
    await asyncio.sleep(1.1)
    assert journal.append(events.settled(row("later")))
    await ledger.close()
    await task
    assert (await recount(tmp_path, usage)).lost == 1  # "later", which no ledger took


LIMITED = """
    import asyncio, resource, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_tail import *

    async def main():
        root = Path(sys.argv[1])
        usage = MemoryStore().usage
        journal = Journal(root, most_bytes=PLENTY)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        ledger = StoreLedger(usage, LedgerSettings(interval_s=0), Telemetry(), journal)
        task = asyncio.create_task(ledger.run())
        for number in range(4000):
            ledger.begin(begun(str(number)))
            ledger.settle(row(str(number)))
        await ledger.flush()
        await ledger.close()
        await task
        print(len(await usage.rows(limit=10_000)))

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_segment_that_cannot_grow_loses_nothing(tmp_path):
    """A write that the system cuts or refuses is undone; every row is in the store, and the recount is good."""
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(tmp_path)]
    done = subprocess.run(
        [*command, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert "4000" == done.stdout.split()[-1]
    assert "ledger.journal_fails" in done.stdout + done.stderr
    assert {str(number) for number in range(4000)} >= asyncio.run(kept_after_recovery(tmp_path))


def test_a_segment_that_cannot_be_begun_is_closed(tmp_path, monkeypatch):
    """Each round tries again while the disk is full: none of them may cost the process a file."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.begun(begun("a")))
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=10, f_frsize=4096))
    fd = journal.open_next()
    with pytest.raises(OSError, match="full"):
        journal.switch(fd, ())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    die(journal)


async def test_a_disk_that_has_an_older_tail_loses_none_of_its_segment(tmp_path):
    """Where the machine died and parts of the tail never reached the disk, what was synced stays, each row once."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    for number in range(40):
        journal.append(events.settled(row(f"a{number}")))
    first_page = (journal.folder / NAME).read_bytes()[:4096]
    journal.flush()
    for number in range(200):
        journal.append(events.settled(row(f"b{number}")))
    journal.flush()
    journal.sync()
    die(journal)
    path = journal.folder / NAME
    path.write_bytes(first_page + path.read_bytes()[4096:])
    usage = MemoryStore().usage
    await take_over(tmp_path, None, usage, lambda _model: None, PLENTY)
    assert 240 == len(await usage.rows())
    assert 0 == (await recount(tmp_path, usage)).doubled


async def test_what_stands_behind_a_loss_is_not_taken_for_shipped(tmp_path):
    """A mark names a place: rows behind it stay behind it where the disk lost some before it."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    for number in range(10):
        journal.append(events.settled(row(f"a{number}")))
    journal.flush()
    journal.append(events.shipped(journal.position))
    journal.append(events.settled(row("b")))
    die(journal)
    ((_, path),) = segments(journal.folder)
    os.truncate(path, 700)
    usage = MemoryStore().usage
    await take_over(tmp_path, None, usage, lambda _model: None, PLENTY)
    assert ["b"] == [kept.id for kept in await usage.rows()]


async def test_what_was_written_is_synced_where_no_more_can_be(tmp_path, monkeypatch):
    """A disk that got full keeps what it took before; and a sync that fails at the end does not keep the lock."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("a")))
    journal.flush()
    journal.append(events.settled(row("b")))
    synced = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fdatasync(_fd: int) -> None:
        loop.call_soon_threadsafe(synced.set)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_bavail=10, f_frsize=4096))
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    usage = MemoryStore().usage
    ledger = StoreLedger(usage, LedgerSettings(interval_s=0), Telemetry(), journal)
    task = asyncio.create_task(ledger.run())
    try:
        async with asyncio.timeout(5):
            await synced.wait()
    finally:
        await ledger.close()
        await task
    assert {"a", "b"} == await kept_after_recovery(tmp_path)
