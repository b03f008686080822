"""
What every store does with asynchronous tasks, in memory or in a database.

With `FENGCHAO_TEST_POSTGRESQL` set to the URL of an empty database that may be written, it runs there as well.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fengchao_core.errors import LimitExceeded
from fengchao_core.store import JobRecord, MemoryStore, Store
from fengchao_core.store.jobs import JobBounds, JobClaim, JobEvents, JobOutcome, JobTotals
from fengchao_sql.store import open_store

POSTGRESQL = os.environ.get("FENGCHAO_TEST_POSTGRESQL", "")
NOW = datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
ROOM = JobBounds(in_all=1000, per_key=1000, payload_bytes=100_000)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "postgresql" and not POSTGRESQL:
        pytest.skip("FENGCHAO_TEST_POSTGRESQL names no database")
    url = POSTGRESQL if request.param == "postgresql" else "sqlite:///fengchao.db"
    async with open_store(url, tmp_path) as store:
        if request.param == "postgresql":
            await _empty(url)
        yield store


async def _empty(url: str) -> None:
    from fengchao_sql.engine import Database, locate
    from fengchao_sql.tables import job_events, jobs, usage_rows

    database = Database(locate(url, Path()))
    try:
        for table in (jobs, job_events, usage_rows):
            await database.write(lambda to, table=table: to.execute(table.delete()))
    finally:
        await database.close()


def job(id_: str, **fields: Any) -> JobRecord:
    """A queued task."""
    plain = JobRecord(
        id=id_,
        queue="server",
        kind="chat",
        key="k1",
        model="glm-4",
        request_id="r",
        payload=b'{"a":1}',
        created_at=NOW,
        available_at=NOW,
        expires_at=NOW + DAY,
        most_attempts=2,
    )
    return replace(plain, **fields)


def outcome(**fields: Any) -> JobOutcome:
    """A good end."""
    plain = JobOutcome(
        state="done",
        ended_at=NOW + SECOND,
        keep_until=NOW + 2 * DAY,
        result=b'{"text":"\xe5\xa5\xbd"}',
    )
    return replace(plain, **fields)


async def claim(store: Store, worker: str = "w1", **fields: Any) -> tuple[JobRecord, ...]:
    """Take up to ten tasks, for a minute."""
    now = fields.pop("now", NOW)
    return await store.jobs.claim(
        fields.pop("queue", "server"),
        fields.pop("kinds", ("chat",)),
        worker=worker,
        now=now,
        lease_until=now + 60 * SECOND,
        limit=fields.pop("limit", 10),
    )


def fence(record: JobRecord) -> JobClaim:
    """The claim of a claimed record."""
    return JobClaim(record.id, record.worker, record.attempts)


async def test_task_comes_back_as_kept(any_store):
    """A task comes back with every field it was kept with, its payload only to whoever runs it."""
    made = job("a", key="密钥", model="文心一言", request_id="行\t1", available_at=NOW - SECOND)
    await any_store.jobs.add(made, ROOM)
    assert replace(made, payload=b"") == await any_store.jobs.get("a")
    (taken,) = await claim(any_store)
    running = {
        "state": "running",
        "worker": "w1",
        "attempts": 1,
        "lease_until": NOW + 60 * SECOND,
    }
    assert replace(made, **running) == taken
    assert None is await any_store.jobs.get("b")


async def test_an_id_that_no_database_takes(any_store):
    """An id with characters that a database refuses is one that is not there."""
    assert None is await any_store.jobs.get("a\0\ud800")
    assert () == await any_store.jobs.events("a\0\ud800", start=0, limit=1)


async def test_oldest_first_and_only_what_is_wanted(any_store):
    """Tasks of a key are taken in their order, of the queue and the kinds asked for, when it is time, and as many as asked for."""
    for made in (
        job("later", available_at=NOW + SECOND),
        job("other-queue", queue="embedded"),
        job("other-kind", kind="t2i"),
        job("expired", expires_at=NOW),
        job("c"),
        job("a"),
        job("b"),
    ):
        await any_store.jobs.add(made, ROOM)
    assert ["c", "a"] == [record.id for record in await claim(any_store, limit=2)]
    assert ["b"] == [record.id for record in await claim(any_store)]
    assert () == await claim(any_store)
    assert ["later"] == [record.id for record in await claim(any_store, now=NOW + SECOND)]


async def test_keys_take_turns(any_store):
    """A key that submitted many tasks before another's one does not make it wait for all of them."""
    for number in range(4):
        await any_store.jobs.add(job(f"many-{number}", key="k1"), ROOM)
    await any_store.jobs.add(job("one", key="k2"), ROOM)
    assert ["many-0", "one"] == [record.id for record in await claim(any_store, limit=2)]
    await any_store.jobs.add(job("two", key="k2"), ROOM)
    await any_store.jobs.add(job("three", key="k3"), ROOM)
    assert ["three", "many-1", "two"] == [record.id for record in await claim(any_store, limit=3)]


async def test_no_task_goes_to_two(any_store):
    """Workers that take at the same time share the tasks out, none twice, none left."""
    for number in range(40):
        await any_store.jobs.add(job(f"{number}"), ROOM)
    taken = []
    while batches := [
        batch
        for batch in await asyncio.gather(*(claim(any_store, f"w{n}", limit=3) for n in range(4)))
        if batch
    ]:
        taken += [record.id for batch in batches for record in batch]
    assert sorted(map(str, range(40))) == sorted(taken)


async def test_finish_keeps_answer_and_usage_together(any_store, make_row):
    """A finished task has its answer and no payload any more; its usage is in the store at once, and once."""
    await any_store.jobs.add(job("a"), ROOM)
    (taken,) = await claim(any_store)
    row = make_row()
    assert await any_store.jobs.finish(fence(taken), outcome(usage=[row]))
    kept = await any_store.jobs.get("a")
    assert ("done", outcome().result, None, NOW + SECOND, NOW + 2 * DAY) == (
        kept.state,
        kept.result,
        kept.lease_until,
        kept.ended_at,
        kept.expires_at,
    )
    await any_store.usage.add([row])
    assert [row.id] == [row.id for row in await any_store.usage.rows()]
    assert not await any_store.jobs.finish(fence(taken), outcome(usage=[make_row()]))
    assert 1 == len(await any_store.usage.rows())


async def test_lease_that_ends_voids_the_claim(any_store, make_row):
    """When its lease is over a task goes to another worker; whoever had it can neither renew nor finish nor add to it."""
    await any_store.jobs.add(job("a"), ROOM)
    (first,) = await claim(any_store)
    assert () == await claim(any_store, "w2", now=NOW + 59 * SECOND)
    later = NOW + 60 * SECOND
    (second,) = await claim(any_store, "w2", now=later)
    assert ("a", 2, "w2") == (second.id, second.attempts, second.worker)
    held = await any_store.jobs.renew(
        [fence(first), fence(second)], now=later, lease_until=later + 60 * SECOND
    )
    assert frozenset({"a"}) == held
    assert frozenset() == await any_store.jobs.renew(
        [fence(first)], now=later, lease_until=later + DAY
    )
    assert not await any_store.jobs.append(fence(first), JobEvents(0, (b"1",)))
    assert not await any_store.jobs.finish(fence(first), outcome(usage=[make_row()]))
    assert () == await any_store.usage.rows()
    assert await any_store.jobs.finish(fence(second), outcome())


async def test_same_worker_claims_again(any_store):
    """A worker that slept over its own lease and took the task again holds its second claim, not its first."""
    await any_store.jobs.add(job("a"), ROOM)
    (first,) = await claim(any_store)
    (second,) = await claim(any_store, now=NOW + 60 * SECOND)
    assert not await any_store.jobs.finish(fence(first), outcome())
    assert await any_store.jobs.finish(fence(second), outcome())


async def test_renewed_lease_holds(any_store):
    """A lease that is renewed is not taken over when the old one would have ended; an expired task is not renewed."""
    await any_store.jobs.add(job("a", expires_at=NOW + 90 * SECOND), ROOM)
    (taken,) = await claim(any_store)
    assert frozenset({"a"}) == await any_store.jobs.renew(
        [fence(taken)], now=NOW + 30 * SECOND, lease_until=NOW + 200 * SECOND
    )
    assert () == await claim(any_store, "w2", now=NOW + 61 * SECOND)
    assert frozenset() == await any_store.jobs.renew(
        [fence(taken)], now=NOW + 90 * SECOND, lease_until=NOW + DAY
    )


async def test_release_gives_back(any_store):
    """A task that is given back is free when it said, and has not been begun."""
    await any_store.jobs.add(job("a"), ROOM)
    (taken,) = await claim(any_store)
    await any_store.jobs.release(fence(taken), available_at=NOW + 5 * SECOND)
    assert () == await claim(any_store, "w2", now=NOW + 4 * SECOND)
    (again,) = await claim(any_store, "w2", now=NOW + 5 * SECOND)
    assert (1, b'{"a":1}') == (again.attempts, again.payload)
    await any_store.jobs.release(fence(taken), available_at=NOW)
    assert "w2" == (await any_store.jobs.get("a")).worker


async def test_cancel_is_the_owners(any_store):
    """An owner cancels what waits and what runs, nobody else does, and what has ended stays as it is."""
    ended = outcome(state="cancelled", result=None, failure=b"{}")
    for made in (job("waits"), job("runs"), job("done")):
        await any_store.jobs.add(made, ROOM)
    taken = {record.id: record for record in await claim(any_store)}
    await any_store.jobs.release(fence(taken["waits"]), available_at=NOW)
    await any_store.jobs.finish(fence(taken["done"]), outcome())
    assert not await any_store.jobs.cancel("waits", "k2", ended)
    assert [True, True, False, False] == [
        await any_store.jobs.cancel(id_, "k1", ended) for id_ in ("waits", "runs", "done", "none")
    ]
    assert not await any_store.jobs.finish(fence(taken["runs"]), outcome())
    states = [(await any_store.jobs.get(id_)).state for id_ in ("waits", "runs", "done")]
    assert ["cancelled", "cancelled", "done"] == states
    assert () == await claim(any_store, "w2", now=NOW + 61 * SECOND)


async def test_owners_see_their_own(any_store):
    """An owner's list has its own tasks of one queue, newest first, without payloads, and no more than asked for."""
    for made in (job("a"), job("b", key="k2"), job("c"), job("d", queue="embedded"), job("e")):
        await any_store.jobs.add(made, ROOM)
    listed = await any_store.jobs.of_key("server", "k1", limit=2)
    assert ["e", "c"] == [record.id for record in listed]
    assert {b""} == {record.payload for record in listed}


async def test_totals(any_store):
    """Tasks are counted by queue, key and state, with the oldest of each."""
    later = NOW + SECOND
    for made in (job("a"), job("b", created_at=later), job("c", key="k2", created_at=later)):
        await any_store.jobs.add(made, ROOM)
    await any_store.jobs.add(job("d", queue="embedded"), ROOM)
    (taken,) = await claim(any_store, limit=1)
    await any_store.jobs.finish(fence(taken), outcome())
    assert (
        JobTotals("embedded", "k1", "queued", 1, NOW),
        JobTotals("server", "k1", "done", 1, NOW),
        JobTotals("server", "k1", "queued", 1, later),
        JobTotals("server", "k2", "queued", 1, later),
    ) == await any_store.jobs.totals()


async def test_room_is_exact(any_store):
    """Of tasks submitted at the same time exactly as many are taken as there is room for, of one key and of all."""
    bounds = JobBounds(in_all=8, per_key=5, payload_bytes=100_000)

    async def add(number: int, key: str) -> bool:
        try:
            await any_store.jobs.add(job(f"{key}{number}", key=key), bounds)
        except LimitExceeded:
            return False
        return True

    assert 5 == sum(await asyncio.gather(*(add(n, "k1") for n in range(9))))
    assert 3 == sum(await asyncio.gather(*(add(n, "k2") for n in range(9))))
    with pytest.raises(LimitExceeded) as caught:
        await any_store.jobs.add(job("x", key="k1"), bounds)
    assert "tasks of the key" == caught.value.limit
    await any_store.jobs.add(job("x", queue="embedded"), bounds)
    (taken,) = await claim(any_store, limit=1)
    await any_store.jobs.finish(fence(taken), outcome())
    await any_store.jobs.add(job("y"), bounds)


async def test_room_for_what_is_asked(any_store):
    """A task whose payload passes what the unfinished ones may ask together is refused; one that has ended takes no room."""
    bounds = JobBounds(in_all=10, per_key=10, payload_bytes=1000)
    await any_store.jobs.add(job("a", payload=b"x" * 600), bounds)
    with pytest.raises(LimitExceeded) as caught:
        await any_store.jobs.add(job("b", payload=b"x" * 401), bounds)
    assert "bytes of tasks" == caught.value.limit
    await any_store.jobs.add(job("c", payload=b"x" * 400), bounds)
    for taken in await claim(any_store):
        await any_store.jobs.finish(fence(taken), outcome())
    await any_store.jobs.add(job("b", payload=b"x" * 1000), bounds)


async def test_sweep(any_store):
    """What is too old is ended, what may not be begun again too, and what was kept long enough is forgotten, events and all."""
    for made in (job("old", expires_at=NOW + SECOND), job("worn", most_attempts=1), job("kept")):
        await any_store.jobs.add(made, ROOM)
    taken = {record.id: record for record in await claim(any_store)}
    await any_store.jobs.append(fence(taken["kept"]), JobEvents(0, (b"1",)))
    await any_store.jobs.finish(fence(taken["kept"]), outcome(keep_until=NOW + 70 * SECOND))

    async def sweep(now: datetime) -> int:
        ends = outcome(state="failed", result=None, ended_at=now, keep_until=now + DAY)
        expired = replace(ends, failure=b'"late"')
        interrupted = replace(ends, failure=b'"cut"')
        return await any_store.jobs.sweep(now=now, expired=expired, interrupted=interrupted)

    assert 0 == await sweep(NOW)
    assert 1 == await sweep(NOW + SECOND)
    assert 1 == await sweep(NOW + 60 * SECOND)
    failures = [(await any_store.jobs.get(id_)).failure for id_ in ("old", "worn", "kept")]
    assert [b'"late"', b'"cut"', None] == failures
    assert 0 == await sweep(NOW + 70 * SECOND)
    assert None is await any_store.jobs.get("kept")
    assert () == await any_store.jobs.events("kept", start=0, limit=1)
    await sweep(NOW + 3 * DAY)
    assert () == await any_store.jobs.of_key("server", "k1", limit=10)


async def test_events_from_any_number_on(any_store):
    """The runs of a stream come back in order, from the one on that holds the number asked for."""
    await any_store.jobs.add(job("a"), ROOM)
    (taken,) = await claim(any_store)
    runs = [
        JobEvents(0, (b'"a"', b'"b"')),
        JobEvents(2, ('"文"'.encode(),)),
        JobEvents(3, (b"{}", b"[]")),
    ]
    for run in runs:
        assert await any_store.jobs.append(fence(taken), run)
    read = any_store.jobs.events
    assert tuple(runs) == await read("a", start=0, limit=10)
    assert tuple(runs[:2]) == await read("a", start=1, limit=2)
    assert tuple(runs[1:]) == await read("a", start=2, limit=10)
    assert () == await read("a", start=5, limit=10)
    assert () == await read("b", start=0, limit=10)
