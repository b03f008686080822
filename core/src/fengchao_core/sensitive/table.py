"""What every character folds to under one folding, looked up for a whole text at once."""

from __future__ import annotations

import importlib
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive.characters import (
    INVISIBLE,
    MARK,
    PLACEHOLDERS,
    fold_digits,
    fold_form,
    kind,
    load_simplified,
)

if TYPE_CHECKING:
    from fengchao_core.sensitive.folding import Folding

_FIRST_PLANE = 0x10000
_FURTHER = re.compile("[\U00010000-\U0010ffff]")
# Only the first two planes are remembered: a text of a million different code points must not fill the memory.
_REMEMBERED = 0x20000
_UNMET: Final = "\ud800"
"""Stands in a table for what was not met yet. Half a surrogate pair: no character folds to one."""
_IDEOGRAPHIC = range(0x20000, 0x40000)
_COMPATIBILITY = range(0x2F800, 0x2FA20)


class Table:
    """What every character folds to; it fills itself as characters are met."""

    __slots__ = ("_folding", "_further", "_near", "_reading", "_simplified")

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        self._simplified = load_simplified() if folding.traditional else {}
        self._reading = _reader() if folding.pinyin else None
        # The first plane. `str.translate` finds its way in a list twice as fast as in a dict with `__missing__`, and touches
        # less memory; what lies beyond the list it leaves as it is.
        self._near = [_UNMET] * _FIRST_PLANE
        self._further: dict[str, str] = {}

    def spread(self, text: str) -> str:
        """What every character of a text folds to, in a row."""
        spread = text.translate(self._near)
        if _UNMET in spread:
            for char in set(text):
                code = ord(char)
                if code < _FIRST_PLANE and self._near[code] is _UNMET:
                    self._near[code] = self._fold(char)
            spread = text.translate(self._near)
        if spread.isascii() or _FURTHER.search(spread) is None:
            return spread
        # What a character of the first plane folds to may lie beyond it, but then that folds to itself.
        return _FURTHER.sub(self._fold_further, spread)

    def _fold_further(self, match: re.Match[str]) -> str:
        """As `_fold`, beyond the first plane."""
        char = match[0]
        folded = self._further.get(char)
        if folded is not None:
            return folded
        code = ord(char)
        if code in _IDEOGRAPHIC and code not in _COMPATIBILITY:
            return self._simplified.get(char, char)
        folded = self._fold(char)
        if code < _REMEMBERED:
            self._further[char] = folded
        return folded

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
