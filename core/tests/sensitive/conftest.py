"""What several tests of the filter measure."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

LongestHold = Callable[[Awaitable[Any]], Awaitable[tuple[Any, float]]]


@pytest.fixture
def longest_hold() -> LongestHold:
    """Waits for work in a thread; tells its result, and for how long at most it kept the event loop from running."""

    async def measure(work: Awaitable[Any]) -> tuple[Any, float]:
        longest = 0.0
        # What other tests have left is not this one's: a collection of it all would be measured as well.
        gc.collect()
        gc.freeze()
        try:
            task = asyncio.ensure_future(work)
            while not task.done():
                # Seconds of processor time that others of this process spent before the loop's next turn: unlike the
                # wall clock, it does not depend on what else the machine is doing.
                everybody, own = time.process_time(), time.thread_time()
                await asyncio.sleep(0)
                others = time.process_time() - everybody - (time.thread_time() - own)
                longest = max(longest, others)
            return await task, longest
        finally:
            gc.unfreeze()

    return measure
