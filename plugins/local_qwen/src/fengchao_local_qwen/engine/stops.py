"""Texts that end an answer."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """
    Lets text through up to the first stop text, which is not part of the answer.

    What may be the beginning of a stop text is held back until the next text tells; any split gives the same.
    """

    __slots__ = ("_held", "_stops", "is_hit")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.is_hit = False

    def feed(self, text: str) -> str:
        """The text that is certain by now."""
        if not self._stops or not text or self.is_hit:
            return "" if self.is_hit else text
        held = self._held + text
        cut = min((at for stop in self._stops if (at := held.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self.is_hit = True
            self._held = ""
            return held[:cut]
        keep = max(_overlap(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def close(self) -> str:
        """What was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin the stop text."""
    return next(
        (n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0
    )
