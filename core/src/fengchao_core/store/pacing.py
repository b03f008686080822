"""How fast somebody may try: the first attempts are free, each further one waits twice as long as the one before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WINDOW = timedelta(hours=1)
"""Attempts are forgotten when none has come for so long."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many attempts there were in a row, and when the last one was."""

    count: int = 0
    last: datetime = _NEVER

    def is_old(self, now: datetime) -> bool:
        """Whether they are forgotten."""
        return now - self.last >= WINDOW


@dataclass(frozen=True, slots=True)
class Pace:
    """
    A limit on attempts.

    Attributes:
        free: attempts that need not wait.
        longest_s: the longest that one waits, at most `WINDOW`. The first wait is a second.
    """

    free: int
    longest_s: float

    def wait_s(self, attempts: Attempts, now: datetime) -> float:
        """Seconds until the next attempt is let through; 0: now."""
        if attempts.count < self.free or attempts.is_old(now):
            return 0.0
        pause = min(2.0 ** min(attempts.count - self.free, 32), self.longest_s)
        return max(0.0, pause - (now - attempts.last).total_seconds())

    def after(self, attempts: Attempts, now: datetime) -> Attempts:
        """The attempts with one more, made now."""
        return Attempts(1 if attempts.is_old(now) else attempts.count + 1, now)
