"""
Following what operators change while the gateway runs: words, preset instructions.

A change must hold from the next request on, in every process, without costing the requests anything. So a request
compares two numbers in memory: the store's generation, which every process of the machine changes and sees, and the one
that was seen last. Only where they differ does it wait for the store. Other machines' changes are looked for in the
store's revision, again and again, by an owned task, which also spares most requests that wait.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final, Protocol

from fengchao_core.logs import Log

log = Log()

_LOOK_EVERY_S: Final = 0.1
_ASK_EVERY: Final = 10
_PATIENCE_S: Final = 2.0


class Followed(Protocol):
    """A store that can be followed."""

    @property
    def generation(self) -> int:
        """Another number after every change by any process of this machine."""
        ...

    async def revision(self) -> int:
        """A number that grows with every change."""
        ...


class Follower(ABC):
    """
    Keeps something in memory as the store has it. For the tasks of one event loop.

    Args:
        source: the store that is followed.
        name: for the log.
    """

    def __init__(self, source: Followed, name: str) -> None:
        self._source = source
        self._name = name
        self._seen = -1
        self._revision = 0
        self._is_away = False
        self._turn = asyncio.Lock()

    @property
    def is_stale(self) -> bool:
        """Whether a process of this machine has changed something that is not in force here yet."""
        return self._source.generation != self._seen

    async def open(self) -> None:
        """Load for the first time. Raises what the store raises."""
        generation = self._source.generation
        self._revision = await self._load()
        self._seen = generation

    async def refresh(self) -> None:
        """
        Bring in force what has changed. Where the store does not answer, all stays as it was, and is tried again by `run`.

        Any number of requests may call it at once: one of them does the work.
        """
        async with self._turn:
            if self.is_stale:
                await self._attempt()

    async def run(self) -> None:
        """Follow the store until cancelled: for a task of the owner."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            looks += 1
            if self.is_stale or looks % _ASK_EVERY == 0:
                async with self._turn:
                    await self._attempt()
            try:
                await self._rest()
            except Exception:  # the task must outlive it, or no later change is seen
                log.exception("live.not_in_force", what=self._name)

    @abstractmethod
    async def _load(self) -> int:
        """Take over what has changed since `_revision`; the revision up to which it did."""

    async def _rest(self) -> None:  # noqa: B027  # most have nothing to do
        """What is better done between requests than in them."""

    async def _attempt(self) -> None:
        # Read first, for a change that comes meanwhile is one more change; noted last, for until then requests must wait.
        generation = self._source.generation
        try:
            async with asyncio.timeout(_PATIENCE_S):
                revision = await self._source.revision()
            if revision != self._revision:
                self._revision = await self._load()
        except Exception as error:  # whatever a store's driver raises, later changes must be seen
            if not self._is_away:
                log.warning("live.store_away", what=self._name, error=type(error).__name__)
            self._is_away = True
        else:
            if self._is_away:
                log.info("live.store_back", what=self._name)
            self._is_away = False
        self._seen = generation  # not where it was cancelled: then the next one tries
