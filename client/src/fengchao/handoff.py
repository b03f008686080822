"""A bounded queue from an event loop to a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Handoff(Generic[T]):
    """
    The queue of one producer, a coroutine, and one consumer, a thread.

    The producer waits while the queue is full, the consumer while it is empty. A full queue lets its producer go on once
    half of it is taken, so that the two do not wake each other for every item.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._failure: BaseException | None = None
        self._room = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def put(self, item: T) -> None:
        """Add an item; waits for room."""
        self._loop = asyncio.get_running_loop()
        while len(self._items) >= self._most:
            self._room.clear()
            # What the consumer took between the two lines above it took before it could set the event again.
            if len(self._items) >= self._most:
                await self._room.wait()
        with self._changed:
            self._items.append(item)
            self._changed.notify()

    def end(self, failure: BaseException | None = None) -> None:
        """There will be no more items; from any thread. The consumer gets the failure after what is left."""
        with self._changed:
            self._ended = True
            self._failure = failure
            self._changed.notify()

    def take(self) -> T | None:
        """
        The next item, or None after the last; waits for one.

        Raises:
            what the queue was ended with.
        """
        with self._changed:
            while not self._items and not self._ended:
                self._changed.wait()
            if not self._items:
                if self._failure is not None:
                    raise self._failure
                return None
            item = self._items.popleft()
            half_empty = len(self._items) == self._most // 2
        if half_empty and self._loop is not None:
            # A loop that is closed has no producer to wake.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._room.set)
        return item
