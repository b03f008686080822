"""
The time limits of a call, put around each step of the provider's stream, on the consumer's side.

A generator never yields inside a time limit (PEP 789), so the limit is around each `anext()`.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self

from fengchao_core.errors import ProviderTimeout
from fengchao_core.provider import Limits

Phase = Literal["first delta", "idle", "total"]

_NEVER = float("inf")


class Deadlines:
    """
    The deadlines of all calls of one loop.

    One timer serves them all, set for the step that is due first: most steps end long before, so that most calls never
    touch a timer. A timer of its own for each call, let alone `asyncio.timeout` around each step, costs more than all else
    here, and a stream has a step per token.
    """

    __slots__ = ("_limits", "_loop", "_rings_at", "_timer", "_under_way")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Asked for once: until Python 3.12 each asking is a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = _NEVER

    def begin(self) -> Deadline:
        """The time that a call has which begins now. `stop()` it when the call is over."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        deadline = Deadline(self, self._limits, self._loop)
        self._under_way.add(deadline)
        return deadline

    def close(self) -> None:
        """Forget the timer. Call once no call is under way."""
        self._set(_NEVER)

    def watch(self, due: float) -> None:
        """See to it that the timer rings by an instant of the loop's clock."""
        if due < self._rings_at:
            self._set(due)

    def forget(self, deadline: Deadline) -> None:
        """Its call is over."""
        self._under_way.discard(deadline)

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at, self._timer = due, None
        if due < _NEVER and self._loop is not None:
            self._timer = self._loop.call_at(due, self._ring, self._loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._rings_at = None, _NEVER
        now, next_due = loop.time(), _NEVER
        for deadline in tuple(self._under_way):
            next_due = min(next_due, deadline.ring(now))
        self._set(next_due)


class Deadline:
    """
    The time one call has left; its retries share the total.

    Each step of its stream goes inside a `with`:

        with deadline.step(first=True):
            batch = await anext(source, None)

    The `with` raises `ProviderTimeout` where a limit passed; the source was cancelled then and has closed its connection.
    """

    __slots__ = (
        "_all",
        "_cancels_before",
        "_due",
        "_end",
        "_is_late",
        "_limit",
        "_limits",
        "_loop",
        "_phase",
        "_task",
    )

    def __init__(self, all_: Deadlines, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._all = all_
        self._limits = limits
        self._loop = loop
        self._end = self._loop.time() + limits.total_s
        self._task: asyncio.Task[object] | None = None
        self._is_late = False

    @property
    def remaining_s(self) -> float:
        """Seconds of the total that are left; never negative."""
        return max(0.0, self._end - self._loop.time())

    def step(self, *, first: bool) -> Self:
        """
        A step begins, in the task that runs now.

        Args:
            first: whether nothing has come yet, so that the limit of the first delta holds.
        """
        limits = self._limits
        if first:
            self._phase: Phase = "first delta"
            self._limit = limits.first_delta_s
        else:
            self._phase = "idle"
            self._limit = limits.idle_s
        loop = self._loop
        due = loop.time() + self._limit
        if self._end < due:
            self._phase, self._limit, due = "total", limits.total_s, self._end
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline is for tasks; run the call in one")
        self._due = due
        self._cancels_before = task.cancelling()
        self._task = task
        self._all.watch(due)
        return self

    def ring(self, now: float) -> float:
        """Cancel the step where it is late. Returns when it is due; infinite where no step is to be waited for."""
        if self._task is None or self._is_late:
            return _NEVER
        if now < self._due:
            return self._due
        self._is_late = True
        self._task.cancel()
        return _NEVER

    def stop(self) -> None:
        """The call is over."""
        self._all.forget(self)

    def __enter__(self) -> None:
        """The step has begun already."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._is_late or task is None:
            return
        self._is_late = False
        # Where somebody else wants the task cancelled as well, that goes before. And a step may have ended, or failed in
        # its own way, just as the timer rang.
        is_ours_alone = task.uncancel() <= self._cancels_before
        if is_ours_alone and isinstance(error, asyncio.CancelledError):
            raise ProviderTimeout(self._phase, self._limit) from error
