"""The events of a stream that runs in this process: read as they come, by any number of readers, from any number on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from fengchao_core.errors import FengChaoError, TaskEnded
from fengchao_core.store.jobs import JobEvents


class EventLog:
    """
    Every event of one stream, in order.

    Args:
        most_bytes: how much it may hold; whoever appends beyond it is refused.
    """

    def __init__(self, most_bytes: int) -> None:
        self._events: list[bytes] = []
        self._saved = 0
        self._room = most_bytes
        self._grown = asyncio.Event()
        self._is_ended = False
        self._failure: FengChaoError | None = None

    def append(self, events: Sequence[bytes]) -> None:
        """Add events, one JSON text each. Raises `TaskEnded` where they are more than is kept."""
        self._room -= sum(map(len, events))
        if self._room < 0:
            raise TaskEnded("too long")
        self._events += events
        self._notify()

    def end(self, failure: FengChaoError | None) -> None:
        """Nothing more comes. Only the first call counts."""
        if not self._is_ended:
            self._is_ended = True
            self._failure = failure
            self._notify()

    def unsaved(self) -> JobEvents | None:
        """What was not `saved` yet; None where all was."""
        if self._saved == len(self._events):
            return None
        return JobEvents(self._saved, tuple(self._events[self._saved :]))

    def saved(self, events: JobEvents) -> None:
        """The store has these now."""
        self._saved = events.first + len(events.events)

    async def read(self, start: int) -> AsyncGenerator[Sequence[bytes], None]:
        """Events from number `start` on, those to come included. Raises what ended the stream, where something did."""
        position = start
        while True:
            grown = self._grown
            if fresh := self._events[position:]:
                position += len(fresh)
                yield fresh
            elif self._is_ended:
                if self._failure is not None:
                    raise self._failure
                return
            else:
                await grown.wait()

    def _notify(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
