"""
Where usage rows go between the end of a request and the store.

A request never waits for a disk or a database: it hands over its row and is done. One owned task takes what has
gathered, in batches, one transaction each: under a steady load a few in a second, not one per request. While the store is away rows wait, up to a capacity; a row is kept once,
whatever is repeated, because it carries its own id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import Protocol

import structlog

from fengchao_core.settings import LedgerSettings
from fengchao_core.store import UsageStore
from fengchao_core.telemetry import Telemetry
from fengchao_core.usage import UsageRecord

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_CLOSING_ATTEMPTS = 5


class Ledger(Protocol):
    """
    What the pipeline asks of a ledger: each request is reserved once and settled once.

    Neither call waits. `reserve` may refuse (a budget is spent); `settle` never does.
    """

    def reserve(self, key: str, model: str) -> None:
        """A vendor is about to be asked. Raises `LimitExceeded` where the key may not spend more."""
        ...

    def settle(self, row: UsageRecord) -> None:
        """The request ended."""
        ...


class StoreLedger:
    """A ledger over a usage store: `run()` is the owned task that writes, `close()` lets it end."""

    def __init__(self, store: UsageStore, settings: LedgerSettings, telemetry: Telemetry) -> None:
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._waiting: deque[UsageRecord] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def reserve(self, key: str, model: str) -> None:
        """Nothing is limited yet: every key may spend."""

    def settle(self, row: UsageRecord) -> None:
        """Take a row; it is written soon."""
        if len(self._waiting) >= self._settings.capacity:
            self._waiting.popleft()
            self._telemetry.rows_dropped(1)
            log.error("ledger.full", capacity=self._settings.capacity)
        self._waiting.append(row)
        if not self._wake.is_set():
            self._idle.clear()
            self._wake.set()

    async def flush(self) -> None:
        """Wait until every row taken so far is in the store."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write rows until `close()`."""
        while True:
            await self._wake.wait()
            if len(self._waiting) < self._settings.batch and not self._closing.is_set():
                await self._gather()
            await self._write()
            if self._waiting:
                continue
            self._wake.clear()
            self._idle.set()
            if self._closing.is_set():
                return

    async def close(self) -> None:
        """Let `run()` write what is left and end. Call once nothing settles any more."""
        self._closing.set()
        self._wake.set()

    async def _gather(self) -> None:
        """Give other rows a moment to share the transaction."""
        try:
            async with asyncio.timeout(self._settings.interval_s):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _write(self) -> None:
        """Write one batch, however often that has to be tried."""
        pause, attempts = _FIRST_PAUSE_S, 0
        while True:
            rows = list(islice(self._waiting, self._settings.batch))
            try:
                await self._store.add(rows)
                break
            except (
                Exception
            ) as error:  # a store of whatever make may fail in its own way; the rows stay
                attempts += 1
                log.warning(
                    "ledger.store_away", waiting=len(self._waiting), error=type(error).__name__
                )
                if self._closing.is_set() and attempts >= _CLOSING_ATTEMPTS:
                    self._telemetry.rows_dropped(len(self._waiting))
                    log.exception("ledger.rows_lost", rows=len(self._waiting))
                    self._waiting.clear()
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        # Rows that were dropped for space meanwhile were the oldest, and so of this batch.
        written = {row.id for row in rows}
        while self._waiting and self._waiting[0].id in written:
            self._waiting.popleft()
