"""The journal: what a death of the process leaves, how it comes to the store, and how that is counted again."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from fengchao_core import MemoryStore
from fengchao_core.ledger import StoreLedger, events
from fengchao_core.ledger.events import Position
from fengchao_core.ledger.journal import Journal, others, segments
from fengchao_core.ledger.recount import recount
from fengchao_core.ledger.recovery import (
    Left,
    rows_in,
    rows_left,
    shipped_before,
    take_over,
)
from fengchao_core.settings import LedgerSettings
from fengchao_core.telemetry import Telemetry
from fengchao_core.types import ModelCard, Price
from fengchao_core.usage import Begun, UsageRecord

NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=UTC)
PRICE = Price(
    input=Decimal(1), output=Decimal(2), currency="CNY", since=date(2024, 1, 1), source="a test"
)
CARD = ModelCard(id="m", owned_by="Test", prices=(PRICE,))
PLENTY = 1 << 30


def begun(id_: str, model: str = "m") -> Begun:
    """What is written down of a request when it begins."""
    return Begun(id_, f"conversation of {id_}", "k", "g", model, 704, NOW, streamed=True)


def row(id_: str, **changes) -> UsageRecord:
    plain = UsageRecord(
        id=id_,
        request_id=f"conversation of {id_}",
        key="k",
        group="g",
        model="m",
        provider="p",
        outcome="ok",
        error="",
        streamed=True,
        attempts=2,
        started_at=NOW,
        duration_ms=1,
        first_delta_ms=None,
        prompt_tokens=700,
        completion_tokens=1,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="vendor",
        cost=Decimal("0.702000000001"),
        currency="CNY",
        price_since="2024-01-01",
    )
    return replace(plain, **changes)


def die(journal: Journal) -> None:
    """Let go of a journal as the kernel does when its process is killed: nothing is written, the lock is free."""
    os.close(journal._fd)
    os.close(journal._lock)


@asynccontextmanager
async def running(usage, journal, **changes):
    ledger = StoreLedger(
        usage, LedgerSettings(interval_s=0, **changes), Telemetry(), journal, {"m": CARD}.get
    )
    task = asyncio.create_task(ledger.run())
    try:
        yield ledger
    finally:
        await ledger.close()
        await task


class Away:
    """A usage store that does not answer until it is told to."""

    def __init__(self):
        self.kept = MemoryStore().usage
        self.is_away = True
        self.tried = asyncio.Event()

    async def add(self, rows):
        self.tried.set()
        if self.is_away:
            raise OSError("locked")
        await self.kept.add(rows)


async def recover(root: Path, usage, own: Path | None = None) -> int:
    return await take_over(root, own, usage, {"m": CARD}.get, PLENTY)


async def outcomes(usage) -> dict[str, str]:
    return {kept.id: kept.outcome for kept in await usage.rows(limit=100_000)}


async def test_a_row_comes_back_as_written(tmp_path):
    """A settled row is the same after a death, to the last decimal place and the microsecond."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    written = row("a", images=3, searches=2, disconnect="drained", price_version="v7")
    assert journal.append(events.settled(written))
    die(journal)
    usage = MemoryStore().usage
    assert 1 == await recover(tmp_path, usage)
    assert (written,) == await usage.rows()


async def test_a_started_request_is_visible_after_a_death(tmp_path):
    """It is booked as unknown, with its prompt as estimated and at the price of its model."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.begun(begun("a")))
    die(journal)
    usage = MemoryStore().usage
    await recover(tmp_path, usage)
    (kept,) = await usage.rows()
    assert ("unknown", "estimate", 704, 0) == (
        kept.outcome,
        kept.usage_source,
        kept.prompt_tokens,
        kept.completion_tokens,
    )
    assert (Decimal("0.704"), "CNY", "2024-01-01") == (kept.cost, kept.currency, kept.price_since)
    assert ("conversation of a", "k", "g", "m", NOW) == (
        kept.request_id,
        kept.key,
        kept.group,
        kept.model,
        kept.started_at,
    )


async def test_a_torn_last_line_is_as_if_it_were_not_written(tmp_path):
    """A row whose write was cut in the middle leaves its request unknown; nothing else is touched."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("whole")))
    journal.append(events.begun(begun("torn")))
    journal.append(events.settled(row("torn"))[:-20])
    die(journal)
    usage = MemoryStore().usage
    await recover(tmp_path, usage)
    assert {"whole": "ok", "torn": "unknown"} == await outcomes(usage)


async def test_a_damaged_line_costs_only_itself(tmp_path):
    """A line that a bad disk changed is passed over and reported; its neighbours are kept."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    for name in ("a", "b", "c"):
        journal.append(events.settled(row(name)))
    journal.flush()
    die(journal)
    (_, path), *_ = segments(journal.folder)
    path.write_bytes(path.read_bytes().replace(b'["S","b"', b'["S","x"'))
    usage = MemoryStore().usage
    with capture_logs() as logs:
        await recover(tmp_path, usage)
    assert {"a": "ok", "c": "ok"} == await outcomes(usage)
    assert [1] == [entry["damaged"] for entry in logs if entry["event"] == "ledger.recovered"]


async def test_the_journal_of_a_living_process_is_left_alone(tmp_path):
    """Nobody takes over what its owner holds."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("a")))
    assert 0 == await recover(tmp_path, MemoryStore().usage)
    assert [journal.folder] == others(tmp_path, None)
    die(journal)


async def test_recovery_that_dies_is_done_again(tmp_path):
    """A store that fails in the middle leaves the journal for the next try, which doubles nothing."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    for number in range(5):
        journal.append(events.settled(row(str(number))))
    die(journal)
    usage = Away()
    with pytest.raises(OSError, match="locked"):
        await recover(tmp_path, usage)
    await usage.kept.add([row("3")])
    usage.is_away = False
    await recover(tmp_path, usage)
    assert dict.fromkeys("01234", "ok") == await outcomes(usage.kept)
    assert [] == others(tmp_path, None)


async def test_a_good_end_leaves_no_journal(tmp_path):
    """When everything is in the store the folder goes, and its lines are kept to be recounted."""
    usage = MemoryStore().usage
    journal = Journal(tmp_path, most_bytes=PLENTY)
    async with running(usage, journal) as ledger:
        ledger.begin(begun("a"))
        ledger.settle(row("a"))
    assert {"a": "ok"} == await outcomes(usage)
    assert [] == others(tmp_path, None)
    assert 1 == len(list((tmp_path / "kept").iterdir()))


async def test_a_stop_while_the_store_is_away_loses_nothing(tmp_path):
    """What could not be written when the process ended is in the store after the next start."""
    away = Away()
    with capture_logs() as logs:
        async with running(away, Journal(tmp_path, most_bytes=PLENTY)) as ledger:
            ledger.settle(row("a"))
    assert any("ledger.left_in_journal" == entry["event"] for entry in logs)
    usage = MemoryStore().usage
    async with running(usage, Journal(tmp_path, most_bytes=PLENTY)):
        while not await usage.rows():  # the round that takes over is the ledger's own
            await asyncio.sleep(0.01)
    assert {"a": "ok"} == await outcomes(usage)


async def test_rows_beyond_the_memory_wait_in_the_journal(tmp_path):
    """While the store is away more rows come than memory takes; all are written once it is back."""
    usage = Away()
    async with running(usage, Journal(tmp_path, most_bytes=PLENTY), capacity=5, batch=4) as ledger:
        for number in range(40):
            ledger.settle(row(f"{number:02d}"))
        await usage.tried.wait()
        usage.is_away = False
        await ledger.flush()
        ledger.settle(row("last"))
        await ledger.flush()
    assert {f"{n:02d}" for n in range(40)} | {"last"} == set(await outcomes(usage.kept))
    assert 41 == len(await usage.kept.rows())


async def test_a_journal_that_cannot_be_put_away_is_left_to_another(tmp_path):
    """Its owner lets go of it all the same, and the next process brings it home."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("a")))
    (tmp_path / "kept").rmdir()
    with pytest.raises(FileNotFoundError):
        journal.close(is_done=True, keep_bytes=PLENTY)
    (tmp_path / "kept").mkdir()
    assert 1 == await recover(tmp_path, MemoryStore().usage)


async def test_what_the_store_has_is_not_sent_again(tmp_path):
    """After a death only the rows behind the last mark go to the store."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("a")))
    journal.append(events.shipped(journal.position))
    journal.append(events.settled(row("b")))
    die(journal)
    usage = MemoryStore().usage
    assert 1 == await recover(tmp_path, usage)
    assert {"b": "ok"} == await outcomes(usage)


async def test_segments_follow_each_other(tmp_path):
    """An open request is carried into the next segment; segments whose rows are in the store are put away."""
    usage = MemoryStore().usage
    journal = Journal(tmp_path, most_bytes=PLENTY)
    ledger_settings = {"segment_bytes": 4096, "sync_s": 0.01, "kept_bytes": 10_000}
    async with running(usage, journal, **ledger_settings) as ledger:
        ledger.begin(begun("open"))
        for number in range(60):
            ledger.settle(row(str(number)))
            await ledger.flush()
        while journal.position.segment < 2 or len(segments(journal.folder)) > 1:
            ledger.settle(row(f"more {os.urandom(4).hex()}"))
            await asyncio.sleep(0.01)
        left = Left()
        list(rows_left(journal.folder, events.START, left))
        assert ["open"] == list(left.reserved)
    assert 10_000 >= sum(path.stat().st_size for path in (tmp_path / "kept").iterdir())
    await recover(tmp_path, usage)
    assert "unknown" == (await outcomes(usage))["open"]


async def test_a_full_journal_serves_on(tmp_path):
    """Beyond its share of the disk nothing more is written; rows wait in memory and reach the store."""
    usage = Away()
    with capture_logs() as logs:
        async with running(usage, Journal(tmp_path, most_bytes=2000)) as ledger:
            for number in range(50):
                ledger.settle(row(str(number)))
            usage.is_away = False
            await ledger.flush()
    assert 50 == len(await usage.kept.rows())
    assert any("ledger.journal_fails" == entry["event"] for entry in logs)
    assert 2500 > sum(path.stat().st_size for path in tmp_path.rglob("*.log"))


async def test_what_callers_make_up_is_tamed(tmp_path):
    """A model's name that is endless or no text, and counts beyond any database, are written all the same."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.begun(begun("a", model="\ud800" + "长" * 100_000)))
    journal.append(events.settled(row("b", model="x\n" * 10_000, prompt_tokens=10**30)))
    die(journal)
    usage = MemoryStore().usage
    await recover(tmp_path, usage)
    kept = {each.id: each for each in await usage.rows()}
    assert ("?" + "长" * 199, 200) == (kept["a"].model, len(kept["b"].model))


async def test_rows_of_another_version_are_read(tmp_path):
    """A journal names its fields: what this version does not know is left out, what it adds has its default."""
    names = [name for name in events.FIELDS if name != "disconnect"] + ["of_the_future"]
    values = [getattr(row("a"), name, 1) for name in names]
    read = events.row_of(
        [str(v) if isinstance(v, datetime | Decimal) else v for v in values], names
    )
    assert row("a") == read


async def test_open_requests_of_another_version_are_read(tmp_path):
    """A journal whose header does not name the fields of what began has those of its time."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    names = ("id", "request_id", "key", "group", "model", "prompt_tokens", "completion_tokens")
    more = ("images", "cost", "currency", "started_at", "streamed", "operation")
    values = begun("a")._asdict()
    values |= {"completion_tokens": 1024, "images": 0, "cost": "2.752", "currency": "CNY"}
    journal.append(events._line(("H", events.FIELDS)))
    journal.append(events._line(("R", *(values[name] for name in (*names, *more)))))
    die(journal)
    usage = MemoryStore().usage
    await recover(tmp_path, usage)
    (kept,) = await usage.rows()
    assert ("unknown", 704, Decimal("0.704")) == (kept.outcome, kept.prompt_tokens, kept.cost)
    assert ("conversation of a", "k", "g", "m", NOW, True, "chat") == (
        kept.request_id,
        kept.key,
        kept.group,
        kept.model,
        kept.started_at,
        kept.streamed,
        kept.operation,
    )


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["reserve", "settle", "retry", "ship", "rotate", "crash", "tear", "recover"]
        ),
        st.integers(0, 7),
    ),
    max_size=40,
)


@given(steps=steps)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
async def test_every_interleaving_books_each_request_once(steps):
    """Whatever the order of reserving, settling, shipping, dying and recovering, each request has one row, and the right one."""
    with tempfile.TemporaryDirectory() as folder:
        await _interleave(Path(folder), steps)


async def _interleave(root: Path, steps) -> None:
    usage = MemoryStore().usage
    journal = Journal(root, most_bytes=PLENTY)
    lives, born = {}, 0  # of this process: slot -> (id, its line, attempts)
    waiting, expected = [], {}
    shipped = events.START
    for step, slot in steps:
        if step == "reserve" and slot not in lives:
            born += 1
            line = events.begun(begun(f"r{born}"))
            assert journal.append(line)
            lives[slot] = [f"r{born}", line, 0]
        elif step == "retry" and slot in lives:
            lives[slot][2] += 1
            done = row(f"{lives[slot][0]}.{lives[slot][2]}", outcome="retried")
            assert journal.append(events.settled(done))
            waiting.append((done, journal.position))
            expected[done.id] = "retried"
        elif step == "settle" and slot in lives:
            id_, _, _ = lives.pop(slot)
            assert journal.append(events.settled(row(id_)))
            waiting.append((row(id_), journal.position))
            expected[id_] = "ok"
        elif step == "ship":
            batch, waiting = waiting[: slot + 1], waiting[slot + 1 :]
            await usage.add([done for done, _ in batch])
            if batch and slot % 2:  # it may die before it writes that down
                shipped = batch[-1][1]
                assert journal.append(events.shipped(shipped))
        elif step == "rotate":
            carried = [line for _, line, _ in lives.values()]
            journal.finish(journal.switch(journal.open_next(), carried))
            journal.archive(shipped.segment, PLENTY)
        elif step in {"crash", "tear"}:
            if step == "tear":
                torn = events.settled(row("nobody"))
                os.write(journal._fd, torn[: slot * 20])
            die(journal)
            expected.update({id_: "unknown" for id_, _, _ in lives.values()})
            lives, waiting, shipped = {}, [], events.START
            journal = Journal(root, most_bytes=PLENTY)
        elif step == "recover":
            await recover(root, usage, journal.folder)
    die(journal)
    expected.update({id_: "unknown" for id_, _, _ in lives.values()})
    await recover(root, usage)
    assert expected == await outcomes(usage)


@pytest.fixture
async def shipped(tmp_path):
    """A store and the journal of a process that ended well: two requests, one with an attempt that cost something."""
    usage = MemoryStore().usage
    async with running(usage, Journal(tmp_path, most_bytes=PLENTY)) as ledger:
        for done in (row("a"), row("b.1", outcome="retried"), row("b")):
            ledger.settle(done)
    return usage


async def test_nothing_is_off(tmp_path, shipped):
    """What the journal settled is in the store."""
    found = await recount(tmp_path, shipped)
    assert found.is_good
    assert (1, 3, 0, 0) == (found.journals, found.rows, found.pending, found.under_way)


async def test_no_journal_is_nothing_off(tmp_path):
    """A data folder without journals counts to nothing."""
    assert 0 == (await recount(tmp_path / "absent", MemoryStore().usage)).rows


async def test_a_lost_row_is_named(tmp_path, shipped):
    """A row that was in the store and is gone."""
    usage = MemoryStore().usage
    await usage.add([row("a"), row("b.1", outcome="retried")])
    found = await recount(tmp_path, usage)
    assert (1, ["b"], False) == (found.lost, found.lost_ids, found.is_good)


async def test_another_figure_is_named(tmp_path, shipped):
    """A row that the store has with other tokens; another price is no fault."""
    usage = MemoryStore().usage
    await usage.add([row("a", cost=None), row("b", prompt_tokens=1), row("b.1", outcome="retried")])
    found = await recount(tmp_path, usage)
    assert (1, ["b"], 0) == (found.differing, found.differing_ids, found.lost)


async def test_a_doubled_row_is_named(tmp_path, shipped):
    """A request that two journals settled."""
    async with running(shipped, Journal(tmp_path, most_bytes=PLENTY)) as ledger:
        ledger.settle(row("a"))
    found = await recount(tmp_path, shipped)
    assert (1, ["a"]) == (found.doubled, found.doubled_ids)


async def test_what_is_on_its_way_is_not_lost(tmp_path):
    """Rows of a living process that the store does not have yet, and requests that have not ended."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("a")))
    journal.append(events.shipped(journal.position))
    journal.append(events.settled(row("b")))
    journal.append(events.begun(begun("c")))
    usage = MemoryStore().usage
    await usage.add([row("a")])
    found = await recount(tmp_path, usage)
    assert (True, 2, 1, 1) == (found.is_good, found.rows, found.pending, found.under_way)
    die(journal)


async def test_a_request_that_was_forgotten_is_lost(tmp_path):
    """One that began, whose process is gone and its journal put away, must be in the store."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.begun(begun("c")))
    die(journal)
    usage = MemoryStore().usage
    await take_over(tmp_path, None, usage, lambda _: None, PLENTY)
    assert (await recount(tmp_path, usage)).is_good
    found = await recount(tmp_path, MemoryStore().usage)
    assert (1, ["c"]) == (found.lost, found.lost_ids)


async def test_damage_is_counted(tmp_path, shipped):
    """A kept line that cannot be read any more is said."""
    (path,) = (tmp_path / "kept").glob("*.log")
    await asyncio.to_thread(
        lambda: path.write_bytes(path.read_bytes().replace(b'["S","a"', b'["S","x"'))
    )
    assert 1 == (await recount(tmp_path, shipped)).damaged


class Busy:
    """A usage store that is never done: while it adds rows, more come than fit the next batch."""

    def __init__(self, folder: Path):
        self.kept = MemoryStore().usage
        self.marks: list[Position] = []
        self.ledger: StoreLedger | None = None
        self._folder = folder

    async def add(self, rows):
        await self.kept.add(rows)
        self.marks.append(shipped_before(self._folder))
        if len(self.marks) < 20:
            for number in range(5):
                self.ledger.settle(row(f"{len(self.marks)}-{number}"))


async def test_rows_that_never_end_are_marked_as_well(tmp_path):
    """While rows keep coming, the journal says again and again how far the store has come."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    usage = Busy(journal.folder)
    async with running(usage, journal, batch=4) as usage.ledger:
        usage.ledger.settle(row("first"))
        await usage.ledger.flush()
    assert 1 + 19 * 5 == len(await usage.kept.rows())
    assert len({*usage.marks[:20]}) > 3
    assert sorted(usage.marks) == usage.marks


async def test_open_requests_behind_a_damaged_header_are_read(tmp_path):
    """Of another version's journal, too: the number of the fields tells them."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    values = {"completion_tokens": 0, "images": 0, "cost": None, "currency": None}
    values |= begun("a")._asdict()
    ((_, path),) = segments(journal.folder)
    line = events._line(("R", *(values[name] for name in events.begun_names(()))))
    path.write_bytes(b"torn in the middle\n" + line)
    die(journal)
    usage = MemoryStore().usage
    await recover(tmp_path, usage)
    assert {"a": "unknown"} == await outcomes(usage)


async def test_a_journal_that_was_full_goes_on_once_its_rows_are_in_the_store(tmp_path):
    """Segments whose rows are in the store give their room back, also where the last one never gets long."""
    usage = Away()
    journal = Journal(tmp_path, most_bytes=70_000)
    changes = {"segment_bytes": 16_000, "sync_s": 0.01, "journal_bytes": 70_000}
    async with running(usage, journal, **changes) as ledger:
        number = 0
        while journal.append(events.begun(begun("x"))):
            ledger.settle(row(str(number := number + 1)))
            await asyncio.sleep(0.001)
        usage.is_away = False
        ledger.settle(row("last"))
        await ledger.flush()
        async with asyncio.timeout(20):
            while not journal.append(events.begun(begun("x"))):
                await asyncio.sleep(0.05)
    assert number + 1 == len(await usage.kept.rows())


async def test_segments_are_put_away_while_others_are_caught_up_with(tmp_path):
    """What is written from the journal alone is read from where that began; what is before may go meanwhile."""
    usage = Away()
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("early")))
    journal.finish(journal.switch(journal.open_next(), ()))
    ledger = StoreLedger(usage, LedgerSettings(interval_s=0, capacity=1), Telemetry(), journal)
    for number in range(4):
        ledger.settle(row(str(number)))
    usage.is_away = False
    ((_, path), _) = segments(journal.folder)
    path.unlink()
    path.symlink_to("gone, and listed all the same")
    task = asyncio.create_task(ledger.run())
    try:
        async with asyncio.timeout(5):
            while len(await usage.kept.rows()) < 4 and not task.done():
                await asyncio.sleep(0.01)
    finally:
        path.unlink()
        await ledger.close()
        await task
    assert set("0123") == set(await outcomes(usage.kept))


async def test_a_segment_that_is_put_away_while_it_is_counted_is_counted(tmp_path):
    """A recount beside a living process finds what that has moved meanwhile."""
    journal = Journal(tmp_path, most_bytes=PLENTY)
    journal.append(events.settled(row("a")))
    journal.finish(journal.switch(journal.open_next(), ()))
    journal.append(events.settled(row("b")))
    listed = segments(journal.folder)
    journal.archive(2, PLENTY)
    assert ["a", "b"] == [found.id for found, _ in rows_in(listed, events.START, Left())]
    die(journal)
