"""
Folding: a text as words are looked for in it, and the way back to the characters it came from.

A text folds to an *aligned* text of the same length, in which every character is its canonical symbol or a placeholder;
without the placeholders it is the *skeleton* that is searched. Positions therefore stay countable: the n-th symbol of the
skeleton is the n-th character of the aligned text that is no placeholder. All of it is a table look-up and a few
searches in C; positions are counted only when there is something to tell about.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import compress
from typing import Final

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive.characters import MARK, PLACEHOLDERS, REPEAT
from fengchao_core.sensitive.table import Table

_PLACEHOLDER_BYTES = "".join(PLACEHOLDERS).encode()
_IS_SYMBOL = bytes(chr(code) not in PLACEHOLDERS for code in range(256))

ATTACHED: Final = frozenset((MARK, REPEAT))
"""Placeholders that belong to the symbol before them."""

_VOICED = re.compile("([^\u3099\u309a]?)[\u3099\u309a]")
# Kana, plain, circled, squared and of half width.
_KANA = (
    *range(0x3041, 0x3100),
    *range(0x32D0, 0x3358),
    *range(0xFF66, 0xFF9E),
    *range(0x1F200, 0x1F220),
)
VOICEABLE: Final = frozenset(
    chr(code)
    for code in _KANA
    for kana in [unicodedata.normalize("NFKC", chr(code))[-1]]
    if any(len(unicodedata.normalize("NFC", kana + mark)) == 1 for mark in "\u3099\u309a")
)
"""Characters that a voice mark after them turns into others."""


@dataclass(frozen=True, slots=True)
class Folding:
    """
    Which disguises are seen through. Words fold the same way as texts, so a word always finds itself.

    Attributes:
        forms: letter case, full and half width, NFKC, accents. (Korean in single jamo is not put together.)
        traditional: traditional characters count as their simplified ones.
        digits: ①, 一, 壹, １ count as 1.
        symbols: spaces, punctuation, symbols and invisible characters between the characters of a word are looked past.
        repeats: a character written several times in a row counts as once (but a word's own repeats must be there).
        pinyin: a word is also found written in pinyin, wholly or in part; needs the `pypinyin` package.
        gap: how many characters may follow a character of a word before the word's next one, all kinds together.
    """

    forms: bool = True
    traditional: bool = True
    digits: bool = True
    symbols: bool = True
    repeats: bool = True
    pinyin: bool = False
    gap: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.gap <= 64:
            raise SettingsError(f"sensitive words: gap is {self.gap}; it must be from 0 to 64")


class Folded:
    """
    A folded text. What only hits need is worked out when it is asked for: nearly every text has none.

    Args:
        folder: what folded it.
        text: the text.
        spread: every character's symbols or placeholder, in a row.
        skeleton: the symbols alone, each that is written several times in a row counted once.
        has_repeats: whether one is.

    Attributes:
        skeleton: as given.
        has_repeats: as given.
        is_plain: whether the skeleton is the text, character by character.
    """

    __slots__ = (
        "_aligned",
        "_at",
        "_folder",
        "_is_uneven",
        "_owners",
        "_spread",
        "_text",
        "has_repeats",
        "is_plain",
        "skeleton",
    )

    def __init__(
        self,
        folder: Folder,
        text: str,
        spread: str,
        skeleton: str,
        has_repeats: bool,  # noqa: FBT001  # hot
    ) -> None:
        self.skeleton = skeleton
        self.has_repeats = has_repeats
        self._is_uneven = len(spread) != len(text)
        self.is_plain = len(skeleton) == len(spread) and not self._is_uneven
        self._folder = folder
        self._text = text
        self._spread = spread
        self._aligned: str | None = None
        self._owners: list[int] | None = None
        self._at: list[int] | None = None

    @property
    def aligned(self) -> str:
        """One character per character of the text (more where one folds to several symbols)."""
        if self._aligned is None:
            self._aligned = self._folder.mark_repeats(self._spread)
        return self._aligned

    @property
    def at(self) -> list[int]:
        """Where each symbol of the skeleton stands in the aligned text."""
        if self._at is None:
            # Characters of one byte each, so that which are symbols is told for all at once; "?" is one, as what it stands for.
            bytewise = self.aligned.encode("latin-1", "replace").translate(_IS_SYMBOL)
            self._at = list(compress(range(len(bytewise)), bytewise))
        return self._at

    @property
    def owners(self) -> list[int]:
        """Which character of the text each place of the aligned text came from."""
        if self._owners is None:
            self._owners = self._folder.owners(self._text)
        return self._owners

    def origin(self, place: int) -> int:
        """The character of the text that a place of the aligned text came from."""
        return self.owners[place] if self._is_uneven else place

    def span(self, start: int, end: int, gap: int) -> tuple[int, int]:
        """The stretch of the aligned text from one symbol to another, with what belongs to the last, at most `gap`."""
        if self.is_plain:
            return start, end
        at, aligned = self.at, self.aligned
        high = at[end - 1] + 1
        limit = min(high + gap, len(aligned))
        while high < limit and aligned[high] in ATTACHED:
            high += 1
        return at[start], high

    def place(self, symbol: int) -> int:
        """The character of the text that a symbol came from."""
        return symbol if self.is_plain else self.origin(self.at[symbol])

    def characters(self, start: int, end: int) -> int:
        """How many characters of the text the symbols from one to another came from."""
        return len({self.origin(place) for place in self.at[start:end]})

    def symbols_of(self, text: str, start: int = 0, end: int | None = None) -> str:
        """The characters of the text that the symbols from one to another came from, as they were written."""
        return "".join(text[self.origin(place)] for place in self.at[start:end])

    def is_whole(self, start: int, end: int) -> bool:
        """Whether a stretch of the aligned text covers whole characters of the text."""
        if not self._is_uneven:
            return True
        owners = self.owners
        return (start == 0 or owners[start - 1] != owners[start]) and (
            end == len(owners) or owners[end - 1] != owners[end]
        )


class Folder:
    """
    Folds texts. May be used by several threads at once.

    Args:
        folding: which disguises to see through.

    Raises:
        SettingsError: pinyin is asked for and `pypinyin` is not installed.

    Example:
        >>> Folder(Folding()).fold("Ｂａｄ－詞").skeleton
        'bad词'
    """

    __slots__ = ("_repeated", "_table", "folding", "long_gap")

    def __init__(self, folding: Folding) -> None:
        self.folding = folding
        self._table = Table(folding)
        self._repeated = _repeated(folding.gap if folding.repeats else 0)
        self.long_gap = re.compile(rf"[\0-\5]{{{folding.gap + 1},}}")

    def fold(self, text: str) -> Folded:
        """Fold a text. Cheap enough for the event loop up to some ten thousand characters."""
        spread = self._table.spread(text)
        # Symbols are letters and digits almost always; placeholders never are.
        is_bare = spread.isalnum()
        if not is_bare and ("\u3099" in spread or "\u309a" in spread):
            spread = _VOICED.sub(_compose, spread)
        # A piece for what stands between, one for each symbol that is repeated: its further copies are gone.
        pieces = self._repeated.split(spread)
        has_repeats = len(pieces) > 1
        skeleton = "".join(pieces) if has_repeats else spread
        if not is_bare:
            # The quickest way to leave characters out, by far.
            skeleton = skeleton.encode().translate(None, _PLACEHOLDER_BYTES).decode()
        return Folded(self, text, spread, skeleton, has_repeats)

    def mark_repeats(self, spread: str) -> str:
        """Write `REPEAT` for further copies of a symbol, up to as many as `gap`; then the count begins anew."""
        return self._repeated.sub(lambda match: match[1] + REPEAT * (len(match[0]) - 1), spread)

    def owners(self, text: str) -> list[int]:
        """The place of every character of a text, as often as what it folds to has symbols or placeholders."""
        spread = self._table.spread
        return [place for place, char in enumerate(text) for _ in spread(char)]


def _repeated(most: int) -> re.Pattern[str]:
    """
    Finds a symbol that is written several times in a row, and at most so many of its further copies.

    A symbol is no placeholder, and here no digit: 1001 is not 101. That is asked last, for hardly any two neighbours are alike:
    it halves the time.
    """
    return re.compile(rf"(.)\1(?<![\0-9])\1{{0,{most - 1}}}" if most else "(?!)", re.DOTALL)


def _compose(match: re.Match[str]) -> str:
    """A kana and its voice mark become one symbol; a stray mark is looked past."""
    composed = unicodedata.normalize("NFC", match[0])
    return (composed if match[1] and len(composed) == 1 else match[1]) + MARK
