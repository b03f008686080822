"""One task from its claim to its end: run, its usage held back, and both kept together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from fengchao_core.clock import Clock
from fengchao_core.errors import FengChaoError, LimitExceeded, StoreUnavailable
from fengchao_core.holding import held_usage
from fengchao_core.jobs.endings import Endings
from fengchao_core.jobs.eventlog import EventLog
from fengchao_core.jobs.failures import load_failure
from fengchao_core.jobs.leases import Leases
from fengchao_core.ledger import Ledger
from fengchao_core.logs import Log
from fengchao_core.store.jobs import JobClaim, JobOutcome, JobStore
from fengchao_core.usage import UsageRecord

log = Log()

Work = Callable[[], Awaitable[Mapping[str, object]]]

_SAVE_EVERY_S = 0.25
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_CLOSING_ATTEMPTS = 3
_SHORTEST_WAIT_S = 1.0


class Performer:
    """Runs the work of claims."""

    def __init__(
        self, store: JobStore, leases: Leases, endings: Endings, ledger: Ledger, clock: Clock
    ) -> None:
        self._store = store
        self._leases = leases
        self._endings = endings
        self._ledger = ledger
        self._clock = clock
        self._is_closing = False

    def close(self) -> None:
        """The process is about to end: do not wait for ever for a store that is away."""
        self._is_closing = True

    async def run(self, claim: JobClaim, work: Work, expires_at: datetime) -> None:
        """
        Run a task that may be run again: where a limit says «later», or the process stops, it goes back.

        Args:
            expires_at: when it is given up: a limit that says «after that» fails it at once.
        """
        rows: list[UsageRecord] = []
        begun = self._clock.monotonic()
        try:
            with held_usage() as rows:
                outcome, again_in_s = await self._outcome(work)
        except asyncio.CancelledError:
            self._settle(rows)
            if not self._leases.is_lost(claim):
                await self._give_back(claim, 0.0)
            raise
        again_in_s = None if again_in_s is None else max(again_in_s, _SHORTEST_WAIT_S)
        left_s = (expires_at - self._clock.now()).total_seconds()
        if again_in_s is None or again_in_s >= left_s:
            await self._finish(claim, outcome, rows, None, begun)
        else:
            # A refusal costs nothing and will be repeated: only what was really used is booked.
            self._settle([row for row in rows if row.outcome != "refused"])
            await self._give_back(claim, again_in_s)

    async def run_stream(self, claim: JobClaim, work: Work, events: EventLog) -> None:
        """Run a stream, whose events others read meanwhile; what was shown cannot be run again."""
        rows: list[UsageRecord] = []
        begun = self._clock.monotonic()
        outcome = self._endings.ended("incident")
        saver = asyncio.create_task(self._save_on_and_on(claim, events))
        try:
            with held_usage() as rows:
                outcome, _ = await self._outcome(work)
        except asyncio.CancelledError:
            is_lost = self._leases.is_lost(claim)
            outcome = self._endings.ended("cancelled" if is_lost else "interrupted")
            raise
        finally:
            saver.cancel()
            await asyncio.gather(saver, return_exceptions=True)
            await self._finish(claim, outcome, rows, events, begun)
            events.end(None if outcome.failure is None else load_failure(outcome.failure))

    async def _outcome(self, work: Work) -> tuple[JobOutcome, float | None]:
        """How the work ended; and, where a limit stopped it for now, in how many seconds to try again."""
        try:
            return self._endings.done(await work()), None
        except FengChaoError as error:
            again_in_s = error.retry_after if isinstance(error, LimitExceeded) else None
            return self._endings.failed(error), again_in_s
        except Exception:
            log.exception("job.incident")
            return self._endings.ended("incident"), None

    async def _finish(
        self,
        claim: JobClaim,
        outcome: JobOutcome,
        rows: list[UsageRecord],
        events: EventLog | None,
        begun: float,
    ) -> None:
        """Keep what came of it, even where the process stops meanwhile."""
        keeping = asyncio.create_task(self._keep(claim, replace(outcome, usage=rows), events))
        try:
            is_kept = await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await keeping
            raise
        finally:
            # Whether or not it was kept with the task: a row that is there already is left as it is.
            self._settle(rows)
        log.info(
            "job.ended",
            id=claim.id,
            state=outcome.state if is_kept else "lost",
            attempt=claim.attempt,
            ms=round((self._clock.monotonic() - begun) * 1000),
        )

    async def _keep(self, claim: JobClaim, outcome: JobOutcome, events: EventLog | None) -> bool:
        """End a task in the store, however often that has to be tried. False where the claim is void."""
        pause, attempts = _FIRST_PAUSE_S, 0
        while True:
            try:
                if events is not None:
                    await self._save(claim, events)
                return await self._store.finish(claim, outcome)
            except StoreUnavailable as error:
                attempts += 1
                log.warning("job.store_away", id=claim.id, error=str(error))
                if self._is_closing and attempts >= _CLOSING_ATTEMPTS:
                    return False  # its lease ends, and another process runs it again
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _give_back(self, claim: JobClaim, again_in_s: float) -> None:
        available_at = self._clock.now() + timedelta(seconds=again_in_s)
        # Where the store is away, the end of the lease does the same, only later.
        with suppress(StoreUnavailable):
            await self._store.release(claim, available_at=available_at)

    def _settle(self, rows: Sequence[UsageRecord]) -> None:
        for row in rows:
            self._ledger.settle(row)

    async def _save_on_and_on(self, claim: JobClaim, events: EventLog) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            with suppress(StoreUnavailable):
                await self._save(claim, events)

    async def _save(self, claim: JobClaim, events: EventLog) -> None:
        if (fresh := events.unsaved()) is not None and await self._store.append(claim, fresh):
            events.saved(fresh)
