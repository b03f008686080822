"""
Screening a text that arrives in pieces, and must leave in pieces.

What is found is the business of the scans; here it is decided what may leave, and what it looks like then.
"""

from __future__ import annotations

from fengchao_core.sensitive.hits import Hit, star
from fengchao_core.sensitive.lexicon import Lexicon, in_order, to_hit
from fengchao_core.sensitive.scan import Found, Scan


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
        hits: every hit so far, by place. Positions count from the beginning of the text.
        blocked: the hit that ended the text, or None. What comes after it is swallowed.

    Example:
        >>> from fengchao_core.sensitive import Lexicon, StreamScreen, WordList
        >>> screen = StreamScreen(Lexicon.build([WordList("示例", ("敏感词",))]), replace=True)
        >>> [screen.feed(piece) for piece in ("一个敏", "感", "词，", "完")] + [screen.finish()]
        ['一个', '', '***，', '完', '']
        >>> screen.hits
        [Hit(start=2, end=5, category='示例', action='block')]
    """

    __slots__ = ("_held", "_replace", "_scans", "_sent", "_spans", "_told", "blocked", "hits")

    def __init__(self, lexicon: Lexicon, *, replace: bool = False) -> None:
        self._scans = [Scan(reading) for reading in lexicon.readings]
        self._replace = replace
        self._held = ""
        self._sent = 0
        self._told: list[Found] = []
        self._spans: list[tuple[int, int]] = []
        self.hits: list[Hit] = []
        self.blocked: Hit | None = None

    def feed(self, text: str) -> str:
        """
        Take the next piece and give what may leave now; look at `blocked` afterwards.

        Costs microseconds. A piece of many thousand characters is better fed in a thread.
        """
        return self._advance(text, final=False)

    def finish(self) -> str:
        """Give what is still held back, since the text has ended; look at `blocked` afterwards."""
        return self._advance("", final=True)

    def _advance(self, text: str, *, final: bool) -> str:
        if not self._scans:
            return text
        if self.blocked is not None:
            return ""
        self._held += text
        told = self._told
        settled = self._sent + len(self._held)
        for scan in self._scans:
            told += scan.advance(text, final=final)
            settled = min(settled, scan.settled)
        if told:
            settled = self._release(settled)
        ready, self._held = self._held[: settled - self._sent], self._held[settled - self._sent :]
        if self._spans:
            sent = self._sent
            ready = star(ready, [(start - sent, end - sent) for start, end in self._spans])
            self._spans = [span for span in self._spans if span[1] > settled]
        self._sent = settled
        return ready

    def _release(self, settled: int) -> int:
        """Tell the hits before `settled`, since no earlier one can come; return how far the text may leave."""
        self._told = in_order(self._told)
        later = []
        for found in self._told:
            if found.start >= settled:
                later.append(found)
                continue
            hit = to_hit(found)
            self.hits.append(hit)
            if hit.is_starred(replace=self._replace):
                self._spans.append((hit.start, hit.end))
            elif hit.action == "block":
                self.blocked = hit
                self._held = self._held[: hit.start - self._sent]
                return hit.start
        self._told = later
        return settled
