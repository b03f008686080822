"""
One character: what it counts as when words are looked for.

Every character folds either to one or more *symbols* (the letters, digits and ideographs that words are made of, in one
canonical form) or to one *placeholder* that says why it is looked past. The rule needs no neighbours, so a text folds in
one table look-up per character, whole or in pieces. What does need neighbours (repeats, gaps) is decided on the
placeholders, in `folding` and `matching`.
"""

from __future__ import annotations

import re
import unicodedata
from importlib import resources
from typing import Final

# Placeholders are control characters, which no symbol can be: user text that holds them folds to INVISIBLE.
INVISIBLE: Final = "\x00"
"""Zero-width, control, format, unassigned and private characters, lone surrogates."""
MARK: Final = "\x01"
"""A combining mark that only decorates; it belongs to the character before it."""
REPEAT: Final = "\x02"
"""A further copy of the character before it."""
SYMBOL: Final = "\x03"
"""A symbol that people put between letters to hide a word: `*`, `|`, `~`, an emoji."""
PLAIN: Final = "\x04"
"""A space, or punctuation that stands between letters in ordinary text and code too."""
STOP: Final = "\x05"
"""Punctuation between clauses, or the end of a line."""

PLACEHOLDERS: Final = (INVISIBLE, MARK, REPEAT, SYMBOL, PLAIN, STOP)

_STOPS = frozenset("，。！？；：、…,!?;:\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_DECORATION = frozenset("*#@%·•‧∙・･†‡※‣")
_CODE_SIGNS = frozenset("<>=`")
# Letters by Unicode's own category that nobody can see.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
_SPACES = frozenset("\t ")

# Marks that decorate any script. Vowel signs of Indic, Thai and other scripts are letters to their readers and stay.
_DECORATING = (
    (0x0300, 0x036F),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F),
    (0xE0100, 0xE01EF),
)

_DIGITS = {
    form: str(value)
    for value, forms in enumerate(
        ("〇零", "一壹弌", "二贰弍", "三叁弎", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
    )
    for form in forms
}

# Letters in a dress that NFKC does not take off.
_DRESSED = re.compile(
    r"(?:NEGATIVE (?:CIRCLED|SQUARED)|CROSSED NEGATIVE SQUARED|REGIONAL INDICATOR SYMBOL)"
    r" (?:LATIN CAPITAL )?LETTER ([A-Z])|LATIN LETTER SMALL CAPITAL ([A-Z])"
)


def load_simplified() -> dict[str, str]:
    """The single-character table from traditional to simplified (origin and licence stand at its head)."""
    data = resources.files(__package__).joinpath("data/traditional.txt").read_text("utf-8")
    return {line[0]: line[1] for line in data.splitlines() if not line.startswith("#")}


def fold_form(char: str) -> str:
    """
    Width, letter case, compatibility forms, accents: gone.

    Example:
        >>> fold_form("Ａ"), fold_form("É"), fold_form("㎏"), fold_form("🅰")
        ('a', 'e', 'kg', 'a')
    """
    dressed = _DRESSED.fullmatch(unicodedata.name(char, ""))
    if dressed is not None:
        return (dressed[1] or dressed[2]).lower()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
    return "".join(map(_without_accent, folded)) or char


def fold_digits(char: str) -> str:
    """
    A digit in any dress is the ASCII digit; a circled ten is two of them.

    Example:
        >>> fold_digits("①"), fold_digits("❿"), fold_digits("壹"), fold_digits("٣"), fold_digits("十")
        ('1', '10', '1', '3', '十')
    """
    if char in _DIGITS:
        return _DIGITS[char]
    if not "0" <= char <= "9" and unicodedata.category(char) in {"No", "Nd"}:
        value = unicodedata.numeric(char, 0.5)
        if value == int(value):
            return str(int(value))
    return char


def kind(char: str) -> str:
    """
    The placeholder that a character is looked past as, or the empty text for a symbol.

    Example:
        >>> [kind(c) for c in "词*，"] == ["", SYMBOL, STOP]
        True
    """
    if char in _STOPS:
        return STOP
    if char in _SPACES:
        return PLAIN
    category = unicodedata.category(char)
    if category[0] == "C" or char in _FILLERS:
        return INVISIBLE
    if category[0] == "Z":
        return PLAIN
    if category[0] == "P":
        return SYMBOL if char in _DECORATION else PLAIN
    if category[0] == "S":
        return PLAIN if char in _CODE_SIGNS else SYMBOL
    if category[0] == "M" and _is_decoration(char):
        return MARK
    return ""


def _without_accent(char: str) -> str:
    """A letter without its marks, so that it is the same composed and decomposed. Kana and Korean stay composed."""
    if "\u3040" <= char <= "\u30ff" or "\uac00" <= char <= "\ud7a3":
        return char
    return "".join(part for part in unicodedata.normalize("NFD", char) if not _is_decoration(part))


def _is_decoration(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in _DECORATING)
