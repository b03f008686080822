"""
The time limits of a call, put around each step of the provider's stream, on the consumer's side.

A generator never yields inside `asyncio.timeout` (PEP 789), so the limit is around each `anext()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from fengchao_core.errors import ProviderTimeout
from fengchao_core.provider import Limits
from fengchao_core.types import Delta

Phase = Literal["first delta", "idle", "total"]


class Deadline:
    """The time one call has left. Made when the call starts; the retries share its total."""

    __slots__ = ("_end", "_limits", "_loop")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + limits.total_s

    @property
    def remaining_s(self) -> float:
        """Seconds of the total that are left; never negative."""
        return max(0.0, self._end - self._loop.time())

    async def pull(
        self, source: AsyncIterator[Sequence[Delta]], *, first: bool
    ) -> Sequence[Delta] | None:
        """
        The next batch, or None at the end.

        Args:
            first: whether nothing has come yet, so that the limit of the first delta holds.

        Raises:
            ProviderTimeout: a limit passed; the source was cancelled and has closed its connection.
        """
        phase: Phase = "first delta" if first else "idle"
        limit = length = self._limits.first_delta_s if first else self._limits.idle_s
        remaining = self._end - self._loop.time()
        if remaining < limit:
            phase, limit, length = "total", max(0.0, remaining), self._limits.total_s
        timeout = asyncio.timeout(limit)
        try:
            async with timeout:
                return await anext(source, None)
        except TimeoutError as error:
            if timeout.expired():
                raise ProviderTimeout(phase, length) from error
            raise
