"""Tool calls in Qwen's format: JSON between `<tool_call>` tags, anywhere in the answer."""

from __future__ import annotations

import uuid

import orjson

from fengchao_core.types import ToolCallFragment

OPEN = "<tool_call>"
CLOSE = "</tool_call>"


class CallSplitter:
    """
    Splits streamed text into words and calls. A call comes out whole, when its closing tag has come.

    What stands between tags and is no call (no JSON object with a name) stays text, as the model wrote it.
    """

    __slots__ = ("_gap", "_held", "_inside", "count")

    def __init__(self) -> None:
        self._held = ""
        self._gap = ""  # white space before a call goes with it, and stays where it is none
        self._inside = False
        self.count = 0

    def feed(self, text: str) -> tuple[str, tuple[ToolCallFragment, ...]]:
        """The words and calls that are certain by now."""
        held = self._held + text
        words: list[str] = []
        calls: list[ToolCallFragment] = []
        while True:
            tag = CLOSE if self._inside else OPEN
            at = held.find(tag)
            if at < 0:
                break
            before, held = held[:at], held[at + len(tag) :]
            if self._inside:
                call = self._call(before)
                if call is None:
                    words.append(f"{self._gap}{OPEN}{before}{CLOSE}")
                else:
                    calls.append(call)
            else:
                words.append(before.rstrip())
                self._gap = before[len(words[-1]) :]
            self._inside = not self._inside
        if not self._inside:
            keep = _uncertain(held)
            words.append(held[: len(held) - keep])
            held = held[len(held) - keep :]
        self._held = held
        return "".join(words), tuple(calls)

    def close(self) -> tuple[str, tuple[ToolCallFragment, ...]]:
        """What was held back, at the end of the answer; a call without its closing tag counts if it is whole."""
        held, self._held = self._held, ""
        if not self._inside:
            return ("" if self.count and not held.strip() else held), ()
        self._inside = False
        call = self._call(held)
        return (f"{self._gap}{OPEN}{held}", ()) if call is None else ("", (call,))

    def _call(self, text: str) -> ToolCallFragment | None:
        try:
            call = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return None
        arguments = call.get("arguments", {})
        written = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
        fragment = ToolCallFragment(
            self.count, f"call_{uuid.uuid4().hex[:24]}", call["name"], written
        )
        self.count += 1
        return fragment


def _uncertain(text: str) -> int:
    """How many characters at the end may begin the opening tag, or be the white space before it."""
    tag = next(
        (n for n in range(min(len(OPEN) - 1, len(text)), 0, -1) if OPEN.startswith(text[-n:])), 0
    )
    kept = text[: len(text) - tag]
    return tag + len(kept) - len(kept.rstrip())
