"""Deleting what is too old, a few rows at a time, until the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from fengchao_core.logs import Log

log = Log()

FIRST_S: Final = 60.0
"""How long after its start a process begins to delete."""

_EVERY_S: Final = 3600.0
_PAUSE_S: Final = 0.2


class Closing(asyncio.Event):
    """Set once, when its owner is to end."""

    async def within(self, seconds: float) -> bool:
        """Wait so long at most; whether it was set."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return False
        return True


class Forgetful(Protocol):
    """A store of rows that grow old."""

    async def forget(self, before: datetime, most: int) -> int:
        """Delete some rows that started before an instant, so many at most; how many they were."""
        ...


async def retain(
    store: Forgetful,
    before: Callable[[], datetime],
    closing: Closing,
    *,
    most: int,
    failed: str,
    first_s: float = FIRST_S,
) -> None:
    """
    Delete hour by hour what started before an instant, until it is time to close.

    Args:
        before: the instant, asked for each time.
        most: rows in one transaction.
        failed: the event that is logged where it fails; the next hour tries again.
    """
    pause = first_s
    while not await closing.within(pause):
        try:
            deleted = await store.forget(before(), most)
        except Exception as error:  # a store of whatever make may fail in its own way
            log.warning(failed, error=type(error).__name__)
            deleted = 0
        pause = _PAUSE_S if deleted == most else _EVERY_S
