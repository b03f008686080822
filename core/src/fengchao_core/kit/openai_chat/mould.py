"""What the chunks of one stream have in common, so that most of them are read without taking their JSON apart."""

from __future__ import annotations

import re

import orjson

_CONTENT = re.compile(rb'"content":\s*("[^"\\]*(?:\\.[^"\\]*)*")')
_PROBE = "?"


class Mould:
    """
    The bytes of a chunk before and after its text.

    Chunks of a stream differ in little but their text. Whatever begins and ends as a chunk that was read in full, and has
    one JSON string between, is that chunk with another text: JSON means the same wherever it stands. Taking it apart
    would cost five times as much.

    Args:
        head: what stands before the text's opening quote.
        tail: what stands after its closing quote.
        index: the choice of the chunk.
    """

    __slots__ = ("_after", "_before", "_head", "_tail", "index")

    def __init__(self, head: bytes, tail: bytes, index: int) -> None:
        self._head = head
        self._tail = tail
        self._before = len(head)
        self._after = -len(tail)
        self.index = index

    def text(self, event: bytes) -> str | None:
        """The text of a chunk of this shape; None where it has another."""
        if not (event.startswith(self._head) and event.endswith(self._tail)):
            return None
        try:
            text = orjson.loads(event[self._before : self._after])
        except orjson.JSONDecodeError:
            return None
        return text if type(text) is str else None


def mould_of(event: bytes, text: str, index: int) -> Mould | None:
    """
    The mould of a chunk whose only choice holds this text; None where the text cannot be told from the rest.

    Whether the right string was found is tried out: with another one in its place, the chunk has to hold that text.
    """
    found = _CONTENT.search(event)
    if found is None or text == _PROBE:
        return None
    head, tail = event[: found.start(1)], event[found.end(1) :]
    try:
        chunk = orjson.loads(b'%b"%b"%b' % (head, _PROBE.encode(), tail))
        held = chunk["choices"][0]["delta"]["content"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None
    return Mould(head, tail, index) if held == _PROBE else None
