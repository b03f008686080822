"""Thinking that a model wrote into its text, between `<think>` tags at the very start."""

from __future__ import annotations

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkSplitter:
    """
    Splits streamed text into thinking and answer; any split of the text gives the same two.

    Only tags at the start count: later ones are the answer's own. White space around the tags belongs to neither.
    """

    __slots__ = ("_held", "_phase")

    def __init__(self) -> None:
        self._phase = "start"  # then "thinking", "gap" and "answer"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """The thinking and the answer text that are certain by now."""
        if self._phase == "answer":
            return "", text
        held = self._held + text
        thinking = ""
        if self._phase == "start":
            begun = held.lstrip()
            if begun.startswith(_OPEN):
                self._phase = "opened"
                held = begun[len(_OPEN) :]
            elif _OPEN.startswith(begun):
                self._held = held
                return "", ""
            else:
                self._phase = "answer"
                self._held = ""
                return "", held
        if self._phase == "opened":
            held = held.lstrip()
            if not held:
                self._held = ""
                return "", ""
            self._phase = "thinking"
        if self._phase == "thinking":
            end = held.find(_CLOSE)
            if end < 0:
                keep = _uncertain(held)
                self._held = held[len(held) - keep :]
                return held[: len(held) - keep], ""
            thinking, held = held[:end].rstrip(), held[end + len(_CLOSE) :]
            self._phase = "gap"
        answer = held.lstrip()
        self._held = ""
        if answer:
            self._phase = "answer"
        return thinking, answer

    def close(self) -> tuple[str, str]:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return (held, "") if self._phase == "thinking" else ("", held)


def _uncertain(text: str) -> int:
    """How many characters at the end may be white space before, or the beginning of, the closing tag."""
    length = next(
        (n for n in range(min(len(_CLOSE) - 1, len(text)), 0, -1) if _CLOSE.startswith(text[-n:])),
        0,
    )
    kept = text[: len(text) - length]
    return length + len(kept) - len(kept.rstrip())
