"""
The last events of a journal, in a file that is mapped into memory.

To store one there is no system call, and yet it outlives the process as a write would: the memory is the system's.

    <owner>/tail    three numbers of eight bytes (the segment and the offset in it that the bytes belong at, and how many
                    they are), then the bytes

A number is stored at once or not at all, and the count only after what it counts: a process that dies in between has
stored the events before. What stands here is written to its segment in one go, and forgotten here after that; a death
between the two leaves it in both places, and `read_segment` takes it once.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

NAME: Final = "tail"

_ROOM: Final = 64 * 1024
_HEADER: Final = struct.Struct("=QQQ")
_START: Final = 64
_SEGMENT, _OFFSET, _COUNT = range(3)
_LEAST_FREE: Final = 4 * 1024 * 1024
_READINGS: Final = 100
_MOST_LOST: Final = 64 * 1024 * 1024


class Staged(NamedTuple):
    """What a tail holds, and where it belongs."""

    segment: int
    offset: int
    data: bytes


class Tail:
    """
    The tail of one's own journal. For one thread.

    Args:
        folder: of the journal; a tail that is there already is overwritten.

    Attributes:
        is_lasting: whether what is stored outlives the process; not so on the few file systems that map no files.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._map: mmap.mmap | None = None
        fd = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Real zeros and no hole: a page that has no room on the disk would end the process when it is stored to.
            empty = bytes(_START + _ROOM)
            if os.write(fd, empty) != len(empty):
                raise OSError("the disk is full")
            with contextlib.suppress(OSError):
                self._map = mmap.mmap(fd, len(empty))
        finally:
            os.close(fd)
        self.is_lasting = self._map is not None
        self._bytes = memoryview(self._map or bytearray(empty))
        self._numbers = self._bytes[: _HEADER.size].cast("Q")
        self._end = _START
        self._most = 0

    def put(self, line: bytes) -> bool:
        """Store an event. False where there is no room left, or none is given."""
        end = self._end + len(line)
        if end > self._most:
            return False
        self._bytes[self._end : end] = line
        self._numbers[_COUNT] = end - _START
        self._end = end
        return True

    @property
    def size(self) -> int:
        """How many bytes are stored."""
        return self._end - _START

    @property
    def data(self) -> memoryview:
        """What is stored; valid until the next call."""
        return self._bytes[_START : self._end]

    def give(self, room: int) -> None:
        """Let so many bytes be stored in all, as far as they fit; 0: nothing more."""
        self._most = _START + max(0, min(room, _ROOM))

    def begin(self, segment: int, offset: int) -> None:
        """Forget what is stored. What comes next belongs at this place."""
        self._numbers[_COUNT] = 0
        self._numbers[_SEGMENT] = segment
        self._numbers[_OFFSET] = offset
        self._end = _START

    def is_safe(self) -> bool:
        """
        Whether the disk has room to spare.

        On a file system that never overwrites a block, storing to a page may need a new one, and where there is none the
        process would be ended.
        """
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return False
        return found.f_bavail * found.f_frsize >= _LEAST_FREE

    def close(self) -> None:
        """Let go of the memory; the file stays. Nothing more is stored."""
        self._most = 0
        self._numbers.release()
        self._bytes.release()
        if self._map is not None:
            self._map.close()


def read_tail(folder: Path) -> Staged | None:
    """
    What the tail of a journal holds; None where there is nothing. Its process may be storing to it meanwhile.

    Raises:
        OSError: it cannot be read.
    """
    try:
        fd = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        for _ in range(_READINGS):
            before = os.pread(fd, _HEADER.size, 0)
            if len(before) < _HEADER.size:
                return None
            segment, offset, count = _HEADER.unpack(before)
            if not count:
                return None
            data = os.pread(fd, min(count, _ROOM), _START)
            # That more has come does no harm. That it was emptied does: other events stand here now.
            if _HEADER.unpack(os.pread(fd, _HEADER.size, 0))[:2] == (segment, offset):
                return Staged(segment, offset, data)
    finally:
        os.close(fd)
    raise OSError(f"{NAME} changes faster than it can be read")


def read_segment(number: int, path: Path) -> bytes:
    """
    All events of a segment: those of its file, and those of the journal's tail that belong behind them.

    Raises:
        OSError: it cannot be read.
    """
    # In this order: what leaves the tail after it was read is in the file by then.
    staged = read_tail(path.parent)
    return _joined(number, path.read_bytes(), staged)


def complete(number: int, path: Path) -> None:
    """
    Write what only the tail has to the segment it belongs to. For whoever holds the journal of a dead process.

    May be done again where it was cut in the middle.

    Raises:
        OSError: it cannot be written.
    """
    staged = read_tail(path.parent)
    if staged is None or staged.segment != number:
        return
    with path.open("r+b") as file:
        data = file.read()
        whole = _joined(number, data, staged)
        if whole is not data:
            file.seek(0)
            file.write(whole)
            file.truncate()


def _joined(number: int, data: bytes, staged: Staged | None) -> bytes:
    """
    What a segment's file has, and what the tail has behind it, where that was not written, or not to its end.

    Where the machine died, the disk may have file and tail as they were at different instants: then each is kept whole,
    and nothing stands before the offset it had, because what is before a mark counts as shipped.
    """
    if staged is None or staged.segment != number:
        return data
    behind = data[staged.offset :]
    if behind.startswith(staged.data):
        return data
    if staged.data.startswith(behind):
        lost = staged.offset - len(data)
        gap = b"" if lost <= 0 else b"\n".rjust(min(lost, _MOST_LOST))
        return data[: staged.offset] + gap + staged.data
    known = set(data.split(b"\n"))
    more = [line for line in staged.data.split(b"\n")[:-1] if line not in known]
    if not more:
        return data
    end = b"" if data.endswith(b"\n") else b"\n"
    return data + end + b"\n".join(more) + b"\n"
