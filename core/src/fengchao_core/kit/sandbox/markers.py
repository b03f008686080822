"""
Markers: what a tester writes into a prompt to steer a sandbox, and the faults among them.

A marker looks like `[[name:body]]`. `Faults.from_prompt` documents the faults; `tools`, `say` and `length` steer the
answer and are read by `answers.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace

_MARKER = re.compile(r"\[\[(fault|tools|say|length)(?::(.*?))?\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker: `[[name:body]]`."""

    name: str
    body: str


def markers(text: str) -> Iterator[Marker]:
    """The markers of a text, in order."""
    for match in _MARKER.finditer(text):
        yield Marker(match[1], (match[2] or "").strip())


def without_markers(text: str) -> str:
    """The text as a person would read it."""
    return _MARKER.sub("", text).strip()


@dataclass(frozen=True, slots=True)
class Faults:
    """
    What shall go wrong with one call.

    Attributes:
        latency: seconds to wait before the first byte.
        pace: seconds to wait before each event of a stream.
        refusal: why the call is refused: `429`, `500`, `503`, `expired_token`, `content_filter`, `arrears`,
            `too_long`, or another word. Each vendor turns it into its own status, code and words; a word that a
            vendor does not know (a misspelt marker) shall be its «bad parameter», with the word in the message.
        retry_after: seconds, for a refusal's Retry-After.
        refusal_after: events after which the refusal comes in the middle of a stream; None: before anything.
        cut_after: events after which the connection is torn down; in a whole answer, half of the body.
        half_line_after: events after which half an event is sent and the stream ends as if all were well.
        silence_after: events after which nothing more comes, on an open connection.
        malformed_after: events after which an event comes that is not JSON.
        split_utf8: write every event in small pieces that cut characters and lines apart.
    """

    latency: float = 0.0
    pace: float = 0.0
    refusal: str | None = None
    retry_after: float | None = None
    refusal_after: int | None = None
    cut_after: int | None = None
    half_line_after: int | None = None
    silence_after: int | None = None
    malformed_after: int | None = None
    split_utf8: bool = False

    @classmethod
    def from_prompt(cls, text: str, spent: MutableMapping[str, int] | None = None) -> Faults:
        """
        Read the faults out of a prompt.

        One marker each: `[[fault:latency=0.5]]`, `[[fault:pace=0.02]]`, `[[fault:429 retry_after=2]]`,
        `[[fault:500]]`, `[[fault:500 after=3]]`, `[[fault:503]]`, `[[fault:expired_token]]`,
        `[[fault:content_filter]]`, `[[fault:arrears]]`, `[[fault:too_long]]`, `[[fault:cut after=3]]`,
        `[[fault:half_line after=2]]`, `[[fault:silence after=2]]`, `[[fault:malformed after=1]]`,
        `[[fault:split_utf8]]`. `after` counts events; 0 where it is left out (2 for `half_line`).

        `once=KEY` in any of them makes it happen once for this KEY, `times=N` N times; then the call succeeds.

        Args:
            text: the last user text.
            spent: how often each key was used up so far; it is counted up. None: `once` and `times` have no memory.
        """
        found = cls()
        for marker in markers(text):
            if marker.name != "fault" or not marker.body:
                continue
            head, *rest = marker.body.split()
            options = dict(word.partition("=")[::2] for word in rest)
            try:
                if _is_due(marker.body, options, spent):
                    found = found._with(head, options)
            except ValueError:
                found = replace(found, refusal=marker.body)
        return found

    def _with(self, head: str, options: dict[str, str]) -> Faults:
        kind, _, value = head.partition("=")
        after = int(options["after"]) if "after" in options else None
        match kind:
            case "latency":
                return replace(self, latency=float(value))
            case "pace":
                return replace(self, pace=float(value))
            case "cut":
                return replace(self, cut_after=after or 0)
            case "half_line":
                return replace(self, half_line_after=2 if after is None else after)
            case "silence":
                return replace(self, silence_after=after or 0)
            case "malformed":
                return replace(self, malformed_after=after or 0)
            case "split_utf8":
                return replace(self, split_utf8=True)
            case _:
                wait = options.get("retry_after")
                return replace(
                    self,
                    refusal=kind,
                    refusal_after=after,
                    retry_after=None if wait is None else float(wait),
                )


def _is_due(body: str, options: dict[str, str], spent: MutableMapping[str, int] | None) -> bool:
    """Whether a fault that shall happen only so often happens now; counts it if it does."""
    if spent is None or not ("once" in options or "times" in options):
        return True
    key = options.get("once", body)
    used = spent.get(key, 0)
    if used >= int(options.get("times", "1")):
        return False
    spent[key] = used + 1
    return True
