"""Server-sent events out of bytes, however the bytes were split."""

from __future__ import annotations

from collections.abc import Iterator

MAX_EVENT_BYTES = 16 * 1024 * 1024


class EventTooLargeError(ValueError):
    """An event grew beyond every measure."""


class EventParser:
    """
    Takes the bytes of a stream as they come and gives the `data` of each whole event.

    Lines end in LF or CRLF; comments and every other field are skipped; several `data` lines of an event join by LF.

    Args:
        max_event_bytes: an event beyond it is an error.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """
        Take bytes; yields the events they complete.

        Raises:
            EventTooLargeError: an event is too large.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._size + len(self._rest) > self._max:
            raise EventTooLargeError
        for line in lines:
            if event := self._line(line.removesuffix(b"\r")):
                yield event

    def close(self) -> Iterator[bytes]:
        """The stream has ended; yields an event that lacks its closing blank line."""
        for line in (self._rest.removesuffix(b"\r"), b""):
            if event := self._line(line):
                yield event
        self._rest = b""

    def _line(self, line: bytes) -> bytes:
        if line.startswith(b"data:"):
            value = line[5:].removeprefix(b" ")
            self._size += len(value)
            self._data.append(value)
        elif not line and self._data:
            event = b"\n".join(self._data)
            self._data.clear()
            self._size = 0
            return event
        return b""
