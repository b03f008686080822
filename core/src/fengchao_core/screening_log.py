"""
A screening that tells the log which characters were hit: for operators who tune their words, and said so.

`[sensitive] log_text` is the setting. Nothing here runs without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from typing_extensions import override

from fengchao_core.logs import Log
from fengchao_core.screening import CleanTexts, Screening
from fengchao_core.sensitive import Hit, StreamScreen
from fengchao_core.telemetry import Telemetry
from fengchao_core.types import Delta

log = Log()

_MOST_TOLD: Final = 20


class LoggedScreening(Screening):
    """As `Screening`, and remembers each text, so that it can say what a hit was."""

    __slots__ = ("_current", "_texts")

    def __init__(self, known: CleanTexts, *, replace: bool, telemetry: Telemetry) -> None:
        super().__init__(known, replace=replace, telemetry=telemetry)
        self._texts: dict[tuple[int, str, int], str] = {}
        self._current = ""

    @override
    def input(self, text: str) -> str:
        self._current = text
        return super().input(text)

    @override
    def _screen_piece(self, screen: StreamScreen, delta: Delta) -> Hit | None:
        self._remember((delta.index, "text", 0), delta.text)
        return super()._screen_piece(screen, delta)

    @override
    def _feed(self, place: tuple[int, str, int], text: str, ends: bool) -> tuple[str, Hit | None]:
        self._remember(place, text)
        return super()._feed(place, text, ends)

    @override
    def _screen_text(self, text: str) -> tuple[str, Hit | None]:
        self._current = text
        return super()._screen_text(text)

    @override
    def _count(self, hits: Sequence[Hit], direction: Literal["input", "output"]) -> None:
        super()._count(hits, direction)
        for hit in hits[:_MOST_TOLD]:
            log.info(
                "sensitive.text",
                category=hit.category,
                direction=direction,
                text=self._current[hit.start : hit.end],
            )

    def _remember(self, place: tuple[int, str, int], text: str) -> None:
        self._current = self._texts[place] = self._texts.get(place, "") + text
