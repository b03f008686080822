"""Time as a value one is given, so that tests can hold it still."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the time is."""

    def now(self) -> datetime:
        """The wall clock: an aware UTC instant."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never running backwards."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The wall clock: an aware UTC instant."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never running backwards."""
        return time.monotonic()
