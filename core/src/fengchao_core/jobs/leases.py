"""The claims that this process holds: renewed while their work goes on, and the work stopped where a claim is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from fengchao_core.clock import Clock
from fengchao_core.logs import Log
from fengchao_core.store.jobs import JobClaim, JobStore

log = Log()


class Leases:
    """
    Claims, each with the task of this process that works on it.

    Args:
        lease_s: how long a claim holds without being renewed.
    """

    def __init__(self, store: JobStore, clock: Clock, *, lease_s: float) -> None:
        self._store = store
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._every_s = lease_s / 3
        self._beaten_at = clock.monotonic()
        self._held: dict[JobClaim, asyncio.Task[None]] = {}
        self._lost: set[JobClaim] = set()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._held)

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """The work under way."""
        return tuple(self._held.values())

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without being renewed."""
        return self._lease

    @property
    def is_due(self) -> bool:
        """Whether it is time to `beat`."""
        return self._clock.monotonic() - self._beaten_at >= self._every_s

    def hold(self, claim: JobClaim, task: asyncio.Task[None]) -> None:
        """Renew a claim from now on, until its task is done."""
        self._held[claim] = task
        task.add_done_callback(lambda _: self._drop(claim))

    def is_lost(self, claim: JobClaim) -> bool:
        """Whether a claim turned out to be void: its task was cancelled, expired, or was taken over."""
        return claim in self._lost

    def lose(self, id_: str) -> None:
        """This task was ended by its owner: stop the work on it."""
        for claim, task in self._held.items():
            if claim.id == id_ and claim not in self._lost:
                self._lost.add(claim)
                task.cancel()

    async def beat(self) -> None:
        """Renew every claim; stop the work on those that are void. Raises `StoreUnavailable`."""
        self._beaten_at = self._clock.monotonic()
        claims = [claim for claim in self._held if claim not in self._lost]
        if not claims:
            return
        now = self._clock.now()
        held = await self._store.renew(claims, now=now, lease_until=now + self._lease)
        for claim in claims:
            task = self._held.get(claim)
            if claim.id not in held and task is not None:
                log.info("job.lost", id=claim.id, attempt=claim.attempt)
                self._lost.add(claim)
                task.cancel()

    def _drop(self, claim: JobClaim) -> None:
        self._held.pop(claim, None)
        self._lost.discard(claim)
