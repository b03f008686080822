"""
One way of reading a text, and the scan that finds its words however the text arrives.

The whole text and the stream go through the same code: a scan is fed pieces and tells hits as soon as nothing that may
still come can change them. It keeps only the end of the text that is still open: the beginning of a word, and as many
symbols before it as an allowed word may reach back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import NamedTuple

from fengchao_core.sensitive.automaton import NO_WORD, Entry, Find, Match, Shard, Tier
from fengchao_core.sensitive.characters import STOP
from fengchao_core.sensitive.folding import ATTACHED, VOICEABLE, Folded, Folder
from fengchao_core.sensitive.shape import EXACT, ONCE, Fit
from fengchao_core.sensitive.words import Action, WordList

_GLANCE = 12
_STEP = 24
_MOST_STEPS = 16_384
_NONE: Sequence[Found] = ()


Look = tuple[Folded, list[list[Match]]]
"""A whole text as a reading folds it, and what its shards find in it, in the order of `Reading.finds`."""


class Found(NamedTuple):
    """
    A hit with what was found. A tuple, since a text may hold a million.

    Attributes:
        start: first character, counted from the beginning of the text.
        end: one past the last character.
    """

    start: int
    end: int
    action: Action
    source: WordList
    word: str


@dataclass(frozen=True, slots=True)
class Reading:
    """
    A folding with the words that are looked for in it.

    Attributes:
        tiers: the words by action; may be empty.
        allow: words that excuse the hits inside them.
        steps: short texts without a hit, with how far they are decided and how much of them is done with. A model speaks
            in tokens, of which it has some ten thousands: most steps of a stream were taken before. Bounded: when it is
            full it starts anew.
        finds: what finds the matches of every shard of every tier, in order. Where none finds anything, there is no word.
    """

    folder: Folder
    tiers: tuple[Tier, ...]
    allow: Tier | None
    finds: tuple[Find, ...] = field(init=False, repr=False, compare=False)
    steps: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        finds = tuple(shard.find for tier in self.tiers for shard in tier.shards)
        object.__setattr__(self, "finds", finds)

    @property
    def reach(self) -> int:
        """The most characters that a scan may have to keep undecided."""
        symbols = max((tier.longest for tier in self.tiers), default=0)
        if self.allow is not None:
            symbols = max(symbols, self.allow.longest)
        return symbols * (1 + self.folder.folding.gap) + 1


class Scan:
    """
    Finds the words of a reading in a text that arrives in pieces. One text, one scan, one thread at a time.

    Attributes:
        settled: how many characters of the text are decided: no hit that is yet to be told starts before.
    """

    __slots__ = (
        "_action",
        "_allow",
        "_base",
        "_context",
        "_excuses",
        "_fold",
        "_folded",
        "_found",
        "_gap",
        "_is_fresh",
        "_long_gap",
        "_next",
        "_open",
        "_steps",
        "_text",
        "_tiers",
        "_window",
        "settled",
    )

    def __init__(self, reading: Reading) -> None:
        self._tiers = reading.tiers
        self._steps = reading.steps
        self._allow = reading.allow
        self._fold = reading.folder.fold
        self._long_gap = reading.folder.long_gap
        self._gap = reading.folder.folding.gap
        self._context = reading.allow.longest - 1 if reading.allow is not None else 0
        # What is kept of the text, where it begins in the whole, and for each tier the symbol from which it goes on: at first,
        # and nearly always, the very first.
        self._text = ""
        self._base = 0
        self._next = [0] * len(reading.tiers)
        self._is_fresh = True
        # Of what is being looked at.
        self._window = ""
        self._found: list[Found] = []
        self._excuses: _Excuses | None = None
        self._action: Action = "record"
        self.settled = 0

    def advance(
        self, piece: str, *, final: bool = False, looks: Sequence[Look] = ()
    ) -> Sequence[Found]:
        """
        Take the next piece.

        Args:
            final: the text ends with it.
            looks: one look at the piece in this reading, where it is the whole text and was taken already.

        Returns:
            The hits that became certain; of each tier, by place.
        """
        text = self._text + piece
        if self._is_fresh and not final and (step := self._steps.get(text)) is not None:
            settled, cut = step
            self.settled = self._base + settled
            self._base += cut
            self._text = text[cut:]
            return _NONE
        self._read(text, looks[0] if looks else None, final=final)
        if not self._found:
            return _NONE
        found, self._found = self._found, []
        return found

    def _read(self, text: str, look: Look | None, *, final: bool) -> None:
        """Note the hits of what is open, and settle what can be settled of it."""
        late = ""
        if not final and text and text[-1] in VOICEABLE:
            # The next character may make another kana of it.
            late, text = text[-1], text[:-1]
        self._window = text
        self._folded = form = look[0] if look else self._fold(text)
        skeleton = form.skeleton
        size = len(skeleton)
        low_open, longer = 0, False
        if final:
            low_open = size
        elif not form.is_plain:
            low_open, longer = self._open_end(form)
        self._open = low_open, longer
        following = self._next
        looked = iter(look[1] if look else ())
        for index, tier in enumerate(self._tiers):
            low = following[index]
            if low >= size:
                continue
            high, word = size, True
            if not final:
                if size - low <= _GLANCE:
                    high, word = tier.look(skeleton, low, low_open, longer=longer)
                else:
                    high = tier.grows_from(skeleton, max(low, low_open), longer=longer)
            if not word:
                following[index] = high
            elif low < high:
                self._action = tier.action
                self._excuses = None
                matches = (
                    list(islice(looked, len(tier.shards))) if look else tier.find(skeleton, low)
                )
                following[index] = tier.choose(skeleton, matches, low, high, self._judge)
        if final:
            self.settled = self._base + len(text)
            return
        base, was_fresh = self._base, self._is_fresh
        self._keep(text, following[0] if len(following) == 1 else min(following))
        self._is_fresh = not any(self._next)
        if late:
            self._text += late
        elif was_fresh and self._is_fresh and len(text) <= _STEP and not self._found:
            if len(self._steps) >= _MOST_STEPS:
                self._steps.clear()
            self._steps[text] = self.settled - base, self._base - base

    def _open_end(self, folded: Folded) -> tuple[int, bool]:
        """
        From which symbol on the end may grow into a word, and whether it must grow for that by a new symbol.

        What lies before more looked-past characters than a word bears is closed.
        """
        aligned = folded.aligned
        trailing = len(aligned)
        longer = False
        while trailing and aligned[trailing - 1] <= STOP:
            trailing -= 1
            longer = longer or aligned[trailing] not in ATTACHED
        low = 0
        if len(aligned) - len(folded.skeleton) > self._gap:
            for gap in self._long_gap.finditer(aligned):
                low = gap.end()
            low = bisect_left(folded.at, low)
        return low, longer

    def _judge(self, shard: Shard, match: Match) -> int | None:
        """Whether a match is a hit, which then is told: see `Tier.choose`."""
        number, start, end = match
        folded = self._folded
        if number in shard.repeated and not folded.has_repeats:
            return NO_WORD
        low, high = folded.span(start, end, self._gap)
        source, word = shard.entry(number)
        after = end
        if number in shard.variants or high - low != end - start:
            variants = shard.variants.get(number) or (Entry("", None, source, word),)
            entry, fit = self._fit(variants, match, low, high)
            if entry is None:
                return NO_WORD
            source, word = entry.source, entry.word
            low, high = low + fit.front, high - fit.back
            if fit.shared and end - start > 1:
                after = end - 1
        if not folded.is_whole(low, high):
            return NO_WORD
        allow = self._allow
        if allow is not None:
            if self._excuses is None:
                self._excuses = self._find_excuses(allow)
            if self._excuses.cover(low, high):
                return NO_WORD
            if start >= self._excuses.open:
                return None
        base = self._base
        first, last = folded.origin(low), folded.origin(high - 1)
        self._found.append(Found(base + first, base + last + 1, self._action, source, word))
        return after

    def _fit(
        self,
        variants: tuple[Entry, ...],
        match: Match,
        low: int,
        high: int,
        *,
        strict: bool = False,
    ) -> tuple[Entry | None, Fit]:
        """The first of the words that share a skeleton which a match really is, and how."""
        _, start, end = match
        folded = self._folded
        for entry in variants:
            shape = entry.shape or ONCE[end - start]
            fit = shape.fit(folded.aligned[low:high], self._gap, strict=strict)
            if fit is None:
                continue
            if shape.spelled and folded.characters(start, end) <= shape.spelled:
                continue
            if shape.numerals and folded.symbols_of(self._window, start, end).isdecimal():
                continue
            return entry, fit
        return None, EXACT

    def _find_excuses(self, allow: Tier) -> _Excuses:
        folded = self._folded
        spans = []
        for shard in allow.shards:
            for match in shard.find(folded.skeleton):
                number, start, end = match
                low, high = folded.span(start, end, self._gap)
                source, word = shard.entry(number)
                variants = shard.variants.get(number) or (Entry("", None, source, word),)
                entry, fit = self._fit(variants, match, low, high, strict=True)
                if entry is not None:
                    spans.append((low + fit.front, high - fit.back))
        low, longer = self._open
        return _Excuses(spans, allow.grows_from(folded.skeleton, low, longer=longer))

    def _keep(self, text: str, floor: int) -> None:
        """Keep the open end of the text: from the symbol `floor` on, and what an allowed word may reach back over."""
        folded = self._folded
        size = len(folded.skeleton)
        first = max(floor - self._context, self._open[0]) if self._context else floor
        if folded.is_plain:
            cut = first
            settled = floor
        else:
            settled = folded.place(floor) if floor < size else len(text)
            cut = folded.place(first) if first < size else len(text)
            # A character of several symbols is kept whole.
            while 0 < first < size and folded.place(first - 1) == cut:
                first -= 1
        self.settled = self._base + settled
        self._base += cut
        self._text = text[cut:]
        if first:
            self._next = [place - first for place in self._next]


class _Excuses:
    """
    Where allowed words stand in an aligned text.

    Attributes:
        open: the first symbol from which the end of the text may yet become an allowed word.
    """

    __slots__ = ("_ends", "_starts", "open")

    def __init__(self, spans: list[tuple[int, int]], open_from: int) -> None:
        spans.sort()
        self._starts = [start for start, _ in spans]
        self._ends = list(accumulate((end for _, end in spans), max))
        self.open = open_from

    def cover(self, start: int, end: int) -> bool:
        """Whether a stretch lies inside an allowed word."""
        before = bisect_right(self._starts, start)
        return before > 0 and self._ends[before - 1] >= end
