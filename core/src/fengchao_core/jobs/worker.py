"""What takes tasks out of the store and sees that they are run: one loop, and one task of the event loop for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from fengchao_core.clock import Clock
from fengchao_core.jobs.endings import Endings
from fengchao_core.jobs.leases import Leases
from fengchao_core.logs import Log
from fengchao_core.settings import JobSettings
from fengchao_core.store.jobs import JobClaim, JobRecord, JobStore

log = Log()

_ROUND_S = 15.0
"""How long closing waits for a round that is under way."""

_AWAY_S = 1.0

Perform = Callable[[JobRecord, JobClaim], Coroutine[Any, Any, None]]


class Worker:
    """
    Runs tasks of one queue in this process, until it is closed.

    While the store is away nothing new is begun, and what runs goes on.

    Args:
        kinds: the kinds that this process can run now.
        perform: runs a claimed task to its end; raises nothing.

    Attributes:
        name: of this worker, in claims.
        queue: what it takes tasks from.
        is_closing: whether nothing new is begun any more.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        *,
        store: JobStore,
        leases: Leases,
        endings: Endings,
        settings: JobSettings,
        clock: Clock,
        kinds: Callable[[], Sequence[str]],
        perform: Perform,
    ) -> None:
        self.name = name
        self.queue = queue
        self.is_closing = False
        self._store = store
        self._leases = leases
        self._endings = endings
        self._settings = settings
        self._clock = clock
        self._kinds = kinds
        self._perform = perform
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._is_away = False
        self._is_over = False
        self._swept_at = float("-inf")
        self._loop = asyncio.create_task(self._run(), name="fengchao-jobs")

    def poke(self) -> None:
        """There may be something to do: look now."""
        self._wake.set()

    def begin(self, claim: JobClaim, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the work of a claim, which is renewed until it is done."""
        task = asyncio.create_task(work, name=f"fengchao-job-{claim.id}")
        self._leases.hold(claim, task)
        return task

    async def close(self, drain_s: float = 0.0) -> None:
        """
        Begin nothing new, let what runs end for a while, then stop it and give its tasks back.

        Args:
            drain_s: how long what runs may go on. Cancelling the call ends the wait, and nothing else.
        """
        self.is_closing = True
        self.poke()
        try:
            if drain_s and (tasks := self._leases.tasks):
                await asyncio.wait(tasks, timeout=drain_s)
        finally:
            # A round that is taking tasks is not interrupted: nobody would give them back.
            self._is_over = True
            self.poke()
            await asyncio.wait((self._loop,), timeout=_ROUND_S)
            self._loop.cancel()
            await asyncio.sleep(0)  # what was begun just now is let into its own clean-up first
            tasks = self._leases.tasks
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._loop, return_exceptions=True)

    async def _run(self) -> None:
        while not self._is_over:
            self._wake.clear()
            try:
                await self._round()
                if self._is_away:
                    log.info("jobs.store_back")
                self._is_away = False
            except (
                Exception
            ) as error:  # whatever a store's driver raises, the next round tries again
                if not self._is_away:
                    log.warning("jobs.store_away", error=type(error).__name__)
                self._is_away = True
            if self._is_away and not self._is_over:  # a poke does not bring the store back
                await asyncio.sleep(min(self._settings.poll_s, _AWAY_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_s):
                    await self._wake.wait()

    async def _round(self) -> None:
        """Renew what is held, tidy up now and then, and take as much as there is room for."""
        if self._leases.is_due:
            await self._leases.beat()
        now = self._clock.now()
        if self._clock.monotonic() - self._swept_at >= self._settings.lease_s / 3:
            self._swept_at = self._clock.monotonic()
            await self._store.sweep(
                now=now,
                expired=self._endings.ended("expired"),
                interrupted=self._endings.ended("interrupted"),
            )
        room = self._settings.concurrency - len(self._running)
        kinds = self._kinds()
        if room <= 0 or not kinds or self.is_closing:
            return
        taken = await self._store.claim(
            self.queue,
            kinds,
            worker=self.name,
            now=now,
            lease_until=now + self._leases.lease,
            limit=room,
        )
        for record in taken:
            claim = JobClaim(record.id, self.name, record.attempts)
            task = self.begin(claim, self._perform(record, claim))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.poke()
