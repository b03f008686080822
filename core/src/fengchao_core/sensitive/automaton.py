"""
Words as automata, and the choice among what they find.

A tier holds all words of one action. Its hits are *leftmost-longest*: reading on from the last hit, the one that starts
first, and of those the longest that really is a word. The automata give that choice as if every match were a word; where
one is not, `Tier.choose` looks again in that place only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from fengchao_core.sensitive.characters import INVISIBLE
from fengchao_core.sensitive.shape import Shape
from fengchao_core.sensitive.words import Action, WordList

SHARD: Final = 35_000
"""
Words per automaton. The engine builds most of one with the interpreter locked (measured: 30 ms for 33,000 words, 55 ms for
50,000, 150 ms for 100,000): in smaller ones, the event loop stays awake while a hundred thousand words are built beside
it. Each costs a text of 300 characters two or three microseconds.
"""

NO_WORD: Final = -1
"""The verdict on a match that is not a word."""

_BUCKET = 128
_END = INVISIBLE + INVISIBLE

Match = tuple[int, int, int]
"""Pattern number, first symbol, one past the last symbol: as the engine has it."""

Find = Callable[[str], list[Match]]
"""What finds an automaton's matches in a skeleton."""

_Branch = dict[str, "str | _Branch"]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One word of one list, as it is looked for.

    Attributes:
        shape: None where the skeleton says all.
    """

    skeleton: str
    shape: Shape | None
    source: WordList
    word: str


class Entries:
    """
    Many entries in little memory: not an object for each, which the collector of garbage would have to visit.

    Iterating makes them anew.
    """

    __slots__ = ("_shapes", "_skeletons", "_sources", "_words")

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[Entry]:
        for number, skeleton in enumerate(self._skeletons):
            yield Entry(
                skeleton, self._shapes.get(number), self._sources[number], self._words[number]
            )

    def add(self, entry: Entry) -> None:
        """Take one more."""
        if entry.shape is not None:
            self._shapes[len(self._words)] = entry.shape
        self._skeletons.append(entry.skeleton)
        self._sources.append(entry.source)
        self._words.append(entry.word)

    def clear(self) -> None:
        """Forget all."""
        self._skeletons: list[str] = []
        self._shapes: dict[int, Shape] = {}
        self._sources: list[WordList] = []
        self._words: list[str] = []


class Shard:
    """
    One automaton and what its patterns stand for. Immutable.

    Attributes:
        find: every match, leftmost-longest; or, where it was built so, every overlapping one.
        longest: symbols of its longest word.
        variants: the words of each pattern whose skeleton does not say all. Several words may share a skeleton.
        repeated: the patterns all of whose words write a symbol several times in a row.
    """

    __slots__ = (
        "_sources",
        "_words",
        "find",
        "longest",
        "repeated",
        "variants",
    )

    def __init__(self, entries: Iterable[Entry], *, overlapping: bool = False) -> None:
        numbers: dict[str, int] = {}
        self._sources: list[WordList] = []
        self._words: list[str] = []
        self.variants: dict[int, tuple[Entry, ...]] = {}
        self.longest = 0
        for entry in entries:
            number = numbers.setdefault(entry.skeleton, len(self._words))
            variants = self.variants.get(number, ())
            if number == len(self._words):
                self._sources.append(entry.source)
                self._words.append(entry.word)
                self.longest = max(self.longest, len(entry.skeleton))
            elif entry.shape is not None and not variants:
                source, word = self.entry(number)
                variants = (Entry(entry.skeleton, None, source, word),)
            if variants or entry.shape is not None:
                # The more is written, the more must be there: those are tried first.
                self.variants[number] = tuple(sorted((*variants, entry), key=_written))
        self.repeated = frozenset(
            number
            for number, variants in self.variants.items()
            if all(entry.shape is not None and max(entry.shape.runs) > 1 for entry in variants)
        )
        automaton = AhoCorasick(
            numbers,
            matchkind=MatchKind.Standard if overlapping else MatchKind.LeftmostLongest,
            implementation=Implementation.ContiguousNFA,
            store_patterns=False,
        )
        find = automaton.find_matches_as_indexes
        self.find: Find = partial(find, overlapping=True) if overlapping else find

    def entry(self, number: int) -> tuple[WordList, str]:
        """The list and the word that a pattern stands for."""
        return self._sources[number], self._words[number]


def _written(entry: Entry) -> int:
    return -sum(entry.shape.runs) if entry.shape is not None else -len(entry.skeleton)


class Tier:
    """
    All words of one action, searched together. Immutable.

    Attributes:
        action: what a hit of these words does.
        longest: symbols of the longest word.
    """

    __slots__ = ("_roots", "action", "longest", "shards")

    def __init__(self, action: Action, shards: Sequence[Shard], roots: Sequence[_Branch]) -> None:
        self.action = action
        self.shards = tuple(shards)
        self._roots = tuple(roots)
        self.longest = max(shard.longest for shard in shards)

    @classmethod
    def build(cls, action: Action, entries: Entries, *, overlapping: bool = False) -> Self:
        """
        Build the automata of at least one word. Words with one first symbol share a shard.

        Args:
            entries: the words. They are taken out, so that what is done with can be forgotten on the way.
            overlapping: find every match, not the leftmost-longest.
        """
        root = _split(list({entry.skeleton for entry in entries}))
        parts = [Entries() for _ in range(-(-len(entries) // SHARD))]
        for entry in entries:
            parts[ord(entry.skeleton[0]) % len(parts)].add(entry)
        entries.clear()
        shards = []
        while parts:
            part = parts.pop()
            if part:
                shards.append(Shard(part, overlapping=overlapping))
        return cls(action, shards, [root])

    def joined(self, other: Self) -> Self:
        """Both tiers' words in one."""
        return type(self)(self.action, self.shards + other.shards, self._roots + other._roots)

    def grows_from(self, skeleton: str, low: int, *, longer: bool) -> int:
        """
        The first place, from `low` on, at which the rest of the skeleton is the beginning of a word; else its length.

        Args:
            longer: a rest that is a whole word does not count unless a longer word begins with it.
        """
        return self.look(skeleton, max(low, len(skeleton) - self.longest), low, longer=longer)[0]

    def look(self, skeleton: str, low: int, low_open: int, *, longer: bool) -> tuple[int, bool]:
        """
        A look at a short text that often spares searching it.

        Returns:
            As `grows_from` from `low_open` on; and whether any word starts before that, from `low` on.
        """
        word = False
        size = len(skeleton)
        last = size - 1
        for place in range(low, size):
            symbol = skeleton[place]
            for root in self._roots:
                node = root.get(symbol)
                if node is None:
                    continue
                if place < last:
                    # Most places end here: no word goes on like this, and none ends.
                    following = skeleton[place + 1]
                    if isinstance(node, str):
                        if INVISIBLE + following not in node and node[1] != INVISIBLE:
                            continue
                    elif following not in node and "" not in node:
                        continue
                starts, grows = _follow(node, skeleton, place + 1, longer)
                if grows and place >= low_open:
                    return place, word
                word = word or starts
        return size, word

    def find(self, skeleton: str, low: int = 0) -> list[list[Match]]:
        """What each shard finds in the symbols from `low` on, counted from there."""
        window = skeleton[low:] if low else skeleton
        return [shard.find(window) for shard in self.shards]

    def choose(
        self,
        skeleton: str,
        matches: Iterable[list[Match]],
        low: int,
        high: int,
        judge: Callable[[Shard, Match], int | None],
    ) -> int:
        """
        Go through the matches that start in `low <= start < high`, in order, and take those that are words.

        None that is taken overlaps another, unless `judge` says so.

        Args:
            skeleton: the symbols.
            matches: what `find` finds in them from `low` on.
            low: nothing is taken that starts before it.
            high: what starts here or later is left for another time.
            judge: from where to go on after a match that is a word, and so is taken; `NO_WORD` after one that is not; None
                if that cannot be told yet, which ends the search.

        Returns:
            The place from which to go on another time.
        """
        # (start, -end, shard, pattern, until). An item stands for every match of its shard that starts from its own start
        # up to `until`: the engine told the leftmost-longest of them only.
        queue = [
            (start + low, -end - low, index, pattern, end + low)
            for index, found in enumerate(matches)
            for pattern, start, end in found
        ]
        if len(self.shards) > 1:
            heapq.heapify(queue)
        while queue:
            start, minus_end, index, pattern, until = heapq.heappop(queue)
            if start >= high:
                break
            shard = self.shards[index]
            again = start + 1
            if start < low:
                again = low
            else:
                verdict = judge(shard, (pattern, start, -minus_end))
                if verdict is None:
                    return start
                if verdict != NO_WORD:
                    low = again = verdict
                elif -minus_end - start > 1:
                    # Not this word, but a shorter one may start here.
                    shorter = shard.find(skeleton[start : -minus_end - 1])
                    if shorter and shorter[0][1] == 0:
                        pattern, _, size = shorter[0]
                        heapq.heappush(queue, (start, -start - size, index, pattern, until))
                        continue
            if again < until:
                found = shard.find(skeleton[again : until - 1 + shard.longest])
                if found and found[0][1] + again < until:
                    pattern, begin, end = found[0]
                    heapq.heappush(queue, (begin + again, -end - again, index, pattern, until))
        return max(low, high)


def _split(rests: list[str]) -> _Branch:
    """
    A tree of which texts are the beginning of a word.

    Its branches end in plain texts of all that may follow, each between two marks, so that a hundred thousand words take one
    or two megabytes, and a look-up is a search in some hundred characters.
    """
    groups: dict[str, list[str]] = {}
    for rest in rests:
        groups.setdefault(rest[:1], []).append(rest[1:])
    branch: _Branch = {}
    for symbol, group in groups.items():
        if symbol and sum(map(len, group)) + len(group) > _BUCKET:
            branch[symbol] = _split(group)
        else:
            # A word that ends here stands first, where it is seen at once.
            group.sort(key=bool)
            branch[symbol] = INVISIBLE + INVISIBLE.join(group) + INVISIBLE
    return branch


def _follow(node: str | _Branch, text: str, place: int, longer: bool) -> tuple[bool, bool]:  # noqa: FBT001  # hot
    """Whether, from a node on, a whole word follows in the text, and whether the text's end is inside of one."""
    size = len(text)
    word = False
    while not isinstance(node, str):
        word = word or "" in node
        if place == size:
            return word, not longer or len(node) > ("" in node)
        below = node.get(text[place])
        if below is None:
            return word, False
        node = below
        place += 1
    word = word or node[1] == INVISIBLE
    if place == size:
        return word, not longer or node != _END
    for end in range(place + 1, size + 1):
        rest = INVISIBLE + text[place:end]
        if rest not in node:
            return word, False
        if rest + INVISIBLE in node:
            word = True
            if longer and end == size:
                return True, node.count(rest) > 1
    return word, True
