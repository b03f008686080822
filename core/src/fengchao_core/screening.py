"""
The word filter of one request: over what goes in, and over every piece of what comes out.

Each choice's text, its reasoning, its refusal and each tool call's arguments are screened apart, since each is a text of its own; so
is every text that a vendor sends beside the answer (search results, citations). What a screen holds back (it could still become a word) leaves with the text's next piece, or when that text ends: at the
choice's end, or when the model goes over from reasoning to its answer. Log-probabilities spell the tokens: those of a
delta whose text is changed are left out.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from fengchao_core.errors import SensitiveContent
from fengchao_core.foreign import screened_extra
from fengchao_core.logs import Log
from fengchao_core.sensitive import Hit, Lexicon, StreamScreen
from fengchao_core.sensitive.lexicon import BREATH_S, WINDOW
from fengchao_core.telemetry import Telemetry
from fengchao_core.types import Delta, ToolCallFragment

log = Log()

_Place = tuple[int, str, int]
_MOST_CLEAN = 16_384


class CleanTexts:
    """
    Which texts were found clean already: a conversation sends its system text and its earlier turns again and again.

    Keeps no text, only its length and its keyed 64-bit hash, which nobody outside the process can aim at. Bounded: when
    it is full it starts anew.

    Args:
        lexicon: the words that the texts were screened against; other words need another object.
    """

    __slots__ = ("_seen", "lexicon")

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self._seen: set[tuple[int, int]] = set()

    def __contains__(self, text: str) -> bool:
        return (len(text), hash(text)) in self._seen

    def add(self, text: str) -> None:
        """Remember a clean text."""
        if len(self._seen) >= _MOST_CLEAN:
            self._seen.clear()
        self._seen.add((len(text), hash(text)))

    def screening(self, *, replace: bool, telemetry: Telemetry) -> Screening:
        """For one request that begins now."""
        return Screening(self, replace=replace, telemetry=telemetry)


class Screening:
    """
    Screens one request against the words as they stand when it begins.

    Args:
        known: the words as they stand when the request begins, used to its end, and the texts known to be free of them.
        replace: replace hits by `*` instead of refusing.
    """

    __slots__ = ("_known", "_lexicon", "_replace", "_screens", "_telemetry")

    def __init__(self, known: CleanTexts, *, replace: bool, telemetry: Telemetry) -> None:
        self._known = known
        self._lexicon = known.lexicon
        self._replace = replace
        self._telemetry = telemetry
        self._screens: dict[_Place, StreamScreen] = {}

    def anew(self) -> Screening:
        """One with the same words, for another answer."""
        return type(self)(self._known, replace=self._replace, telemetry=self._telemetry)

    def input(self, text: str) -> str:
        """
        What may be sent of a text that came in.

        Raises:
            SensitiveContent: a word is blocked, and is not to be replaced.
        """
        if text in self._known:
            return text
        screened = self._lexicon.examine(text, replace=self._replace)
        if screened is None:
            self._known.add(text)
            return text
        self._count(screened.hits, "input")
        if screened.blocked is not None:
            raise screened.blocked.refusal("input")
        return screened.text

    def output(self, batch: Sequence[Delta]) -> tuple[Sequence[Delta], SensitiveContent | None]:
        """
        What may be shown of a batch, and why the answer must end there if it must.

        Deltas that have nothing left to say are left out.
        """
        if len(batch) == 1:
            # What is usual takes the short way: a stream's step, a piece of the one text under way ...
            delta = batch[0]
            if not self._screens:
                # ... and a whole answer that is nothing but a clean text.
                if delta.finish_reason is not None and self._is_clean_whole(delta):
                    return batch, None
            elif len(self._screens) == 1 and _is_plain(delta):
                screen = self._screens.get((delta.index, "text", 0))
                if screen is not None:
                    blocked = self._screen_piece(screen, delta)
                    refusal = None if blocked is None else self._refusal(blocked)
                    return batch if delta.text else (), refusal
        shown: list[Delta] = []
        position = 0
        while position < len(batch):
            burst = self._burst(batch, position)
            if len(burst) > 1:
                position += len(burst)
                blocked = self._screen_burst(burst, shown)
            else:
                delta = batch[position]
                position += 1
                blocked = self._screen(delta)
                if blocked is not None:
                    delta.finish_reason = None
                    delta.tool_calls = ()
                    delta.logprobs = None
                    delta.extra = None
                if blocked is None or delta.text or delta.reasoning or delta.refusal:
                    _show(delta, shown)
            if blocked is not None:
                return shown, self._refusal(blocked)
        return shown, None

    def _is_clean_whole(self, delta: Delta) -> bool:
        return (
            not (
                delta.finish_reason is None
                or delta.reasoning
                or delta.tool_calls
                or delta.refusal
                or delta.extra
            )
            and self._lexicon.examine(delta.text, replace=self._replace) is None
        )

    def _burst(self, batch: Sequence[Delta], start: int) -> Sequence[Delta]:
        """The deltas from here on that say nothing but text, of one choice whose reasoning is over."""
        index = batch[start].index
        end = start
        if (index, "reasoning", 0) not in self._screens:
            for delta in itertools.islice(batch, start, None):
                if delta.index != index or not _is_plain(delta):
                    break
                end += 1
        return batch[start:end]

    def _screen_burst(self, burst: Sequence[Delta], shown: list[Delta]) -> Hit | None:
        """
        Screen what arrived together as one text, and give each delta its share of what may leave.

        A screen neither adds nor drops a character, so the shares are known by their lengths: first what was held back
        before, then the deltas' own.
        """
        first = burst[0]
        place = (first.index, "text", 0)
        text = "".join([delta.text for delta in burst])
        screen = self._screens.get(place)
        held = "" if screen is None else screen.held
        out, blocked = self._feed(place, text, ends=False)
        if held:
            text = held + text
            first.text = held + first.text
        if text.startswith(out):
            shown.extend(burst)
            short = len(text) - len(out)
            while short:
                last = shown.pop()
                kept = last.text[:-short]
                short -= len(last.text) - len(kept)
                last.text = kept
                if kept:
                    shown.append(last)
            return blocked
        end = 0
        for delta in burst:
            start, end = end, end + len(delta.text)
            delta.text = out[start:end]
            if delta.text:
                shown.append(delta)
        return blocked

    def _screen_piece(self, screen: StreamScreen, delta: Delta) -> Hit | None:
        """Take out of a delta that says nothing but text what may not leave yet."""
        seen = len(screen.hits)
        delta.text = _fed(screen, delta.text)
        if len(screen.hits) > seen:
            self._count(screen.hits[seen:], "output")
        return screen.blocked

    def _screen(self, delta: Delta) -> Hit | None:
        """Take out of a delta what may not leave yet; the hit that ends the answer, if one does."""
        index, text = delta.index, delta.text
        is_last = delta.finish_reason is not None
        blocked: Hit | None = None
        thought_ends = bool(text or delta.tool_calls or is_last)
        delta.reasoning, blocked = self._feed(
            (index, "reasoning", 0), delta.reasoning, thought_ends
        )
        if blocked is None:
            delta.text, blocked = self._feed((index, "text", 0), text, is_last)
            if delta.text != text:
                # They spell the tokens, the held back and the starred ones too.
                delta.logprobs = None
        if blocked is None:
            delta.refusal, blocked = self._feed((index, "refusal", 0), delta.refusal, is_last)
        else:
            delta.refusal = ""
        if blocked is None and delta.tool_calls:
            blocked = self._feed_calls(delta)
        if blocked is None and delta.extra:
            blocked = self._screen_extra(delta)
        if blocked is None and is_last and self._screens:
            blocked = self._end_calls(delta)
        return blocked

    def _screen_extra(self, delta: Delta) -> Hit | None:
        """Screen what a vendor sends beside the answer: it comes whole, each text by itself."""
        blocked: list[Hit] = []

        def screen(text: str) -> str:
            shown, hit = self._screen_text(text)
            if hit is not None:
                blocked.append(hit)
            return shown

        delta.extra = screened_extra(delta.extra or {}, screen)
        return blocked[0] if blocked else None

    def _screen_text(self, text: str) -> tuple[str, Hit | None]:
        """Screen a text that came whole beside the answer."""
        screened = self._lexicon.screen(text, replace=self._replace)
        if screened.hits:
            self._count(screened.hits, "output")
        return screened.text, screened.blocked

    def _refusal(self, hit: Hit) -> SensitiveContent:
        error = hit.refusal("output")
        ended = (place for place, screen in self._screens.items() if screen.blocked is hit)
        error.where = next(ended, (0, "extra", 0))[1]
        return error

    def _feed(self, place: _Place, text: str, ends: bool) -> tuple[str, Hit | None]:  # noqa: FBT001  # hot
        """What may leave of a text's next piece, with which it perhaps ends."""
        screen = self._screens.get(place)
        if screen is None:
            if not text:
                return "", None
            if ends:
                # A text that comes whole needs no memory of what came before; unless a hit must cut it.
                screened = self._lexicon.screen(text, replace=self._replace)
                if screened.blocked is None:
                    self._count(screened.hits, "output")
                    return screened.text, None
            screen = self._screens[place] = StreamScreen(self._lexicon, replace=self._replace)
        seen = len(screen.hits)
        out = _fed(screen, text) if text else ""
        if ends:
            out += screen.finish()
            if screen.blocked is None:
                del self._screens[place]
        if len(screen.hits) > seen:
            self._count(screen.hits[seen:], "output")
        return out, screen.blocked

    def _feed_calls(self, delta: Delta) -> Hit | None:
        fragments = []
        for fragment in delta.tool_calls:
            place = (delta.index, "call", fragment.index)
            arguments, blocked = self._feed(place, fragment.arguments, ends=False)
            if blocked is not None:
                return blocked
            fragments.append(replace(fragment, arguments=arguments))
        delta.tool_calls = tuple(fragments)
        return None

    def _end_calls(self, delta: Delta) -> Hit | None:
        """Let go of what the calls of the ending choice still hold back."""
        for place in [p for p in self._screens if p[0] == delta.index and p[1] == "call"]:
            arguments, blocked = self._feed(place, "", ends=True)
            if blocked is not None:
                return blocked
            if arguments:
                delta.tool_calls += (ToolCallFragment(place[2], arguments=arguments),)
        return None

    def _count(self, hits: Sequence[Hit], direction: Literal["input", "output"]) -> None:
        for (category, action), count in Counter(
            (hit.category, hit.action) for hit in hits
        ).items():
            self._telemetry.sensitive_hits(category, direction, count)
            log.info(
                "sensitive.hits",
                category=category,
                direction=direction,
                action=action,
                hits=count,
            )


def _fed(screen: StreamScreen, text: str) -> str:
    """Feed a piece; a huge one window by window, so that other threads run in between."""
    if len(text) <= WINDOW:
        return screen.feed(text)
    out = []
    for start in range(0, len(text), WINDOW):
        out.append(screen.feed(text[start : start + WINDOW]))
        time.sleep(BREATH_S)
    return "".join(out)


def _is_plain(delta: Delta) -> bool:
    return not (
        not delta.text
        or delta.finish_reason is not None
        or delta.reasoning
        or delta.tool_calls
        or delta.usage is not None
        or delta.extra
        or delta.refusal
        or delta.logprobs
    )


def _show(delta: Delta, shown: list[Delta]) -> None:
    """Keep a delta that still says anything."""
    if (
        delta.text
        or delta.reasoning
        or delta.finish_reason
        or delta.tool_calls
        or delta.usage is not None
        or delta.extra
        or delta.refusal
        or delta.logprobs
    ):
        shown.append(delta)
