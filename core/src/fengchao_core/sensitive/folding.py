"""
Folding: a text as words are looked for in it, and the way back to the characters it came from.

A text folds to an *aligned* text of the same length, in which every character is its canonical symbol or a placeholder;
without the placeholders it is the *skeleton* that is searched. Positions therefore stay countable: the n-th symbol of the
skeleton is the n-th character of the aligned text that is no placeholder. All of it is a table look-up and a few
searches in C; positions are counted only when there is something to tell about.
"""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive.characters import (
    INVISIBLE,
    MARK,
    PLACEHOLDERS,
    REPEAT,
    fold_digits,
    fold_form,
    kind,
    load_simplified,
)

ATTACHED: Final = frozenset((MARK, REPEAT))
"""Placeholders that belong to the symbol before them."""

_VOICED = re.compile("(.?)([\u3099\u309a])", re.DOTALL)
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

# Only these two planes are remembered in a table: a text of a million different code points must not fill the memory.
_REMEMBERED = 0x20000
_TWICE = re.compile(r"([^\0-9])\1")
"""A symbol written twice. Not a placeholder, and not a digit: 1001 is not 101."""
_IDEOGRAPHIC = range(0x20000, 0x40000)
_COMPATIBILITY = range(0x2F800, 0x2FA20)


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
    A folded text.

    Attributes:
        aligned: one character per character of the text (more where one folds to several symbols).
        skeleton: the symbols alone.
        is_plain: whether the skeleton is the text, character by character.
        has_repeats: whether a symbol of it was written several times in a row.
    """

    __slots__ = ("_at", "_owners", "aligned", "has_repeats", "is_plain", "skeleton")

    def __init__(
        self,
        aligned: str,
        skeleton: str,
        owners: list[int] | None = None,
        *,
        has_repeats: bool = False,
    ) -> None:
        self.aligned = aligned
        self.skeleton = skeleton
        self.is_plain = owners is None and len(skeleton) == len(aligned)
        self.has_repeats = has_repeats
        self._owners = owners
        self._at: list[int] | None = None

    @property
    def at(self) -> list[int]:
        """Where each symbol of the skeleton stands in the aligned text."""
        if self._at is None:
            self._at = [place for place, char in enumerate(self.aligned) if char > "\x05"]
        return self._at

    def origin(self, place: int) -> int:
        """The character of the text that a place of the aligned text came from."""
        return place if self._owners is None else self._owners[place]

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
        owners = self._owners
        return owners is None or (
            (start == 0 or owners[start - 1] != owners[start])
            and (end == len(owners) or owners[end - 1] != owners[end])
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

    __slots__ = ("_most_repeats", "_table", "folding", "long_gap")

    def __init__(self, folding: Folding) -> None:
        self.folding = folding
        self._table = _Table(folding)
        self._most_repeats = folding.gap if folding.repeats else 0
        self.long_gap = re.compile(rf"[\0-\5]{{{folding.gap + 1},}}")

    def fold(self, text: str) -> Folded:
        """Fold a text. Cheap enough for the event loop up to some ten thousand characters."""
        aligned = text.translate(self._table)
        # Symbols are letters and digits almost always; placeholders never are.
        is_simple = aligned.isalnum() and len(aligned) == len(text)
        if not is_simple and ("\u3099" in aligned or "\u309a" in aligned):
            aligned = _VOICED.sub(_compose, aligned)
        twice = _TWICE.search(aligned) if self._most_repeats else None
        if is_simple and twice is None:
            return Folded(aligned, aligned)
        owners = None
        if len(aligned) != len(text):
            table = self._table
            owners = [place for place, char in enumerate(text) for _ in table[ord(char)]]
        if twice is not None:
            aligned = _collapse(aligned, twice.start(), self._most_repeats)
        skeleton = aligned
        for placeholder in PLACEHOLDERS:
            skeleton = skeleton.replace(placeholder, "")
        return Folded(aligned, skeleton, owners, has_repeats=REPEAT in aligned)


class _Table(dict[int, str]):
    """What each code point folds to, for `str.translate`; it fills itself as characters are met."""

    def __init__(self, folding: Folding) -> None:
        super().__init__()
        self._folding = folding
        self._simplified = load_simplified() if folding.traditional else {}
        self._reading = _reader() if folding.pinyin else None

    def __missing__(self, code: int) -> str:
        if code < _REMEMBERED:
            folded = self[code] = self._fold(chr(code))
            return folded
        if code in _COMPATIBILITY or code not in _IDEOGRAPHIC:
            return self._fold(chr(code))
        return self._simplified.get(chr(code), chr(code))

    def _fold(self, char: str) -> str:
        """Never empty: a character without a symbol in it folds to its placeholder."""
        folding = self._folding
        if char in PLACEHOLDERS or unicodedata.category(char) == "Cs":
            return INVISIBLE
        parts = fold_form(char) if folding.forms else char
        if folding.traditional:
            parts = "".join(self._simplified.get(part, part) for part in parts)
        if self._reading is not None:
            parts = "".join(map(self._reading, parts))
        if folding.digits:
            parts = "".join(map(fold_digits, parts))
        return "".join(part for part in parts if not self._placeholder(part)) or (
            self._placeholder(char) or INVISIBLE
        )

    def _placeholder(self, char: str) -> str:
        placeholder = kind(char)
        if self._folding.symbols or placeholder in {INVISIBLE, MARK}:
            return placeholder
        return ""


def _reader() -> Callable[[str], str]:
    """What spells an ideograph in pinyin, by its most usual reading, and leaves other characters alone."""
    try:
        lazy_pinyin = importlib.import_module("pypinyin").lazy_pinyin
    except ImportError as error:
        raise SettingsError(
            "sensitive words: pinyin is switched on, but the package pypinyin is not installed; "
            "install it (pip install pypinyin) or switch pinyin off"
        ) from error

    def spell(char: str) -> str:
        spelled = str(lazy_pinyin(char)[0])
        return spelled if spelled.isascii() and spelled.isalpha() else char

    return spell


def _compose(match: re.Match[str]) -> str:
    """A kana and its voice mark become one symbol; a stray mark is looked past."""
    composed = unicodedata.normalize("NFC", match[0])
    return (composed if match[1] and len(composed) == 1 else match[1]) + MARK


def _collapse(aligned: str, first: int, most: int) -> str:
    """
    Mark further copies of a symbol, up to `most`, as repeats; then the count begins anew.

    `first` is where the first copy of anything stands, or before it.
    """
    pieces: list[str] = []
    at = 0
    twice = _TWICE.search(aligned, first)
    while twice is not None:
        start = twice.start()
        symbol = aligned[start]
        end = start + 2
        limit = min(start + 1 + most, len(aligned))
        while end < limit and aligned[end] == symbol:
            end += 1
        pieces += (aligned[at : start + 1], REPEAT * (end - start - 1))
        at = end
        twice = _TWICE.search(aligned, end)
    return "".join((*pieces, aligned[at:]))
