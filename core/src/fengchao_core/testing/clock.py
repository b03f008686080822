"""Time that a test holds in its hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_START = datetime(2024, 4, 5, 19, 34, 38, tzinfo=UTC)


class FakeClock:
    """
    A clock that stands still until a test moves it. It keeps to the `Clock` protocol.

    Args:
        start: the first instant, aware; an arbitrary day of 2024 where not given.

    Example:
        ```python
        clock = FakeClock()
        tokens = TokenManager(fetch, clock=clock)
        clock.advance(1800)
        ```
    """

    def __init__(self, start: datetime = _START) -> None:
        if start.tzinfo is None:
            raise ValueError("the start must be an aware datetime, with a time zone")
        self._now = start.astimezone(UTC)
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """The wall clock: an aware UTC instant."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never running backwards."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks. Raises `ValueError` for a negative time."""
        if seconds < 0:
            raise ValueError("time does not run backwards; use set_now for a wall clock that jumps")
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_now(self, now: datetime) -> None:
        """Put the wall clock right, forwards or backwards, as an operator would; the other clock runs on."""
        self._now = now.astimezone(UTC)
