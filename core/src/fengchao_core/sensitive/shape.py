"""
The rules that decide whether a stretch of text is a word, once its symbols are there in the right order.

The automaton looks at symbols alone, so that "was so" holds "asso" to it. `Shape.fits` looks at what stood between the
symbols and at how often each was written. It sees the stretch of the match and nothing around it, so the answer is the
same however the text arrives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from fengchao_core.sensitive.characters import PLAIN, STOP, SYMBOL

LONGEST_WORD: Final = 64
"""The most symbols a word may have: what a stream may have to hold back grows with it."""

_LONG = 6
_PAIR = 2
_VISIBLE = frozenset((SYMBOL, PLAIN, STOP))
_PROSE = frozenset((PLAIN, STOP))
# A symbol, its further copies, and what else is looked past after it.
_PIECE = re.compile(r"([^\x00-\x05])(\x02*)([\x00\x01\x03-\x05]*)")


@dataclass(frozen=True, slots=True)
class Shape:
    """
    What a word's skeleton does not say.

    Attributes:
        runs: how often each symbol is written in the word.
        gaps: after which symbols the word itself has a space or a symbol.
        spelled: how many characters the word has, where it is looked for in pinyin; 0 elsewhere.
    """

    runs: tuple[int, ...]
    gaps: frozenset[int] = frozenset()
    spelled: int = 0

    @classmethod
    def of(cls, aligned: str) -> Self:
        """The shape of a word, from its aligned form."""
        pieces = _PIECE.findall(aligned)
        return cls(
            tuple(1 + len(repeats) for _, repeats, _ in pieces),
            frozenset(n for n, (_, _, rest) in enumerate(pieces[:-1]) if rest),
        )

    def fits(self, found: str, gap: int, *, strict: bool = False) -> bool:
        """
        Whether an aligned stretch, from its first symbol to its last, is this word.

        - After a symbol at most `gap` characters are looked past.
        - A symbol is written at least as often as in the word. One Latin letter doubled inside ("good" for "god") is
          spelling, not disguise.
        - Between two Latin letters or digits, spaces and punctuation count only where the word has them too, in a word
          of six symbols or more, or where something stands after every letter ("b a d"): else every text in English and
          all code would be full of words ("was so", "args.extend").
        - A word of two symbols does not reach over the punctuation between clauses ("今日，本店").

        Args:
            found: the stretch, as folded.
            gap: the bound of `Folding.gap`.
            strict: no word reaches over the punctuation between clauses: the rule for words that excuse others.
        """
        pieces = _PIECE.findall(found)
        last = len(pieces) - 1
        stretched = []
        for n, (symbol, repeats, rest) in enumerate(pieces):
            extra = 1 + len(repeats) - self.runs[n]
            if extra < 0:
                return False
            if extra:
                stretched.append((n, symbol, extra))
            if n == last or not rest:
                continue
            if len(repeats) + len(rest) > gap:
                return False
            if n in self.gaps:
                continue
            if STOP in rest and (strict or last + 1 == _PAIR):
                return False
            if (
                last + 1 < _LONG
                and symbol.isascii()
                and pieces[n + 1][0].isascii()
                and not _PROSE.isdisjoint(rest)
                and (last + 1 == _PAIR or not _is_spelled_out(pieces))
            ):
                return False
        if len(stretched) == 1:
            n, symbol, extra = stretched[0]
            return not (0 < n < last and extra == 1 and symbol.isascii())
        return True


ONCE: Final = tuple(Shape((1,) * symbols) for symbols in range(LONGEST_WORD + 1))
"""The shapes of words whose skeletons say all, by number of symbols."""


def unfold_repeats(aligned: str) -> str:
    """An aligned text with every repeated symbol written out."""
    return "".join(
        symbol * (1 + len(repeats)) + rest for symbol, repeats, rest in _PIECE.findall(aligned)
    )


def _is_spelled_out(pieces: Sequence[tuple[str, str, str]]) -> bool:
    return all(not _VISIBLE.isdisjoint(rest) for _, _, rest in pieces[:-1])
