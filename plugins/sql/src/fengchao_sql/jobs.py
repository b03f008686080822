"""Asynchronous tasks in the database."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from fengchao_core.store.jobs import (
    JobBounds,
    JobClaim,
    JobEvents,
    JobOutcome,
    JobRecord,
    JobTotals,
)
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.tables import fitted, from_micros, is_unfinished, job_events, jobs, to_micros
from fengchao_sql.usage import SqlUsage

_INSTANTS = ("created_at", "available_at", "expires_at", "lease_until", "ended_at")
_FIELDS = tuple(column.name for column in jobs.c if column.name != "seq")
_SUMMARY = tuple(column for column in jobs.c if column.name not in {"payload", "result", "failure"})
_WITHOUT_PAYLOAD = tuple(column for column in jobs.c if column.name != "payload")
_BLOCK = 500
_SPARE = 20
"""Tasks that are looked at beyond those wanted, because other workers may take some first."""

_SUBMITTING_LOCK = 0x6A6F6273  # any number that all gateways share: "jobs"

_IS_RUNNING = jobs.c.state == "running"


class SqlJobs:
    """
    A `JobStore`. What one worker may do is always a condition of the statement that does it, never something read before.

    Args:
        usage: writes the usage of a task in the transaction that ends it.
    """

    def __init__(self, database: Database, usage: SqlUsage) -> None:
        self._database = database
        self._usage = usage

    async def add(self, record: JobRecord, bounds: JobBounds) -> None:
        """Keep a new task. Raises `LimitExceeded`, `StoreUnavailable`."""

        async def change(to: AsyncConnection) -> None:
            # Counted and added by one at a time, so that the bounds are exact. SQLite has one writer anyway.
            if not self._database.is_sqlite:
                await to.execute(text(f"SELECT pg_advisory_xact_lock({_SUBMITTING_LOCK})"))
            own = func.coalesce(func.sum(case((jobs.c.key == record.key, 1), else_=0)), 0)
            size = func.coalesce(func.sum(func.length(jobs.c.payload)), 0)
            (in_all, of_key, payload_bytes) = (
                await to.execute(
                    select(func.count(), own, size).where(
                        is_unfinished, jobs.c.queue == record.queue
                    )
                )
            ).one()
            bounds.check(
                record, in_all=in_all, of_key=int(of_key), payload_bytes=int(payload_bytes)
            )
            await to.execute(insert(jobs), _columns(record))

        await self._database.write(change)

    async def get(self, id_: str) -> JobRecord | None:
        """The task without its payload; None where there is none. Raises `StoreUnavailable`."""
        rows = await self._database.read(select(*_WITHOUT_PAYLOAD).where(jobs.c.id == fitted(id_)))
        return _record(rows[0]) if rows else None

    async def of_key(self, queue: str, key: str, *, limit: int) -> tuple[JobRecord, ...]:
        """The tasks of an owner, newest first. Raises `StoreUnavailable`."""
        rows = await self._database.read(
            select(*_SUMMARY)
            .where(jobs.c.queue == queue, jobs.c.key == key)
            .order_by(jobs.c.seq.desc())
            .limit(limit)
        )
        return tuple(_record(row) for row in rows)

    async def totals(self) -> tuple[JobTotals, ...]:
        """How many tasks there are: by queue, key and state, in that order. Raises `StoreUnavailable`."""
        group = (jobs.c.queue, jobs.c.key, jobs.c.state)
        rows = await self._database.read(
            select(
                *group, func.count().label("tasks"), func.min(jobs.c.created_at).label("oldest")
            ).group_by(*group)
        )
        found = [
            JobTotals(row.queue, row.key, row.state, row.tasks, from_micros(row.oldest))
            for row in rows
        ]
        # Ordered here, because databases do not agree on the order of text.
        return tuple(sorted(found, key=attrgetter("queue", "key", "state")))

    async def claim(
        self,
        queue: str,
        kinds: Sequence[str],
        *,
        worker: str,
        now: datetime,
        lease_until: datetime,
        limit: int,
    ) -> tuple[JobRecord, ...]:
        """Take tasks to run; keys take turns. No task goes to two. Raises `StoreUnavailable`."""
        free = and_(jobs.c.queue == queue, jobs.c.kind.in_(kinds), _is_free(to_micros(now)))
        # Looked for outside a transaction: idle workers look often, and must not take SQLite's only lock for it.
        found = await self._database.read(_in_turn(queue, free).limit(limit + _SPARE))
        if not found:
            return ()
        order = {row.id: place for place, row in enumerate(found)}
        still_free = (
            select(jobs.c.id)
            .where(jobs.c.id.in_(order), free)
            .order_by(case(order, value=jobs.c.id))
            .limit(limit)
        )
        taken: list[JobRecord] = []

        async def change(to: AsyncConnection) -> None:
            # PostgreSQL: what another worker is taking is passed over, not waited for. SQLite has one writer.
            ids = (await to.execute(still_free.with_for_update(skip_locked=True))).scalars()
            claimed = await to.execute(
                update(jobs)
                .where(jobs.c.id.in_(ids.all()))
                .values(
                    state="running",
                    worker=worker,
                    attempts=jobs.c.attempts + 1,
                    lease_until=to_micros(lease_until),
                )
                .returning(*jobs.c)
            )
            taken.extend(sorted(map(_record, claimed), key=lambda record: order[record.id]))

        await self._database.write(change)
        return tuple(taken)

    async def renew(
        self, claims: Iterable[JobClaim], *, now: datetime, lease_until: datetime
    ) -> frozenset[str]:
        """Prolong leases; the ids of those that still hold. Raises `StoreUnavailable`."""
        by_worker: dict[str, list[JobClaim]] = {}
        for claim in claims:
            by_worker.setdefault(claim.worker, []).append(claim)
        held: set[str] = set()

        async def change(to: AsyncConnection) -> None:
            for worker, own in by_worker.items():
                attempts = {claim.id: claim.attempt for claim in own}
                for start in range(0, len(own), _BLOCK):
                    ids = [claim.id for claim in own[start : start + _BLOCK]]
                    renewed = await to.execute(
                        update(jobs)
                        .where(jobs.c.id.in_(ids), jobs.c.worker == worker, _IS_RUNNING)
                        .where(jobs.c.expires_at > to_micros(now))
                        .values(lease_until=to_micros(lease_until))
                        .returning(jobs.c.id, jobs.c.attempts)
                    )
                    held.update(row.id for row in renewed if attempts[row.id] == row.attempts)

        await self._database.write(change)
        return frozenset(held)

    async def release(self, claim: JobClaim, *, available_at: datetime) -> None:
        """Give a task back as if it had not been begun. Raises `StoreUnavailable`."""
        back = (
            update(jobs)
            .where(_is_held(claim))
            .values(
                state="queued",
                attempts=jobs.c.attempts - 1,
                available_at=to_micros(available_at),
                lease_until=None,
            )
        )
        await self._database.write(lambda to: to.execute(back))

    async def finish(self, claim: JobClaim, outcome: JobOutcome) -> bool:
        """End a task, and keep its usage with it. False where the claim is void. Raises `StoreUnavailable`."""
        return await self._end(_is_held(claim), outcome)

    async def cancel(self, id_: str, key: str, outcome: JobOutcome) -> bool:
        """End an unfinished task of this owner. False where there is none. Raises `StoreUnavailable`."""
        mine = and_(jobs.c.id == fitted(id_), jobs.c.key == key, is_unfinished)
        return await self._end(mine, outcome)

    async def sweep(self, *, now: datetime, expired: JobOutcome, interrupted: JobOutcome) -> int:
        """End what has expired or may not be begun once more; forget what was kept long enough."""
        at = to_micros(now)
        is_over = jobs.c.expires_at <= at
        is_worn_out = and_(
            is_unfinished,
            _IS_RUNNING,
            jobs.c.lease_until <= at,
            jobs.c.attempts >= jobs.c.most_attempts,
        )
        if not await self._database.read(
            select(literal(1)).where(or_(is_over, is_worn_out)).limit(1)
        ):
            return 0
        ended = 0

        async def change(to: AsyncConnection) -> None:
            nonlocal ended
            forgotten = and_(is_over, ~is_unfinished)
            old = select(jobs.c.id).where(forgotten)
            await to.execute(delete(job_events).where(job_events.c.job_id.in_(old)))
            await to.execute(delete(jobs).where(forgotten))
            late = await to.execute(_ending(expired).where(is_over, is_unfinished))
            worn_out = await to.execute(_ending(interrupted).where(is_worn_out))
            ended = late.rowcount + worn_out.rowcount

        await self._database.write(change)
        return ended

    async def append(self, claim: JobClaim, events: JobEvents) -> bool:
        """Keep events of a running task. False where the claim is void. Raises `StoreUnavailable`."""
        packed = zlib.compress(b"\n".join(events.events), 1)
        kept = False

        async def change(to: AsyncConnection) -> None:
            nonlocal kept
            held = select(jobs.c.id).where(_is_held(claim)).with_for_update()
            if (await to.execute(held)).first() is None:
                return
            await to.execute(
                insert(job_events),
                {
                    "job_id": claim.id,
                    "first": events.first,
                    "count": len(events.events),
                    "events": packed,
                },
            )
            kept = True

        await self._database.write(change)
        return kept

    async def events(self, id_: str, *, start: int, limit: int) -> tuple[JobEvents, ...]:
        """The kept events of a task from number `start` on, in order. Raises `StoreUnavailable`."""
        e = job_events.c
        rows = await self._database.read(
            select(e.first, e.events)
            .where(e.job_id == fitted(id_), e.first + e.count > start)
            .order_by(e.first)
            .limit(limit)
        )
        return tuple(
            JobEvents(row.first, tuple(zlib.decompress(row.events).split(b"\n"))) for row in rows
        )

    async def _end(self, which: ColumnElement[bool], outcome: JobOutcome) -> bool:
        ended = False

        async def change(to: AsyncConnection) -> None:
            nonlocal ended
            ended = (await to.execute(_ending(outcome).where(which))).rowcount == 1
            if ended:
                await self._usage.add_within(to, outcome.usage)

        await self._database.write(change)
        return ended


def _is_free(at: int) -> ColumnElement[bool]:
    """Whether a worker may take it at this instant."""
    return and_(
        is_unfinished,
        jobs.c.expires_at > at,
        jobs.c.attempts < jobs.c.most_attempts,
        or_(
            and_(jobs.c.state == "queued", jobs.c.available_at <= at),
            and_(_IS_RUNNING, jobs.c.lease_until <= at),
        ),
    )


def _in_turn(queue: str, free: ColumnElement[bool]) -> Select[tuple[str]]:
    """The ids of free tasks, in the order in which they are to be taken."""
    running = (
        select(jobs.c.key, func.count().label("running"))
        .where(jobs.c.queue == queue, is_unfinished, _IS_RUNNING)
        .group_by(jobs.c.key)
        .subquery()
    )
    turn = func.row_number().over(partition_by=jobs.c.key, order_by=jobs.c.seq)
    waiting = select(jobs.c.id, jobs.c.key, jobs.c.seq, turn.label("turn")).where(free).subquery()
    return (
        select(waiting.c.id)
        .outerjoin(running, running.c.key == waiting.c.key)
        .order_by(waiting.c.turn + func.coalesce(running.c.running, 0), waiting.c.seq)
    )


def _is_held(claim: JobClaim) -> ColumnElement[bool]:
    return and_(
        jobs.c.id == claim.id,
        jobs.c.worker == claim.worker,
        jobs.c.attempts == claim.attempt,
        _IS_RUNNING,
    )


def _ending(outcome: JobOutcome) -> Update:
    return update(jobs).values(
        state=outcome.state,
        payload=b"",
        ended_at=to_micros(outcome.ended_at),
        expires_at=to_micros(outcome.keep_until),
        lease_until=None,
        result=outcome.result,
        failure=outcome.failure,
    )


def _columns(record: JobRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _FIELDS}
    for name in _INSTANTS:
        values[name] = None if values[name] is None else to_micros(values[name])
    return values | {"model": fitted(record.model), "request_id": fitted(record.request_id)}


def _record(row: Any) -> JobRecord:
    values: dict[str, Any] = {"payload": b"", **row._mapping}  # noqa: SLF001  # SQLAlchemy's public way to a dict
    del values["seq"]
    for name in _INSTANTS:
        values[name] = None if values[name] is None else from_micros(values[name])
    return JobRecord(**values)
