"""
All readings of a lexicon over one text.

Each reading has its scan; here what they find is brought into one order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fengchao_core.sensitive.scan import Found, Look, Reading, Scan
from fengchao_core.sensitive.words import ACTIONS

_NONE: Sequence[Found] = ()


def open_search(readings: Sequence[Reading]) -> Search | Scan:
    """What searches one text. A single scan of a single tier tells its hits in order and none twice: it is enough."""
    if len(readings) == 1 and len(readings[0].tiers) == 1:
        return Scan(readings[0])
    return Search(readings)


class Search:
    """
    Searches a text that arrives in pieces, in every reading. One text, one search, one thread at a time.

    Attributes:
        settled: how many characters of the text are decided: all hits that start before have been told.
    """

    __slots__ = ("_scans", "_waiting", "settled")

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._scans = [Scan(reading) for reading in readings]
        self._waiting: list[Found] = []
        self.settled = 0

    def advance(
        self, piece: str, *, final: bool = False, looks: Sequence[Look] = ()
    ) -> Sequence[Found]:
        """
        Take the next piece.

        Args:
            final: the text ends with it.
            looks: a look at the piece in each reading, where it is the whole text and they were taken already.

        Returns:
            The hits that start in what became settled, by place. What stands at the very same place twice is told once, with
            the stricter action.
        """
        for place, scan in enumerate(self._scans):
            self._waiting += scan.advance(piece, final=final, looks=looks[place : place + 1])
        self.settled = settled = min(scan.settled for scan in self._scans)
        if not self._waiting:
            return _NONE
        self._waiting.sort(key=_rank)
        ready: list[Found] = []
        for place, one in enumerate(self._waiting):
            if one.start >= settled and not final:
                self._waiting = self._waiting[place:]
                return ready
            if not ready or ready[-1][:2] != one[:2]:
                ready.append(one)
        self._waiting = []
        return ready


def _rank(found: Found) -> tuple[int, int, int]:
    return found.start, -found.end, ACTIONS.index(found.action)
