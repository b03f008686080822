"""
Where bodies go between the end of a request and the store: nowhere, unless `ledger.keep_bodies` is on.

They are not money: they wait in memory alone, never in the journal, and where the store is away for too long the oldest
are given up. Whether they are kept or not, those that are too old are deleted: switching the setting off ends it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from fengchao_core.ledger.retention import FIRST_S, Closing, retain
from fengchao_core.logs import Log

if TYPE_CHECKING:
    from fengchao_core.settings import LedgerSettings
    from fengchao_core.store import BodyRecord, BodyStore

log = Log()

_BATCH: Final = 50
_MOST_WAITING_CHARS: Final = 32_000_000
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_CLOSING_ATTEMPTS: Final = 5
_SWEPT: Final = 500


class Bodies:
    """
    Takes bodies from the pipeline and brings them to the store: `run()` is the owned task, `close()` lets it end.

    Attributes:
        are_kept: whether anybody wants them; where not, none need be gathered.
        most_chars: of a conversation, and of its answers.
    """

    def __init__(
        self,
        store: BodyStore,
        settings: LedgerSettings,
        *,
        most_waiting: int = _MOST_WAITING_CHARS,
        first_sweep_s: float = FIRST_S,
    ) -> None:
        self.are_kept = settings.keep_bodies
        self.most_chars = settings.keep_bodies_chars
        self._store = store
        self._keep = timedelta(days=settings.keep_bodies_days)
        self._interval_s = settings.interval_s
        self._most_waiting = most_waiting
        self._first_sweep_s = first_sweep_s
        self._waiting: deque[tuple[BodyRecord, int]] = deque()
        self._chars = 0
        self._wake = asyncio.Event()
        self._closing = Closing()
        self._idle = asyncio.Event()
        self._idle.set()

    def take(self, record: BodyRecord, chars: int) -> None:
        """
        Take a body; it is written soon. Neither waits nor refuses.

        Args:
            chars: how much text it holds.
        """
        self._waiting.append((record, chars))
        self._chars += chars
        dropped = 0
        while self._chars > self._most_waiting and len(self._waiting) > 1:
            self._chars -= self._waiting.popleft()[1]
            dropped += 1
        if dropped:
            log.warning("bodies.dropped", bodies=dropped)
        self._idle.clear()
        self._wake.set()

    async def flush(self) -> None:
        """Wait until every body taken so far is in the store."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write bodies until `close()`; beside it, delete those that are too old."""
        retaining = retain(
            self._store,
            lambda: datetime.now(UTC) - self._keep,
            self._closing,
            most=_SWEPT,
            failed="bodies.sweep_failed",
            first_s=self._first_sweep_s,
        )
        broom = asyncio.create_task(retaining, name="fengchao-bodies-retention")
        try:
            await self._write_all()
        finally:
            self._closing.set()
            await broom

    async def close(self) -> None:
        """Let `run()` write what is left and end. Call once nothing is taken any more."""
        self._closing.set()
        self._wake.set()

    async def _write_all(self) -> None:
        while True:
            await self._wake.wait()
            if self._waiting and len(self._waiting) < _BATCH:
                await self._closing.within(self._interval_s)
            if self._waiting and not await self._write():
                log.warning("bodies.dropped", bodies=len(self._waiting))
                self._waiting.clear()
            if self._waiting:
                continue
            self._wake.clear()
            self._idle.set()
            if self._closing.is_set():
                return

    async def _write(self) -> bool:
        """Write one batch, however often that has to be tried; while closing, a few times only."""
        pause, attempts = _FIRST_PAUSE_S, 0
        while True:
            batch = list(islice(self._waiting, _BATCH))
            try:
                await self._store.add([record for record, _ in batch])
            except Exception as error:  # a store of whatever make may fail in its own way
                attempts += 1
                log.warning("bodies.store_away", error=type(error).__name__)
                if self._closing.is_set() and attempts >= _CLOSING_ATTEMPTS:
                    return False
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                break
        # Those that were dropped for space meanwhile were the oldest, and so of this batch.
        written = {record.id for record, _ in batch}
        while self._waiting and self._waiting[0][0].id in written:
            self._chars -= self._waiting.popleft()[1]
        return True
