"""
Screening a text that arrives in pieces, and must leave in pieces.

What is found is the business of the scans; here it is decided what may leave, and what it looks like then.
"""

from __future__ import annotations

from collections.abc import Sequence

from fengchao_core.sensitive.hits import MOST_TOLD, Hit, star
from fengchao_core.sensitive.lexicon import Lexicon, to_hit
from fengchao_core.sensitive.scan import Found
from fengchao_core.sensitive.search import open_search


class StreamScreen:
    """
    Screens one text that arrives in pieces: one choice's answer, its reasoning, or one tool call's arguments.

    What leaves is what `Lexicon.screen` makes of the whole text, as early as it is certain: only an end that could still
    become a word is held back, never more than `lexicon.reach` characters. What has left is never taken back.

    Use by one task at a time. To give up a text, forget the screen.

    Args:
        lexicon: the words.
        replace: star the hits of blocking words instead of ending the text.

    Attributes:
        hits: every hit so far, by place, up to `MOST_TOLD`. Positions count from the beginning of the text.
        blocked: the hit that ended the text, or None. What comes after it is swallowed.

    Example:
        >>> from fengchao_core.sensitive import Lexicon, StreamScreen, WordList
        >>> screen = StreamScreen(Lexicon.build([WordList("示例", ("敏感词",))]), replace=True)
        >>> [screen.feed(piece) for piece in ("一个敏", "感", "词，", "完")] + [screen.finish()]
        ['一个', '', '***，', '完', '']
        >>> screen.hits
        [Hit(start=2, end=5, category='示例', action='block')]
    """

    __slots__ = ("_held", "_replace", "_search", "_sent", "_spans", "blocked", "hits")

    def __init__(self, lexicon: Lexicon, *, replace: bool = False) -> None:
        self._search = open_search(lexicon.readings) if lexicon.readings else None
        self._replace = replace
        self._held = ""
        self._sent = 0
        self._spans: list[tuple[int, int]] = []
        self.hits: list[Hit] = []
        self.blocked: Hit | None = None

    @property
    def held(self) -> str:
        """What is held back."""
        return self._held

    def feed(self, text: str, *, final: bool = False) -> str:
        """
        Take the next piece and give what may leave now; look at `blocked` afterwards.

        Costs microseconds. A piece of many thousand characters is better fed in a thread.

        Args:
            final: the text ends with it.
        """
        search = self._search
        if search is None:
            return text
        if self.blocked is not None:
            return ""
        found = search.advance(text, final=final)
        sent = self._sent
        self._sent = settled = self._take(found, search.settled) if found else search.settled
        held = self._held + text
        ready, self._held = held[: settled - sent], held[settled - sent :]
        if self._spans:
            ready = star(ready, [(start - sent, end - sent) for start, end in self._spans])
            self._spans = [span for span in self._spans if span[1] > settled]
        return ready

    def finish(self) -> str:
        """Give what is still held back, since the text has ended; look at `blocked` afterwards."""
        return self.feed("", final=True)

    def _take(self, found: Sequence[Found], settled: int) -> int:
        """Take hits; return how far the text may leave."""
        for one in found:
            hit = to_hit(one)
            if len(self.hits) < MOST_TOLD:
                self.hits.append(hit)
            if hit.is_starred(replace=self._replace):
                self._spans.append((hit.start, hit.end))
            elif hit.action == "block":
                self.blocked = hit
                return hit.start
        return settled
