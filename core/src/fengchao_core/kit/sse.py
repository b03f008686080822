"""
Server-sent events, parsed as the bytes come.

Lines end in LF, CR or CRLF and are split as bytes, so U+2028 and its like in a JSON text survive, and a character that
is cut by a network read is whole again before anybody decodes it. Any split of the same bytes gives the same events.
Source: WHATWG HTML, "Server-sent events", read 2026-11-20; `id` and `retry` are of no use here and ignored.
"""

from __future__ import annotations

from fengchao_core.errors import ProviderProtocolError

MAX_EVENT_BYTES = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"


class SseParser:
    """
    Turns reads into events. One object per stream; pure, no I/O.

    `feed` gives the data of the events that ended in this read, and `close`, once at the end, that of a last event
    which the vendor did not end with an empty line. Where the names of events matter, call `feed_named` and
    `close_named` instead, which give `(name, data)` with an empty name for events that have none.

    The usual stream (each event one `data:` line, read whole) is cut by four calls into C, whatever the number of
    events; everything else goes line by line.

    Args:
        max_event_bytes: the longest line, and the longest data of one event.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_is_first",
        "_limit",
        "_name",
        "_size",
        "_tail",
        "_tail_size",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._tail: list[bytes] = []  # the pieces of a line that has not ended
        self._tail_size = 0
        self._data: list[bytes] = []  # the data lines of an event that has not ended
        self._size = 0
        self._name = b""
        self._after_cr = False
        self._is_first = True

    def feed(self, read: bytes) -> list[bytes]:
        """
        The data of each event that this read completes, in order.

        Raises:
            ProviderProtocolError: a line or an event is longer than the limit.
        """
        lines = read
        if self._tail or self._after_cr or read[-2:] != b"\n\n" or b"\r" in read:
            lines = self._complete(read)
            if not lines:
                return []
        if not self._data and not self._name and len(lines) <= self._limit:
            events = _simple(lines)
            if events is not None:
                self._is_first = False
                return events
        return [data for _, data in self._parse(lines)]

    def feed_named(self, read: bytes) -> list[tuple[str, bytes]]:
        """The name and the data of each event that this read completes. Raises as `feed`."""
        return self._parse(self._complete(read))

    def close(self) -> list[bytes]:
        """The data of an event that the end of the stream completes."""
        return [data for _, data in self.close_named()]

    def close_named(self) -> list[tuple[str, bytes]]:
        """The name and the data of an event that the end of the stream completes."""
        last, self._tail, self._tail_size = b"".join(self._tail), [], 0
        return self._parse(last + b"\n\n")

    def _complete(self, read: bytes) -> bytes:
        """The lines that have ended by now, each ended by LF; the rest waits."""
        if self._after_cr and read:
            self._after_cr = False
            if read[0] == 0x0A:  # the other half of a CRLF
                read = read[1:]
        if b"\r" in read:
            self._after_cr = read[-1] == 0x0D
            read = read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = read.rfind(b"\n") + 1
        if end == 0:
            if read:
                self._keep(read)
            return b""
        lines = read if end == len(read) else read[:end]
        if self._tail:
            lines = b"".join((*self._tail, lines))
            self._tail = []
            self._tail_size = 0
        if end != len(read):
            self._keep(read[end:])
        return lines

    def _keep(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_size += len(piece)
        if self._tail_size > self._limit:
            raise self._too_long()

    def _parse(self, lines: bytes) -> list[tuple[str, bytes]]:
        events: list[tuple[str, bytes]] = []
        if not lines:
            return events
        every = lines.split(b"\n")
        every.pop()  # what follows the last LF is empty
        if self._is_first:
            self._is_first = False
            every[0] = every[0].removeprefix(_BOM)
        for line in every:
            if not line:
                if self._data:
                    events.append((self._name.decode("utf-8", "replace"), b"\n".join(self._data)))
                    self._data = []
                    self._size = 0
                self._name = b""
                continue
            self._size += len(line)
            if self._size > self._limit:
                raise self._too_long()
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value.removeprefix(b" "))
            elif field == b"event":
                self._name = value.removeprefix(b" ")
            if not self._data:
                self._size = 0  # comments between events may go on forever
        return events

    def _too_long(self) -> ProviderProtocolError:
        return ProviderProtocolError(
            f"an event of the provider's stream is longer than {self._limit} bytes"
        )


def _simple(lines: bytes) -> list[bytes] | None:
    """The data of events that are one `data:` line each; None where the lines hold anything else."""
    if not lines.endswith(b"\n\n"):
        return None
    if lines.startswith(b"data: "):
        events = lines[6:-2].split(b"\n\ndata: ")
    elif lines.startswith(b"data:"):
        events = [event.removeprefix(b" ") for event in lines[5:-2].split(b"\n\ndata:")]
    else:
        return None
    # Each event took two LFs: where there are more, some line was not cut here.
    return events if lines.count(b"\n") == 2 * len(events) else None
