"""
The rules that decide whether a stretch of text is a word, once its symbols are there in the right order.

The automaton looks at symbols alone, so that "was so" holds "asso" to it. `Shape.fit` looks at what stood between the
symbols and at how often each was written. It sees the stretch of the match and nothing around it, so the answer is the
same however the text arrives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from fengchao_core.sensitive.characters import PLAIN, STOP, SYMBOL

LONGEST_WORD: Final = 64
"""The most symbols a word may have: what a stream may have to hold back grows with it."""

_LONG = 6
_PAIR = 2
_VISIBLE = frozenset((SYMBOL, PLAIN, STOP))
_PROSE = frozenset((PLAIN, STOP))
# A symbol, its further copies, and what else is looked past after it.
_PIECE = re.compile(r"([^\x00-\x05])(\x02*)([\x00\x01\x03-\x05]*)")


class Fit(NamedTuple):
    """
    How a stretch is a word.

    Attributes:
        front: how many characters at the front do not belong to it: copies of its first symbol.
        back: how many at the back do not.
        shared: whether its last symbol is written more often than the word needs, so that another word may begin with it.
    """

    front: int
    back: int
    shared: bool


EXACT: Final = Fit(0, 0, shared=False)

_Pieces = Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What a word's skeleton does not say.

    Attributes:
        runs: how often each symbol is written in the word.
        gaps: after which symbols the word itself has a space or a symbol.
        spelled: how many characters the word has, where it is looked for in pinyin; 0 elsewhere.
        numerals: whether the word is a number in ideographs ("五四"): plain digits are not it, for 54 is in many numbers.
    """

    runs: tuple[int, ...]
    gaps: frozenset[int] = frozenset()
    spelled: int = 0
    numerals: bool = False

    @classmethod
    def of(cls, aligned: str, *, numerals: bool = False) -> Self:
        """The shape of a word, from its aligned form."""
        pieces = _PIECE.findall(aligned)
        return cls(
            tuple(1 + len(repeats) for _, repeats, _ in pieces),
            frozenset(n for n, (_, _, rest) in enumerate(pieces[:-1]) if rest),
            numerals=numerals,
        )

    def fit(self, found: str, gap: int, *, strict: bool = False) -> Fit | None:
        """
        How an aligned stretch, from its first symbol to its last, is this word; None if it is not.

        - After a symbol at most `gap` characters are looked past.
        - A symbol is written at least as often as in the word. If a single symbol is doubled, that is chance, not disguise:
          at an end of the word the further copy belongs to the neighbour ("过敏敏感词"), a Latin letter inside makes
          another word ("good" for "god").
        - Between two Latin letters or digits, spaces and punctuation count only where the word has them too, in a word
          of six symbols or more, or where something stands after every letter ("b a d"): else every text in English and
          all code would be full of words ("was so", "args.extend").
        - A number of less than six digits is never broken ("3 * 2").
        - A word of two symbols does not reach over the punctuation between clauses ("今日，本店").

        Args:
            found: the stretch, as folded.
            gap: the bound of `Folding.gap`.
            strict: the rule for words that excuse others: none reaches over the punctuation between clauses, and all is
                written as often as in the word.
        """
        pieces = _PIECE.findall(found)
        last = len(pieces) - 1
        is_short_number = last + 1 < _LONG and all(symbol.isdigit() for symbol, _, _ in pieces)
        stretched = []
        for n, (symbol, repeats, rest) in enumerate(pieces):
            extra = 1 + len(repeats) - self.runs[n]
            if extra < 0:
                return None
            if extra:
                stretched.append((n, symbol, extra))
            if n == last or not rest:
                continue
            if len(repeats) + len(rest) > gap:
                return None
            if n in self.gaps:
                continue
            if is_short_number and not _VISIBLE.isdisjoint(rest):
                return None
            if STOP in rest and (strict or last + 1 == _PAIR):
                return None
            if (
                last + 1 < _LONG
                and symbol.isascii()
                and pieces[n + 1][0].isascii()
                and not _PROSE.isdisjoint(rest)
                and (last + 1 == _PAIR or not _is_spelled_out(pieces))
            ):
                return None
        if not stretched:
            return EXACT
        return self._stretched(pieces, stretched, strict=strict)

    def _stretched(
        self, pieces: _Pieces, stretched: list[tuple[int, str, int]], *, strict: bool
    ) -> Fit | None:
        last = len(pieces) - 1
        n, symbol, extra = stretched[-1]
        front = stretched[0][2] if stretched[0][0] == 0 and last else 0
        # The further copies of the last symbol, and the marks after them.
        back = extra + len(pieces[-1][2]) if n == last and last else 0
        shared = n == last
        if strict:
            return None if any(0 < n < last for n, _, _ in stretched) else Fit(front, back, shared)
        if len(stretched) == 1 and extra == 1:
            if 0 < n < last:
                return None if symbol.isascii() else EXACT
            return Fit(front, back, shared)
        return Fit(0, 0, shared)


ONCE: Final = tuple(Shape((1,) * symbols) for symbols in range(LONGEST_WORD + 1))
"""The shapes of words whose skeletons say all, by number of symbols."""


def unfold_repeats(aligned: str) -> str:
    """An aligned text with every repeated symbol written out."""
    return "".join(
        symbol * (1 + len(repeats)) + rest for symbol, repeats, rest in _PIECE.findall(aligned)
    )


def _is_spelled_out(pieces: _Pieces) -> bool:
    return all(not _VISIBLE.isdisjoint(rest) for _, _, rest in pieces[:-1])
