"""
The filter: the lexicon of now, and how it changes while requests go on.

A lexicon never changes; a change makes another and puts it in its place. Requests under way keep the one they began with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Self

from fengchao_core.sensitive.folding import Folding
from fengchao_core.sensitive.lexicon import Lexicon
from fengchao_core.sensitive.words import Action, WordList, merge

_Removal = tuple[str | None, str]


class Filter:
    """
    Holds the lexicon in force, and changes it.

    Additions are in force at once, in a small lexicon of their own beside the large one, until `rebuild` melts both into
    one. `rebuild` works in a thread: the event loop goes on. All methods are for the thread of one event loop.

    Args:
        lexicon: the words to begin with.
        lists: the lists it was built from.

    Attributes:
        current: the lexicon in force. Take it once per request.

    Example:
        >>> words = asyncio.run(Filter.open([WordList("示例", ("敏感词",))]))
        >>> words.add("新词", category="示例")
        >>> words.current.find("敏感词与新词")[1].start
        4
    """

    __slots__ = ("_base", "_lists", "_lock", "_recent", "_removed", "current")

    def __init__(self, lexicon: Lexicon | None = None, lists: Iterable[WordList] = ()) -> None:
        self.current = self._base = Lexicon.build() if lexicon is None else lexicon
        self._lists = tuple(lists)
        # What has changed since: lists that are not in the large lexicon, removals that it does not know of.
        self._recent: list[WordList] = []
        self._removed: list[_Removal] = []
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, lists: Iterable[WordList] = (), *, folding: Folding | None = None) -> Self:
        """
        Build from word lists, in a thread. Owns nothing that needs closing.

        Raises:
            SettingsError: as `Lexicon.build`.
        """
        lists = tuple(lists)
        return cls(await asyncio.to_thread(Lexicon.build, lists, folding), lists)

    @property
    def lists(self) -> tuple[WordList, ...]:
        """The lists as they are now, with all changes; for export."""
        return (*_without(self._lists, self._removed), *self._recent)

    @property
    def is_rebuilt(self) -> bool:
        """Whether all changes are in the large lexicon."""
        return not self._recent and not self._removed

    def add(self, word: str, *, category: str, action: Action = "block", note: str = "") -> None:
        """
        Look for one more word, from the next request on.

        Raises:
            SettingsError: the word cannot be looked for.
        """
        self.extend([WordList(category, (word,), action, notes={word: note} if note else {})])

    def allow(self, word: str, *, category: str) -> None:
        """
        Excuse the hits inside one more longer word, from the next request on.

        Raises:
            SettingsError: the word cannot be looked for.
        """
        self.extend([WordList(category, allow=(word,))])

    def extend(self, lists: Iterable[WordList]) -> None:
        """
        Look for the words of further lists too, from the next request on. For some hundred words; more belong in `replace`.

        Raises:
            SettingsError: as `Lexicon.build`; then nothing has changed.
        """
        recent = [*self._recent, *lists]
        self.current = self._base.extended(recent)
        self._recent = recent

    def remove(self, word: str, *, category: str | None = None) -> bool:
        """
        Forget a word or an allowed word, as its list writes it. In force after the next `rebuild`.

        Args:
            category: only in the lists of this category; in all if not given.

        Returns:
            Whether any list had it.
        """
        removal = [(category, word)]
        lists = self.lists
        if _without(lists, removal) == lists:
            return False
        self._recent = list(_without(self._recent, removal))
        self._removed += removal
        self.current = self._base.extended(self._recent)
        return True

    async def rebuild(self) -> None:
        """Melt all changes into the large lexicon, in a thread. Safe to cancel: then nothing has changed."""
        async with self._lock:
            await self._swap(self.lists)

    async def replace(self, lists: Iterable[WordList]) -> None:
        """
        Look for the words of these lists only, in force when this returns. What is added meanwhile stays.

        Raises:
            SettingsError: as `Lexicon.build`; then nothing has changed.
        """
        async with self._lock:
            await self._swap(tuple(lists))

    async def _swap(self, lists: tuple[WordList, ...]) -> None:
        melted, removed = self._recent, len(self._removed)
        self._base, self._lists = await asyncio.to_thread(_melt, self._base, lists)
        # Changes that came meanwhile are not in it.
        self._recent = [words for words in self._recent if not any(words is old for old in melted)]
        self._removed = self._removed[removed:]
        self.current = self._base.extended(self._recent) if self._recent else self._base


def _melt(lexicon: Lexicon, lists: tuple[WordList, ...]) -> tuple[Lexicon, tuple[WordList, ...]]:
    merged = merge(lists)
    return lexicon.rebuilt(merged), merged


def _without(lists: Iterable[WordList], removals: Sequence[_Removal]) -> tuple[WordList, ...]:
    """The lists without the removed words; those that had none of them stay the same objects."""
    left = []
    for words in lists:
        gone = {word for category, word in removals if category in {None, words.category}}
        if gone.isdisjoint(words.words) and gone.isdisjoint(words.allow):
            left.append(words)
            continue
        left.append(
            replace(
                words,
                words=tuple(word for word in words.words if word not in gone),
                allow=tuple(word for word in words.allow if word not in gone),
                notes={word: note for word, note in words.notes.items() if word not in gone},
            )
        )
    return tuple(left)
