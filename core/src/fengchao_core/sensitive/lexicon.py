"""
The lexicon: all word lists, ready to be found in texts.

What is found is told as hits, which say where and of which category. Only `why` tells the word.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Self, TypeVar

from fengchao_core.sensitive.automaton import Tier
from fengchao_core.sensitive.entries import Folders, Kind, SortedWords
from fengchao_core.sensitive.folding import Folding
from fengchao_core.sensitive.hits import MOST_TOLD, Hit, Reason, Screened, star
from fengchao_core.sensitive.scan import Found, Look, Reading
from fengchao_core.sensitive.search import open_search
from fengchao_core.sensitive.words import ACTIONS, Action, WordList

WINDOW: Final = 4096
"""Characters folded and searched at a time: bounds the memory, and lets other threads run in between."""

BREATH_S: Final = 1e-6
"""How long a thread that searches a long text steps aside after each window."""

_Key = TypeVar("_Key")


class Lexicon:
    """
    Word lists, ready to be searched for. Immutable: any number of requests and threads may share it.

    Made by `build`. With no words in it, asking it costs next to nothing.

    Attributes:
        size: how many words it looks for.
        readings: the ways in which it reads a text; for scans.
        tiers: the words, by folding and action.
        excuses: the allowed words, by folding.
        reach: the most characters that a stream screened with it may hold back.

    Example:
        >>> lexicon = Lexicon.build([WordList("示例", ("敏感词",), allow=("敏感词典",))])
        >>> lexicon.find("这是敏-感-詞")
        (Hit(start=2, end=7, category='示例', action='block'),)
        >>> lexicon.find("这是敏感词典")
        ()
    """

    __slots__ = ("_folders", "excuses", "reach", "readings", "size", "tiers")

    def __init__(
        self,
        folders: Folders,
        tiers: Mapping[tuple[Kind, Action], Tier],
        allow: Mapping[Kind, Tier],
        size: int,
    ) -> None:
        self._folders = folders
        self.tiers = tiers
        self.excuses = allow
        self.size = size
        readings = []
        for kind in folders.kinds:
            ranked = tuple(tiers[kind, action] for action in ACTIONS if (kind, action) in tiers)
            if ranked:
                readings.append(Reading(folders.of(kind), ranked, allow.get(kind)))
        self.readings: tuple[Reading, ...] = tuple(readings)
        self.reach = max((reading.reach for reading in readings), default=0)

    @classmethod
    def build(cls, lists: Iterable[WordList] = (), folding: Folding | None = None) -> Self:
        """
        Build from word lists. Takes a second of a core for a hundred thousand words: call it in a thread.

        Args:
            lists: the words. A word that several lists have is told as the first list's, with the strictest action.
            folding: which disguises to see through; by default all but pinyin.

        Raises:
            SettingsError: words that cannot be looked for, or pinyin without `pypinyin`; all problems at once.
        """
        return cls._of(lists, Folders(folding or Folding()))

    def rebuilt(self, lists: Iterable[WordList]) -> Self:
        """A lexicon of other lists with the same folding. As costly as `build`."""
        return self._of(lists, self._folders)

    def extended(self, lists: Iterable[WordList]) -> Self:
        """This lexicon and further lists. Costs what building those lists costs, however many words are here."""
        more = self.rebuilt(lists)
        return type(self)(
            self._folders,
            _joined(self.tiers, more.tiers),
            _joined(self.excuses, more.excuses),
            self.size + more.size,
        )

    def find(self, text: str) -> tuple[Hit, ...]:
        """
        Every sensitive word of a text, by place.

        Of one action: reading on from the last, the hit that starts first and, of those, the longest. They do not overlap,
        but two may share a character that is written several times. Hits of different actions or readings may overlap, so
        that a word that is only recorded never hides one that is blocked.

        Takes about a sixth of a millisecond per thousand characters: call it in a thread for long texts.
        """
        hits: list[Hit] = []
        for found in self._search(text):
            hits += map(to_hit, found)
        return tuple(hits)

    def screen(self, text: str, *, replace: bool = False) -> Screened:
        """
        Screen a whole text.

        Args:
            replace: star the hits of blocking words instead of blocking.

        Example:
            >>> lexicon = Lexicon.build([WordList("示例", ("敏感词",))])
            >>> lexicon.screen("一个敏 感 词。", replace=True).text
            '一个*****。'
            >>> lexicon.screen("一个敏感词。").blocked
            Hit(start=2, end=5, category='示例', action='block')
        """
        return self.examine(text, replace=replace) or Screened(text)

    def examine(self, text: str, *, replace: bool = False) -> Screened | None:
        """As `screen`; None where there is no hit, which is told sooner, and is so nearly always."""
        looks: list[Look] = []
        if len(text) <= WINDOW:
            is_free = True
            for reading in self.readings:
                folded = reading.folder.fold(text)
                skeleton = folded.skeleton
                matches = [find(skeleton) for find in reading.finds]
                is_free = is_free and not any(matches)
                looks.append((folded, matches))
            if is_free:
                return None
        hits: list[Hit] = []
        blocked: list[Hit] = []

        def starred() -> Iterator[tuple[int, int]]:
            for found in self._search(text, looks):
                for one in found:
                    hit = to_hit(one)
                    if len(hits) < MOST_TOLD:
                        hits.append(hit)
                    if hit.is_starred(replace=replace):
                        yield hit.start, hit.end
                    elif hit.action == "block" and not blocked:
                        blocked.append(hit)

        said = star(text, starred())
        return Screened(said, tuple(hits), blocked[0] if blocked else None) if hits else None

    def why(self, text: str) -> tuple[Reason, ...]:
        """The hits of a text with the words and notes behind them: for those who keep the word lists only."""
        return tuple(
            Reason(to_hit(one), one.word, one.source.notes.get(one.word, ""))
            for found in self._search(text)
            for one in found
        )

    def _search(self, text: str, looks: Sequence[Look] = ()) -> Iterator[Sequence[Found]]:
        """
        What is found in a text, window by window.

        Args:
            looks: a look at the text in each reading, where they were taken already and the text fits one window.
        """
        if not self.readings:
            return
        search = open_search(self.readings)
        last = max(0, len(text) - 1) // WINDOW * WINDOW
        for start in range(0, last, WINDOW):
            yield search.advance(text[start : start + WINDOW])
            # The engine lets go of the interpreter so often, and so briefly, that a waiting thread neither gets it nor comes
            # to demand it: a loop beside this thread would stand still for the whole text.
            time.sleep(BREATH_S)
        yield search.advance(text[last:] if last else text, final=True, looks=looks)

    @classmethod
    def _of(cls, lists: Iterable[WordList], folders: Folders) -> Self:
        entries = SortedWords.of(lists, folders)
        return cls(
            folders,
            {key: Tier.build(key[1], words) for key, words in entries.words.items()},
            {
                kind: Tier.build("record", words, overlapping=True)
                for kind, words in entries.allow.items()
            },
            entries.count,
        )


def to_hit(found: Found) -> Hit:
    """What may be told to anybody."""
    return Hit(found.start, found.end, found.source.category, found.action)


def _joined(one: Mapping[_Key, Tier], other: Mapping[_Key, Tier]) -> dict[_Key, Tier]:
    joined = {**one, **other}
    for key in one.keys() & other.keys():
        joined[key] = one[key].joined(other[key])
    return joined
