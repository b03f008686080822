"""
What becomes of a vendor's answer when its caller hangs up: by default it is cut, per model it may be drained.

A cut answer saves what was not generated yet, but the vendor never says what it charges for the rest, so the row is an
estimate. A drained one is read to its end for nobody, and the row is exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from fengchao_core.types import Delta

_AHEAD = 16
"""Batches that are read before the caller has taken them."""

Batches = AsyncGenerator[Sequence[Delta], None]


class Drains:
    """The answers that are read by tasks of their own, so that they outlive their callers. `close()` cuts those left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def pass_on(self, batches: Batches, gone: Callable[[], None]) -> Batches:
        """
        Pass batches on for as long as somebody takes them; read them to their end in any case.

        Args:
            gone: called once where the caller leaves before the end.
        """
        queue: asyncio.Queue[Sequence[Delta] | None] = asyncio.Queue(_AHEAD)
        left = asyncio.Event()
        task = asyncio.create_task(_read(batches, queue, left), name="fengchao-drain")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        try:
            while (batch := await queue.get()) is not None:
                yield batch
            await task
        finally:
            if not task.done():
                left.set()
                gone()
                while not queue.empty():  # whoever waits for room goes on
                    queue.get_nowait()

    async def close(self) -> None:
        """Cut what is still read, and wait until it is booked."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: it is in the usage row, and where the caller stayed it was raised to it


async def _read(
    batches: Batches, queue: asyncio.Queue[Sequence[Delta] | None], left: asyncio.Event
) -> None:
    try:
        async with aclosing(batches):
            async for batch in batches:
                if not left.is_set():
                    await queue.put(batch)
    finally:
        if not left.is_set():
            await queue.put(None)
