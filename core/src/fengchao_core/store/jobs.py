"""Where asynchronous tasks are kept: the protocol, and a dict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from typing import Literal, Protocol

from fengchao_core.errors import LimitExceeded
from fengchao_core.store.usage import UsageStore
from fengchao_core.usage import UsageRecord

JobState = Literal["queued", "running", "done", "failed", "cancelled"]
JobEnd = Literal["done", "failed", "cancelled"]
UNFINISHED: tuple[JobState, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """
    An asynchronous task.

    Attributes:
        id: opaque; whoever asks for it must also be its owner.
        queue: who may run it: workers take from one queue only.
        kind: the name of the `JobKind` that runs it.
        key: its owner, `Caller.key`.
        model: for lists.
        request_id: likewise, the caller's id of the conversation.
        payload: what to do, JSON; emptied as soon as the task has ended.
        created_at: when it was submitted.
        available_at: not to be run before.
        expires_at: while it is unfinished, when it is given up; afterwards, when it is forgotten.
        state: where it stands.
        attempts: how often it was begun.
        most_attempts: how often it may be begun: each time but the last its worker must have died.
        worker: who runs it, or ran it last; empty before the first.
        lease_until: when whoever runs it counts as dead, unless it renews.
        ended_at: when it ended; None: it has not.
        result: of a task that is done, JSON.
        failure: of a task that failed or was cancelled: why, JSON.
    """

    id: str
    queue: str
    kind: str
    key: str
    model: str
    request_id: str
    payload: bytes = field(repr=False)
    created_at: datetime
    available_at: datetime
    expires_at: datetime
    state: JobState = "queued"
    attempts: int = 0
    most_attempts: int = 1
    worker: str = ""
    lease_until: datetime | None = None
    ended_at: datetime | None = None
    result: bytes | None = field(default=None, repr=False)
    failure: bytes | None = field(default=None, repr=False)

    @property
    def is_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state not in UNFINISHED


@dataclass(frozen=True, slots=True)
class JobBounds:
    """
    How many unfinished tasks one queue may hold.

    Attributes:
        in_all: tasks.
        per_key: tasks of one key.
        payload_bytes: of what all of them are to do.
    """

    in_all: int
    per_key: int
    payload_bytes: int

    def check(self, record: JobRecord, *, in_all: int, of_key: int, payload_bytes: int) -> None:
        """Refuse a task where the unfinished ones leave no room for it. Raises `LimitExceeded`."""
        if of_key >= self.per_key:
            raise LimitExceeded(
                f"this key has {of_key} unfinished tasks, the most there may be; "
                "wait until some have ended, or cancel some",
                limit="tasks of the key",
            )
        if in_all >= self.in_all:
            raise LimitExceeded(
                f"{in_all} tasks are unfinished, the most that are taken; come back later",
                limit="tasks",
            )
        if payload_bytes + len(record.payload) > self.payload_bytes:
            raise LimitExceeded(
                f"what the unfinished tasks ask, and this one, is more than {self.payload_bytes} bytes; "
                "come back later, or ask for less",
                limit="bytes of tasks",
            )


@dataclass(frozen=True, slots=True)
class JobClaim:
    """
    The right to run a task, as a fence: who claims it later makes earlier claims void.

    Attributes:
        id: of the task.
        worker: who runs it.
        attempt: the `attempts` of its record since the claim.
    """

    id: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """
    How a task ended.

    Attributes:
        keep_until: when it is to be forgotten.
        usage: what it used: kept in the same transaction, so that there is never the one without the other.
    """

    state: JobEnd
    ended_at: datetime
    keep_until: datetime
    result: bytes | None = field(default=None, repr=False)
    failure: bytes | None = field(default=None, repr=False)
    usage: Sequence[UsageRecord] = ()


@dataclass(frozen=True, slots=True)
class JobEvents:
    """
    A run of events of a streamed task.

    Attributes:
        first: the number of the first of them, from 0.
        events: one JSON text each.
    """

    first: int
    events: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobTotals:
    """
    How many tasks of a key stand alike.

    Attributes:
        oldest: when the first of them was submitted.
    """

    queue: str
    key: str
    state: JobState
    tasks: int
    oldest: datetime


class JobStore(Protocol):
    """
    Keeps tasks. Instants are aware; every change is one transaction.

    Any number of workers, of any number of processes and hosts, share one store. Every method raises
    `StoreUnavailable` where the database does not answer.
    """

    async def add(self, record: JobRecord, bounds: JobBounds) -> None:
        """
        Keep a new task.

        Raises:
            LimitExceeded: it would pass one of the bounds.
        """
        ...

    async def get(self, id_: str) -> JobRecord | None:
        """The task without its payload; None where there is none."""
        ...

    async def of_key(self, queue: str, key: str, *, limit: int) -> tuple[JobRecord, ...]:
        """The tasks of an owner, newest first, without payload, result and failure."""
        ...

    async def totals(self) -> tuple[JobTotals, ...]:
        """How many tasks there are, ended ones that are not forgotten included: by queue, key and state, in that order."""
        ...

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
        """
        Take tasks to run: queued ones, and running ones whose lease is over. No task goes to two.

        Keys take turns: next is the oldest task of the key that has the fewest running, those just taken included. So nobody
        waits for everything that somebody else submitted before.

        Args:
            kinds: what the worker can run.
        """
        ...

    async def renew(
        self, claims: Iterable[JobClaim], *, now: datetime, lease_until: datetime
    ) -> frozenset[str]:
        """Prolong leases; the ids of those that still hold. A task that expired or was cancelled is not among them."""
        ...

    async def release(self, claim: JobClaim, *, available_at: datetime) -> None:
        """Give a task back as if it had not been begun; nothing where the claim is void."""
        ...

    async def finish(self, claim: JobClaim, outcome: JobOutcome) -> bool:
        """End a task. False, and nothing is changed or kept, where the claim is void."""
        ...

    async def cancel(self, id_: str, key: str, outcome: JobOutcome) -> bool:
        """End an unfinished task of this owner, whoever runs it. False where there is none."""
        ...

    async def sweep(self, *, now: datetime, expired: JobOutcome, interrupted: JobOutcome) -> int:
        """
        Tidy up: end what has expired, or may not be begun once more; forget what was kept long enough.

        Returns:
            how many tasks were ended.
        """
        ...

    async def append(self, claim: JobClaim, events: JobEvents) -> bool:
        """Keep events of a running task. False, and nothing is kept, where the claim is void."""
        ...

    async def events(self, id_: str, *, start: int, limit: int) -> tuple[JobEvents, ...]:
        """The kept events of a task from number `start` on, in order; at most `limit` runs of them."""
        ...


class MemoryJobs:
    """
    Tasks in a dict, gone when the process ends.

    Args:
        usage: where the usage of ended tasks is kept.
    """

    def __init__(self, usage: UsageStore) -> None:
        self._usage = usage
        self._records: dict[str, JobRecord] = {}
        self._events: dict[str, list[JobEvents]] = {}

    async def add(self, record: JobRecord, bounds: JobBounds) -> None:
        """Keep a new task. Raises `LimitExceeded`."""
        rivals = [r for r in self._records.values() if r.queue == record.queue and not r.is_ended]
        bounds.check(
            record,
            in_all=len(rivals),
            of_key=sum(r.key == record.key for r in rivals),
            payload_bytes=sum(len(r.payload) for r in rivals),
        )
        self._records[record.id] = record

    async def get(self, id_: str) -> JobRecord | None:
        """The task without its payload."""
        record = self._records.get(id_)
        return None if record is None else replace(record, payload=b"")

    async def of_key(self, queue: str, key: str, *, limit: int) -> tuple[JobRecord, ...]:
        """The tasks of an owner, newest first."""
        found = [r for r in reversed(self._records.values()) if (r.queue, r.key) == (queue, key)]
        return tuple(replace(r, payload=b"", result=None, failure=None) for r in found[:limit])

    async def totals(self) -> tuple[JobTotals, ...]:
        """How many tasks there are: by queue, key and state, in that order."""
        groups: dict[tuple[str, str, JobState], list[datetime]] = {}
        for record in self._records.values():
            group = (record.queue, record.key, record.state)
            groups.setdefault(group, []).append(record.created_at)
        return tuple(
            JobTotals(*group, len(created), min(created))
            for group, created in sorted(groups.items())
        )

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
        """Take tasks to run; keys take turns."""
        own = [record for record in self._records.values() if record.queue == queue]
        turns = Counter(r.key for r in own if r.state == "running" and not _is_free(r, now))
        waiting: list[tuple[int, int, JobRecord]] = []
        for number, record in enumerate(own):
            if record.kind in kinds and _is_free(record, now):
                turns[record.key] += 1
                waiting.append((turns[record.key], number, record))
        taken = [
            replace(
                record,
                state="running",
                worker=worker,
                lease_until=lease_until,
                attempts=record.attempts + 1,
            )
            for _, _, record in sorted(waiting, key=itemgetter(0, 1))[:limit]
        ]
        self._records.update((record.id, record) for record in taken)
        return tuple(taken)

    async def renew(
        self, claims: Iterable[JobClaim], *, now: datetime, lease_until: datetime
    ) -> frozenset[str]:
        """Prolong leases; the ids of those that still hold."""
        held = set()
        for claim in claims:
            record = self._held(claim)
            if record is not None and record.expires_at > now:
                self._records[claim.id] = replace(record, lease_until=lease_until)
                held.add(claim.id)
        return frozenset(held)

    async def release(self, claim: JobClaim, *, available_at: datetime) -> None:
        """Give a task back as if it had not been begun."""
        if (record := self._held(claim)) is not None:
            self._records[claim.id] = replace(
                record,
                state="queued",
                attempts=record.attempts - 1,
                available_at=available_at,
                lease_until=None,
            )

    async def finish(self, claim: JobClaim, outcome: JobOutcome) -> bool:
        """End a task. False where the claim is void."""
        if (record := self._held(claim)) is None:
            return False
        self._end(record, outcome)
        await self._usage.add(outcome.usage)
        return True

    async def cancel(self, id_: str, key: str, outcome: JobOutcome) -> bool:
        """End an unfinished task of this owner."""
        record = self._records.get(id_)
        if record is None or record.key != key or record.is_ended:
            return False
        self._end(record, outcome)
        return True

    async def sweep(self, *, now: datetime, expired: JobOutcome, interrupted: JobOutcome) -> int:
        """End what has expired or may not be begun once more; forget what was kept long enough."""
        ended = 0
        for record in list(self._records.values()):
            if record.expires_at <= now:
                if record.is_ended:
                    del self._records[record.id]
                    self._events.pop(record.id, None)
                else:
                    self._end(record, expired)
                    ended += 1
            elif is_worn_out(record, now):
                self._end(record, interrupted)
                ended += 1
        return ended

    async def append(self, claim: JobClaim, events: JobEvents) -> bool:
        """Keep events of a running task. False where the claim is void."""
        if self._held(claim) is None:
            return False
        self._events.setdefault(claim.id, []).append(events)
        return True

    async def events(self, id_: str, *, start: int, limit: int) -> tuple[JobEvents, ...]:
        """The kept events of a task from number `start` on, in order."""
        runs = self._events.get(id_, [])
        return tuple(run for run in runs if run.first + len(run.events) > start)[:limit]

    def _held(self, claim: JobClaim) -> JobRecord | None:
        record = self._records.get(claim.id)
        if record is None or record.state != "running":
            return None
        return record if (record.worker, record.attempts) == (claim.worker, claim.attempt) else None

    def _end(self, record: JobRecord, outcome: JobOutcome) -> None:
        self._records[record.id] = replace(
            record,
            state=outcome.state,
            payload=b"",
            ended_at=outcome.ended_at,
            expires_at=outcome.keep_until,
            lease_until=None,
            result=outcome.result,
            failure=outcome.failure,
        )


def is_worn_out(record: JobRecord, now: datetime) -> bool:
    """Whether its last worker died and it may not be begun once more."""
    return (
        record.state == "running"
        and record.lease_until is not None
        and record.lease_until <= now
        and record.attempts >= record.most_attempts
    )


def _is_free(record: JobRecord, now: datetime) -> bool:
    if record.expires_at <= now or record.attempts >= record.most_attempts:
        return False
    if record.state == "queued":
        return record.available_at <= now
    return (
        record.state == "running" and record.lease_until is not None and record.lease_until <= now
    )
