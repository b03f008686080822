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
    """
    The time one call has left. Made by the task that runs the call, when it starts; its retries share the total.

    One timer serves all steps of a call: a step only says when it is due, and the timer, when it rings early, sets itself
    anew. `asyncio.timeout` around each step would cost three times as much, and a stream has a step per token.

    Call `stop()` when the call is over.
    """

    __slots__ = ("_due", "_end", "_is_late", "_limits", "_loop", "_timer", "_waiting")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + limits.total_s
        self._due = self._end
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._is_late = False

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
        limit = self._limits.first_delta_s if first else self._limits.idle_s
        due = self._loop.time() + limit
        if self._end < due:
            phase, limit, due = "total", self._limits.total_s, self._end
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for tasks; run the call in one")
        asked_before = task.cancelling()
        self._wait(task, due)
        try:
            return await anext(source, None)
        except asyncio.CancelledError as error:
            # Ours, unless somebody else wants the task cancelled as well: then that goes before.
            if self._is_late and task.uncancel() <= asked_before:
                self._is_late = False
                raise ProviderTimeout(phase, limit) from error
            raise
        finally:
            self._waiting = None
            if self._is_late:  # the step ended, or failed, just as the timer rang
                self._is_late = False
                task.uncancel()

    def stop(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, task: asyncio.Task[object], due: float) -> None:
        self._waiting = task
        self._due = due
        timer = self._timer
        if timer is None or due < timer.when():
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._ring)
            return
        self._is_late = True
        self._waiting.cancel()
