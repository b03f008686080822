"""
Where usage rows go between the end of a request and the store.

A request never waits for a disk or a database: its row is stored in the journal, which is memory that outlives the
process, and handed over. One owned task takes what has gathered, in batches, one transaction each: under a steady load a
few in a second, not one per request. While the store is away rows wait, in memory up to a capacity and beyond it in the
journal alone; a row is kept once, whatever is repeated, because it carries its own id.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from fengchao_core.ledger import events
from fengchao_core.ledger.events import START, Position
from fengchao_core.ledger.journal import Journal, segments
from fengchao_core.ledger.recovery import CardOf, Left, rows_in, some, take_over
from fengchao_core.ledger.retention import Closing, retain
from fengchao_core.logs import Log
from fengchao_core.settings import LedgerSettings
from fengchao_core.store import UsageStore
from fengchao_core.telemetry import Telemetry
from fengchao_core.usage import Begun, UsageRecord

log = Log()

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_CLOSING_ATTEMPTS: Final = 5
_SWEPT: Final = 2000
_LEAST_SEGMENTS: Final = 4


class Ledger(Protocol):
    """
    What the pipeline asks of a ledger: each request is begun once and settled once.

    Neither call waits or refuses.
    """

    @property
    def is_journalled(self) -> bool:
        """Whether it is written down that a request began; where it is not, nobody need say so."""
        ...

    def begin(self, request: Begun) -> None:
        """A vendor is about to be asked."""
        ...

    def settle(self, row: UsageRecord) -> None:
        """The request ended; or, where the row is `retried`, one of its attempts."""
        ...


class StoreLedger:
    """
    A ledger over a usage store: `run()` is the owned task that writes, `close()` lets it end.

    Args:
        journal: what outlives this process; None where nothing does, or the store does not either. The ledger closes it.
        card_of: the card of a model, for the rows of requests that died with their process.
    """

    def __init__(
        self,
        store: UsageStore,
        settings: LedgerSettings,
        telemetry: Telemetry,
        journal: Journal | None = None,
        card_of: CardOf = lambda _model: None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._journal = journal
        self._card_of = card_of
        self._capacity, self._batch = settings.capacity, settings.batch
        self._waiting: deque[UsageRecord] = deque()
        self._given_up = 0  # rows, of those that waited
        self._begun: dict[str, bytes] = {}
        self._unsettled: set[str] = set()  # of those begun, whose row the journal could not take
        self._spilled: Position | None = None  # rows behind it are in the journal alone
        self._shipped = START
        # So many rows on, everything before that place is in the store.
        self._unmarked, self._reached = 0, START
        self._is_awake, self._wake = False, asyncio.Event()
        self._hurry = asyncio.Event()
        self._flushing = 0
        self._closing = Closing()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_journalled(self) -> bool:
        """Whether it is written down that a request began."""
        return self._journal is not None

    def begin(self, request: Begun) -> None:
        """Write down that a vendor is about to be asked."""
        if self._journal is not None:
            line = events.begun(request)
            if self._journal.append(line):
                self._begun[request.id] = line

    def settle(self, row: UsageRecord) -> None:
        """Take a row; it is written soon."""
        waiting, journal = self._waiting, self._journal
        is_full = len(waiting) >= self._capacity
        if journal is not None:
            before = journal.position if is_full else START
            if journal.append(events.settled(row)):
                self._begun.pop(row.id, None)
                if is_full and self._spilled is None:
                    self._spilled = before
                if self._spilled is not None:
                    self._rouse()
                    return
            else:
                self._unsettled.add(row.id)
        if is_full:
            self._give_up(waiting.popleft())
        waiting.append(row)
        if not self._is_awake or len(waiting) == self._batch:
            self._rouse()

    async def flush(self) -> None:
        """Wait until every row taken so far is in the store."""
        self._flushing += 1
        self._hurry.set()
        try:
            await self._idle.wait()
        finally:
            self._flushing -= 1

    async def run(self) -> None:
        """Write rows until `close()`; beside it, look after the journal, one's own and those of the dead."""
        care = asyncio.create_task(self._care(), name="fengchao-journal")
        broom = asyncio.create_task(self._retain(), name="fengchao-retention")
        try:
            await self._ship_all()
        finally:
            self._closing.set()
            await care
            await broom
            if self._journal is not None:
                is_done = not (self._begun or self._waiting or self._spilled)
                self._journal.close(is_done=is_done, keep_bytes=self._settings.kept_bytes)

    async def close(self) -> None:
        """Let `run()` write what is left and end. Call once nothing settles any more."""
        self._closing.set()
        self._wake.set()
        self._hurry.set()

    def _rouse(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._idle.clear()
            self._wake.set()
        elif len(self._waiting) == self._batch:
            self._hurry.set()

    async def _ship_all(self) -> None:
        while True:
            await self._wake.wait()
            if (
                len(self._waiting) < self._batch
                and not self._flushing
                and not self._closing.is_set()
            ):
                await self._gather()
            is_written = True
            if self._waiting:
                is_written = await self._write()
            elif self._spilled is not None:
                is_written = await self._catch_up(self._spilled)
            if not is_written:
                self._idle.set()
                return
            if self._waiting or self._spilled is not None:
                continue
            self._wake.clear()
            self._is_awake = False
            self._idle.set()
            if self._closing.is_set():
                return

    async def _gather(self) -> None:
        """Give other rows a moment to share the transaction, until there are enough of them or somebody waits."""
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.interval_s):
                await self._hurry.wait()

    async def _write(self) -> bool:
        """Write one batch out of memory. False where it was given up."""
        waiting, given_up = self._waiting, self._given_up
        batch = list(islice(waiting, self._batch))
        if self._journal is not None and not self._unmarked:
            self._unmarked, self._reached = len(waiting), self._spilled or self._journal.position
        if not await self._add(batch):
            if self._journal is None:
                self._lose(len(waiting))
                waiting.clear()
            return False
        # Rows that were given up for space meanwhile were the oldest, and so of this batch.
        given_up = self._given_up - given_up
        for _ in range(len(batch) - given_up):
            waiting.popleft()
        if self._unmarked:
            self._unmarked = max(0, self._unmarked - max(len(batch), given_up))
            if not self._unmarked:
                self._mark(self._reached)
        return True

    async def _catch_up(self, start: Position) -> bool:
        """Write the rows that are in the journal alone. Rows that come from now on wait in memory again, behind them."""
        if self._journal is None:
            raise AssertionError("only a journal takes what memory does not")
        until = self._journal.position
        self._spilled = None
        files = await asyncio.to_thread(segments, self._journal.folder)
        # Those before are in the store, and may be put away while this reads.
        behind = [file for file in files if file[0] >= start.segment]
        rows = rows_in(behind, start, Left(), until=until)
        while batch := await asyncio.to_thread(some, rows, self._batch):
            if not await self._add([row for row, _ in batch]):
                self._spilled = start
                return False
            self._mark(batch[-1][1])
        return True

    async def _add(self, rows: Sequence[UsageRecord]) -> bool:
        """Add rows to the store, however often that has to be tried; while closing, a few times only."""
        pause, attempts = _FIRST_PAUSE_S, 0
        while True:
            try:
                await self._store.add(rows)
            except (
                Exception
            ) as error:  # a store of whatever make may fail in its own way; the rows stay
                attempts += 1
                log.warning(
                    "ledger.store_away", waiting=len(self._waiting), error=type(error).__name__
                )
                if self._closing.is_set() and attempts >= _CLOSING_ATTEMPTS:
                    if self._journal is not None:
                        log.warning("ledger.left_in_journal", rows=len(self._waiting))
                    return False
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            else:
                if self._unsettled:
                    for row in rows:
                        self._unsettled.discard(row.id)
                        self._begun.pop(row.id, None)
                return True

    def _mark(self, position: Position) -> None:
        """Everything before the position is in the store."""
        if self._journal is not None and position > self._shipped:
            self._shipped = position
            self._journal.append(events.shipped(position))

    def _give_up(self, row: UsageRecord) -> None:
        self._given_up += 1
        self._unsettled.discard(row.id)
        self._lose(1)
        log.error("ledger.full", capacity=self._capacity)

    def _lose(self, rows: int) -> None:
        self._telemetry.rows_dropped(rows)
        log.error("ledger.rows_lost", rows=rows)

    async def _care(self) -> None:
        """Bring the journal to the disk at an interval, and home what the dead left."""
        if (journal := self._journal) is None:
            return
        settings = self._settings
        rounds = max(1, round(settings.takeover_s / settings.sync_s))
        # A journal that got full has room again once its older segments are in the store: there must be older ones.
        most = min(settings.segment_bytes, settings.journal_bytes // _LEAST_SEGMENTS)
        turn = archived = 0
        while not self._closing.is_set():
            try:
                journal.flush()
                await asyncio.to_thread(journal.sync)
                if journal.size >= most:
                    await self._rotate(journal)
                if archived != (shipped := self._shipped.segment):
                    await asyncio.to_thread(journal.archive, shipped, settings.kept_bytes)
                    archived = shipped
                if turn % rounds == 0:
                    await take_over(
                        journal.folder.parent,
                        journal.folder,
                        self._store,
                        self._card_of,
                        settings.kept_bytes,
                    )
            except Exception as error:  # the next round tries again
                log.warning(
                    "ledger.care_failed", error=type(error).__name__, reason=str(error)[:200]
                )
            turn += 1
            await self._closing.within(settings.sync_s)

    async def _retain(self) -> None:
        """Delete the rows that are too old."""
        days = self._settings.keep_days
        if days:
            await retain(
                self._store,
                lambda: datetime.combine(datetime.now(UTC).date(), time(), UTC) - timedelta(days),
                self._closing,
                most=_SWEPT,
                failed="ledger.sweep_failed",
            )

    async def _rotate(self, journal: Journal) -> None:
        """Begin a new segment. What is still open is carried over."""
        fd = await asyncio.to_thread(journal.open_next)
        old = journal.switch(fd, self._begun.values())
        await asyncio.to_thread(journal.finish, old)


def open_journal(folder: Path, settings: LedgerSettings) -> Journal | None:
    """
    A journal in this folder; None, with a warning, where there can be none.

    Without one rows wait in memory alone, and those that wait are lost with the process.
    """
    from fengchao_core.errors import SetupError

    try:
        return Journal(folder, most_bytes=settings.journal_bytes)
    except (OSError, SetupError) as error:
        log.warning("ledger.no_journal", reason=str(error))
        return None
