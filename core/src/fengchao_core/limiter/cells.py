"""
The numbers that limits are counted in: for one process, plain integers.

Every counter is a row of whole numbers in one table, found by its name once and by its place from then on. `shared.py`
keeps the same table where several processes see it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, MutableSequence
from typing import Final, Protocol

ROW: Final = 3
"""Numbers in a row of the table."""

MARK, SPENT, HELD = range(ROW)
"""
What they are: the instant until which a rate is used up (nanoseconds) or the beginning of a budget's period (seconds);
what was spent in it (1e-9 of the currency); and what requests under way hold back.
"""


class Cells(Protocol):
    """
    A table of counters.

    Attributes:
        table: [counters × ROW]; a counter's row begins at its place.
        held: [counters]: what this process's own requests hold back of each `HELD`, at its place divided by `ROW`.
    """

    table: MutableSequence[int]
    held: MutableSequence[int]

    def place(self, name: str) -> int:
        """Where the row of a counter begins; a new one is all zero. Not to be called while the table is held."""
        ...

    def names(self) -> Iterator[tuple[str, int]]:
        """The counters that this process has asked for, and their places."""
        ...

    def take(self) -> None:
        """Hold the table, so that nobody else changes it."""
        ...

    def give(self) -> None:
        """Let go of it."""
        ...

    def sweep(self) -> int:
        """Give back what processes that died held. Returns how many there were."""
        ...

    def close(self) -> None:
        """Give back everything that this process holds."""
        ...


class LocalCells:
    """Counters of one process: nothing else runs between two of its steps, so nobody has to wait."""

    def __init__(self) -> None:
        self.table: MutableSequence[int] = array("q")
        self.held: MutableSequence[int] = array("q")
        self._places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """Where the row of a counter begins."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self.table)
            self.table.extend((0,) * ROW)
            self.held.append(0)
        return place

    def names(self) -> Iterator[tuple[str, int]]:
        """The counters, and their places."""
        return iter(tuple(self._places.items()))

    def take(self) -> None:
        """Nobody else is there."""

    def give(self) -> None:
        """Nobody else is there."""

    def sweep(self) -> int:
        """No other process is there to die."""
        return 0

    def close(self) -> None:
        """It ends with its process."""
