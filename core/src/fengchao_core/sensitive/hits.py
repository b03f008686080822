"""
What screening a text tells: where the sensitive words are, and what may be said instead.

A hit never holds the word, so it may be logged, counted and answered with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Final, Literal

from fengchao_core.errors import SensitiveContent
from fengchao_core.sensitive.words import Action

STAR = "*"

MOST_TOLD: Final = 100_000
"""The most hits that one text's screening lists. All are starred; but a million objects would weigh on everybody."""


@dataclass(frozen=True, slots=True)
class Hit:
    """
    A sensitive word in a text: where and of which category, never the word.

    Attributes:
        start: first character of the hit in the original text, invisible and looked-past ones counted.
        end: one past its last character.
        category: the category of its word list.
        action: what its word list says is to happen.
    """

    start: int
    end: int
    category: str
    action: Action

    def refusal(self, direction: Literal["input", "output"]) -> SensitiveContent:
        """The error that ends what this hit blocks."""
        return SensitiveContent(self.category, direction=direction, start=self.start, end=self.end)

    def is_starred(self, *, replace: bool) -> bool:
        """Whether its characters are replaced; `replace` as in `Lexicon.screen`."""
        return self.action == "replace" or (replace and self.action == "block")


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why there is a hit. For those who keep the word lists only: never for an answer or a log.

    Attributes:
        word: the word as its list has it.
        note: the list's remark on it.
    """

    hit: Hit
    word: str
    note: str


@dataclass(frozen=True, slots=True)
class Screened:
    """
    A screened text.

    Attributes:
        text: the text, with the characters of hits that are to be replaced as `*`.
        hits: every hit, by place, up to `MOST_TOLD`; hits of different actions may overlap.
        blocked: the first hit that forbids the text, or None.
    """

    text: str
    hits: tuple[Hit, ...] = ()
    blocked: Hit | None = None


def star(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """
    Replace stretches of a text by as many stars as they have characters.

    Args:
        spans: (start, end), sorted by start; they may overlap and reach beyond the text.
    """
    out = StringIO()
    at = 0
    for start, end in spans:
        low, high = max(start, at), min(end, len(text))
        if low < high:
            out.write(text[at:low])
            out.write(STAR * (high - low))
            at = high
    if not at:
        return text
    out.write(text[at:])
    return out.getvalue()
