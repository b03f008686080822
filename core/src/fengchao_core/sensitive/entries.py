"""
From word lists to what is looked for: in which folding each word is read, and which cannot be.

A word of letters, digits and ideographs is read *folded*, with everything between its characters looked past. One that
lives on its symbols ("C++", "=_=", ".*", an emoji) is read *literally*: its characters fold, but every symbol counts. If
pinyin is on, ideographs are also read *spelled*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive.automaton import Entries, Entry
from fengchao_core.sensitive.characters import PLACEHOLDERS, PLAIN, STOP, SYMBOL
from fengchao_core.sensitive.folding import Folded, Folder, Folding
from fengchao_core.sensitive.shape import LONGEST_WORD, Shape, unfold_repeats
from fengchao_core.sensitive.words import Action, WordList

Kind = Literal["folded", "literal", "spelled"]

_VISIBLE = frozenset((SYMBOL, PLAIN, STOP))
# What words are written with without living on it.
_CONNECTORS = frozenset(" -‐‑–·•・‧∙'’\u02bc\u3000\u00a0")
_LIVES_WITHOUT = 4
_SPELLED_SYLLABLES = 2
_SPELLED_LETTERS = 4


class Folders:
    """
    The foldings that one lexicon reads texts with. Kept from one lexicon to the next, for their tables are warm.

    Attributes:
        kinds: every way of reading.

    Raises:
        SettingsError: pinyin is asked for and `pypinyin` is not installed.
    """

    __slots__ = ("_folders", "_foldings", "kinds")

    def __init__(self, folding: Folding) -> None:
        self._foldings: dict[Kind, Folding] = {
            "folded": replace(folding, pinyin=False),
            "literal": replace(folding, pinyin=False, symbols=False, repeats=False),
        }
        if folding.pinyin:
            self._foldings["spelled"] = replace(folding, repeats=False)
        self.kinds = tuple(self._foldings)
        self._folders: dict[Kind, Folder] = {}
        if folding.pinyin:
            self.of("spelled")

    def of(self, kind: Kind) -> Folder:
        """What folds for one way of reading; made when it is first needed, since its table takes half a megabyte."""
        if kind not in self._folders:
            self._folders[kind] = Folder(self._foldings[kind])
        return self._folders[kind]


@dataclass(frozen=True, slots=True)
class SortedWords:
    """
    Everything to look for.

    Attributes:
        words: by folding and action.
        allow: by folding; an allowed word is read in every one, for it excuses hits of every one.
        count: how many words there are.
    """

    words: dict[tuple[Kind, Action], Entries]
    allow: dict[Kind, Entries]
    count: int

    @classmethod
    def of(cls, lists: Iterable[WordList], folders: Folders) -> SortedWords:
        """
        Sort the words of lists by how they are read.

        Raises:
            SettingsError: words with nothing visible in them, or too long ones; all at once, by category and place.
        """
        problems: list[str] = []
        words: dict[tuple[Kind, Action], Entries] = {}
        allow: dict[Kind, Entries] = {}
        count = 0
        for source in lists:
            for place, word in enumerate(source.words):
                count += 1
                read = _read(word, source, folders)
                problems += _problems(f"word list {source.category!r}: words[{place}]", read)
                for kind, entry in read:
                    words.setdefault((kind, source.action), Entries()).add(entry)
            for place, word in enumerate(source.allow):
                read = _read_allowed(word, source, folders)
                problems += _problems(f"word list {source.category!r}: allow[{place}]", read)
                for kind, entry in read:
                    allow.setdefault(kind, Entries()).add(entry)
        if problems:
            raise SettingsError(*problems)
        return cls(words, allow, count)


def check_words(lists: Iterable[WordList], folding: Folding | None = None) -> None:
    """
    Refuse words that cannot be looked for.

    Raises:
        SettingsError: words with nothing visible in them, or too long ones; all at once, by category and place.
    """
    SortedWords.of(lists, Folders(folding or Folding()))


def _read(word: str, source: WordList, folders: Folders) -> list[tuple[Kind, Entry]]:
    folded = folders.of("folded").fold(word.strip())
    if not folded.skeleton or _lives_on_symbols(folded, word.strip()):
        return _read_as("literal", word, source, folders)
    numerals = folded.skeleton.isdecimal() and not folded.symbols_of(word.strip()).isdecimal()
    shape = None
    if numerals or not folded.is_plain:
        shape = Shape.of(folded.aligned, numerals=numerals)
    # Most words are their own skeletons: one text for both halves what a large list takes.
    skeleton = word if folded.skeleton == word else folded.skeleton
    read: list[tuple[Kind, Entry]] = [("folded", Entry(skeleton, shape, source, word))]
    if shape is not None and max(shape.runs) > 1:
        # "奶奶" folds to one symbol, but written "奶 奶" it is two.
        apart = unfold_repeats(folded.aligned)
        skeleton = "".join(symbol for symbol in apart if symbol not in PLACEHOLDERS)
        read.append(("folded", Entry(skeleton, Shape.of(apart), source, word)))
    if "spelled" in folders.kinds:
        read += _read_spelled(word, source, folders)
    return read


def _read_allowed(word: str, source: WordList, folders: Folders) -> list[tuple[Kind, Entry]]:
    read = _read_as("folded", word, source, folders) + _read_as("literal", word, source, folders)
    if "spelled" in folders.kinds:
        read += _read_spelled(word, source, folders)
    return read


def _read_as(kind: Kind, word: str, source: WordList, folders: Folders) -> list[tuple[Kind, Entry]]:
    folded = folders.of(kind).fold(word.strip())
    if not folded.skeleton:
        return []
    shape = None if folded.is_plain else Shape.of(folded.aligned)
    return [(kind, Entry(folded.skeleton, shape, source, word))]


def _read_spelled(word: str, source: WordList, folders: Folders) -> list[tuple[Kind, Entry]]:
    """Words of one ideograph, or of very few letters, are in too many texts."""
    folded = folders.of("spelled").fold(word.strip())
    skeleton = folded.skeleton
    owners = [folded.origin(place) for place in folded.at]
    spelled = [owners.count(owner) for owner in dict.fromkeys(owners)]
    ideographs = sum(char.isalpha() and not char.isascii() for char in word)
    if (
        ideographs < _SPELLED_SYLLABLES
        or not _SPELLED_LETTERS <= len(skeleton) <= LONGEST_WORD
        or len(spelled) == len(skeleton)
    ):
        return []
    ends = [n for n, owner in enumerate(owners[:-1]) if owner != owners[n + 1]]
    shape = Shape((1,) * len(skeleton), frozenset(ends), len(spelled))
    return [("spelled", Entry(skeleton, shape, source, word))]


def _lives_on_symbols(folded: Folded, word: str) -> bool:
    """Whether a word would be another one without its symbols: "C++", ".NET", "a|b"; not "fuck off", "约翰·史密斯"."""
    if folded.is_plain:
        return False
    aligned = folded.aligned
    visible = [place for place, char in enumerate(aligned) if char in _VISIBLE]
    if not visible:
        return False
    if visible[0] < folded.at[0] or visible[-1] > folded.at[-1]:
        return True
    return len(folded.skeleton) < _LIVES_WITHOUT and any(
        word[folded.origin(place)] not in _CONNECTORS for place in visible
    )


def _problems(where: str, read: list[tuple[Kind, Entry]]) -> list[str]:
    if not read:
        return [f"{where}: there is nothing in it that can be seen; leave it out"]
    if any(len(entry.skeleton) > LONGEST_WORD for _, entry in read):
        return [f"{where}: it has more than {LONGEST_WORD} characters; give the part that tells it"]
    return []
