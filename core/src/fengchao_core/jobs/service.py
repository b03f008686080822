"""Asynchronous tasks of a gateway: the one face that servers, clients and embedders use."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from fengchao_core.caller import EMBEDDED, Caller
from fengchao_core.errors import (
    AuthenticationFailed,
    InvalidParameter,
    LimitExceeded,
    ResultNotReady,
    TaskEnded,
    UnknownTask,
)
from fengchao_core.jobs.endings import Endings
from fengchao_core.jobs.eventlog import EventLog
from fengchao_core.jobs.failures import load_failure
from fengchao_core.jobs.kinds import JobKind, Json
from fengchao_core.jobs.leases import Leases
from fengchao_core.jobs.performing import Performer
from fengchao_core.jobs.worker import Worker
from fengchao_core.store.jobs import JobBounds, JobClaim, JobRecord

if TYPE_CHECKING:
    from fengchao_core.clock import Clock
    from fengchao_core.gateway import Gateway
    from fengchao_core.ledger import Ledger

Identify = Callable[[str], Caller]
"""The caller of a key as it is now. Raises `AuthenticationFailed` where the key is no longer good."""

Emit = Callable[[Sequence[bytes]], None]
"""Shows events of a stream to whoever reads it: JSON texts."""

STREAM = "stream"
"""The kind of a task that is a stream."""

OWN_QUEUE = "embedded"
_LONGEST_LIST = 1000
_LOOK_EVERY_S = 0.2


class Jobs:
    """
    Tasks: submitted, run, asked for, listed, cancelled.

    It begins to run tasks with the first call, or with `start()`. Tasks of a process that embeds the gateway and those of
    a server are kept apart, even in one database: each needs what only its own kind of process can tell of a caller.
    """

    def __init__(self, gateway: Gateway, *, ledger: Ledger, clock: Clock) -> None:
        self._gateway = gateway
        self._settings = gateway.settings.jobs
        self._store = gateway.store.jobs
        self._clock = clock
        self._bounds = JobBounds(
            in_all=self._settings.capacity,
            per_key=self._settings.per_key,
            payload_bytes=self._settings.payload_bytes,
        )
        self._kinds: dict[str, JobKind] = {}
        self._logs: dict[str, EventLog] = {}
        self._leases = Leases(self._store, clock, lease_s=self._settings.lease_s)
        self._endings = Endings(clock, keep_s=self._settings.keep_s)
        self._performer = Performer(self._store, self._leases, self._endings, ledger, clock)
        self._identify: Identify = _the_embedder
        self._worker: Worker | None = None

    def register(self, *kinds: JobKind) -> None:
        """Make kinds known; what is known under a name already is replaced."""
        for kind in kinds:
            self._kinds[kind.name] = kind

    def start(self, *, queue: str = OWN_QUEUE, identify: Identify | None = None) -> None:
        """
        Begin to run tasks, those that an earlier process left behind first. Call it at most once, on the gateway's loop.

        Args:
            queue: whose tasks are run: every process that shares them names the same.
            identify: who a key's caller is, at the moment its task is run.
        """
        if self._worker is not None:
            raise RuntimeError("tasks are run already; start() comes before the first of them")
        if identify is not None:
            self._identify = identify
        self._worker = Worker(
            secrets.token_hex(8),
            queue,
            store=self._store,
            leases=self._leases,
            endings=self._endings,
            settings=self._settings,
            clock=self._clock,
            kinds=lambda: tuple(self._kinds),
            perform=self._perform,
        )

    async def close(self, drain_s: float = 0.0) -> None:
        """
        Run nothing more. What runs may go on for a while; what then still runs goes back to be run by another process.

        The gateway closes its tasks by itself; a server that drains calls this before.
        """
        if self._worker is not None:
            worker = self._worker
            try:
                if not worker.is_closing:
                    await worker.close(drain_s)
            finally:
                self._performer.close()
                for events in tuple(self._logs.values()):
                    events.end(TaskEnded("interrupted"))

    async def submit(
        self,
        kind: str,
        payload: Mapping[str, object],
        *,
        caller: Caller = EMBEDDED,
        model: str = "",
        request_id: str = "",
    ) -> str:
        """
        Keep a task to be run soon; it is in the store when this returns.

        Args:
            kind: the name of a registered kind.
            payload: what its `run` is given, a JSON object; kept until the task has ended.
            model: for lists.
            request_id: likewise.

        Returns:
            the id to ask for its result with.

        Raises:
            LimitExceeded: too many tasks of this key, or of all, are unfinished.
            StoreUnavailable: the database does not answer.
        """
        if kind not in self._kinds:
            raise InvalidParameter(f"no kind of task is named {kind!r}; register it first")
        worker = self._working()
        record = self._record(
            kind,
            orjson.dumps(payload),
            queue=worker.queue,
            caller=caller,
            model=model,
            request_id=request_id,
            most_attempts=self._settings.attempts,
        )
        await self._add(record)
        worker.poke()
        return record.id

    async def result(self, id_: str, *, caller: Caller = EMBEDDED) -> Json:
        """
        The result of a task. It can be asked for again until it is forgotten.

        Raises:
            ResultNotReady: it has not ended.
            UnknownTask: there is none of this id, or it is somebody else's.
            FengChaoError: what the task failed with.
        """
        record = await self.find(id_, caller=caller)
        if record.failure is not None:
            raise load_failure(record.failure)
        if record.result is None:
            raise ResultNotReady("the task has not ended; ask again later")
        result: Json = orjson.loads(record.result)
        return result

    async def wait(self, id_: str, *, caller: Caller = EMBEDDED, every_s: float = 0.2) -> Json:
        """The result of a task, once it has ended; looked for every so many seconds. Raises as `result`."""
        while True:
            try:
                return await self.result(id_, caller=caller)
            except ResultNotReady:
                await asyncio.sleep(every_s)

    async def find(self, id_: str, *, caller: Caller = EMBEDDED) -> JobRecord:
        """Where a task stands. Raises `UnknownTask`."""
        worker = self._working()
        record = await self._store.get(id_)
        if record is None or (record.queue, record.key) != (worker.queue, caller.key):
            raise _unknown()
        if record.expires_at <= self._clock.now():
            if record.is_ended:
                raise _unknown()
            raise TaskEnded("expired")
        return record

    async def list(self, *, caller: Caller = EMBEDDED, limit: int = 100) -> tuple[JobRecord, ...]:
        """The caller's tasks, newest first, at most 1000, without what they were asked and answered."""
        worker = self._working()
        limit = max(1, min(limit, _LONGEST_LIST))
        now = self._clock.now()
        kept = await self._store.of_key(worker.queue, caller.key, limit=limit)
        return tuple(record for record in kept if record.expires_at > now)

    async def cancel(self, id_: str, *, caller: Caller = EMBEDDED) -> JobRecord:
        """
        End a task now, whether it waits or runs; what it used until then is booked. One that has ended stays as it is.

        Returns:
            where it stands afterwards.

        Raises:
            UnknownTask: there is none of this id, or it is somebody else's.
        """
        await self.find(id_, caller=caller)
        if await self._store.cancel(id_, caller.key, self._endings.ended("cancelled")):
            self._leases.lose(id_)
        return await self.find(id_, caller=caller)

    async def open_stream(
        self,
        run: Callable[[str, Emit], Awaitable[Mapping[str, object]]],
        *,
        caller: Caller = EMBEDDED,
        model: str = "",
        request_id: str = "",
    ) -> str:
        """
        Run a stream that goes on when nobody reads it, and can be read again.

        `events()` reads it, from any of them on; `result()` gives the whole. It runs at once and in this process. Where the process dies, the stream has failed; what was kept can still be read.

        Args:
            run: is given the stream's id and a function through which it shows events; returns the whole answer.

        Returns:
            the id to read it with.

        Raises:
            as `submit`.
        """
        worker = self._working()
        if worker.is_closing:
            raise LimitExceeded("the process stops; ask another one", limit="tasks")
        record = self._record(
            STREAM,
            b"",
            queue=worker.queue,
            caller=caller,
            model=model,
            request_id=request_id,
            state="running",
            worker=worker.name,
            attempts=1,
            lease_until=self._clock.now() + self._leases.lease,
        )
        await self._add(record)
        events = self._logs[record.id] = EventLog(self._settings.stream_bytes)
        claim = JobClaim(record.id, record.worker, record.attempts)
        task = worker.begin(
            claim,
            self._performer.run_stream(claim, lambda: run(record.id, events.append), events),
        )
        task.add_done_callback(lambda _: self._logs.pop(record.id, None))
        return record.id

    async def events(
        self, id_: str, *, caller: Caller = EMBEDDED, start: int = 0
    ) -> AsyncGenerator[Sequence[bytes], None]:
        """
        The events of a stream, those to come included. Consume it under `contextlib.aclosing`.

        Args:
            start: the number of the first event wanted, from 0.

        Yields:
            JSON texts that arrived together.

        Raises:
            UnknownTask: there is none of this id, or it is somebody else's.
            InvalidParameter: the task is no stream.
            FengChaoError: what the stream failed with, after its last event.
        """
        record = await self.find(id_, caller=caller)
        if record.kind != STREAM:
            raise InvalidParameter("this task is no stream; ask for its result", param="task_id")
        if (here := self._logs.get(id_)) is not None:
            async for batch in here.read(start):
                yield batch
            return
        position = start
        while True:
            for run in await self._store.events(id_, start=position, limit=100):
                fresh = run.events[max(0, position - run.first) :]
                position = run.first + len(run.events)
                yield fresh
            if record.is_ended:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
            # Looked at before its events are: once it has ended, no more of them come.
            record = await self.find(id_, caller=caller)
        if record.failure is not None:
            raise load_failure(record.failure)

    def _working(self) -> Worker:
        if self._worker is None:
            self.start()
        worker = self._worker
        if worker is None:
            raise AssertionError("start() makes a worker")
        return worker

    def _record(
        self, kind: str, payload: bytes, *, queue: str, caller: Caller, **facts: Any
    ) -> JobRecord:
        now = self._clock.now()
        return JobRecord(
            id=secrets.token_hex(16),
            queue=queue,
            kind=kind,
            key=caller.key,
            payload=payload,
            created_at=now,
            available_at=now,
            expires_at=now + timedelta(seconds=self._settings.expire_s),
            **facts,
        )

    async def _add(self, record: JobRecord) -> None:
        await self._store.add(record, self._bounds)

    async def _perform(self, record: JobRecord, claim: JobClaim) -> None:
        await self._performer.run(claim, partial(self._work, record), record.expires_at)

    async def _work(self, record: JobRecord) -> Mapping[str, object]:
        caller = self._identify(record.key)
        return await self._kinds[record.kind].run(
            orjson.loads(record.payload), caller, self._gateway
        )


def _unknown() -> UnknownTask:
    return UnknownTask(
        "no task of this key has this id, or it was kept long enough and is forgotten",
        param="task_id",
    )


def _the_embedder(key: str) -> Caller:
    if key != EMBEDDED.key:
        raise AuthenticationFailed("an embedded gateway runs tasks of its own process only")
    return EMBEDDED
