"""
The same table of counters for the several processes of one machine.

It is a file that all map into memory: where the system has a memory file system it lies there, so that no disk is ever
waited for, else in the data folder. Whoever changes it holds its lock for some microseconds; the kernel lets go of the
lock of a process that dies. What a request holds back is kept twice: in its counter, and in the column of its own process.
A process holds the lock of its column as long as it lives; the others notice when it does not, and take its column off.

    head    [8]
    table   [CAPACITY][ROW]            the counters
    names   [CAPACITY][2]              their names' hashes, in the order in which they were made
    columns [PROCESSES][CAPACITY]      what each process holds back

The first process to open it while nobody else does begins it anew; the last to close it takes it away.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import stat
import struct
import time
from collections.abc import Iterator, MutableSequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from fengchao_core.errors import SetupError, StoreUnavailable
from fengchao_core.limiter.cells import HELD, ROW
from fengchao_core.logs import Log

log = Log()

CAPACITY: Final = 65_536
"""Counters that there can be. A key with three limits has three."""

PROCESSES: Final = 256

_COUNT: Final = 0
"""In the head: how many counters there are."""

_TABLE: Final = 8
_NAMES: Final = _TABLE + CAPACITY * ROW
_COLUMNS: Final = _NAMES + CAPACITY * 2
_WORD: Final = 8
_SIZE: Final = (_COLUMNS + PROCESSES * CAPACITY) * _WORD

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of ours alone is made in it, see `_folder`
_PATIENCE_S: Final = 1.0


class SharedCells:
    """
    Counters that every process with the same `home` has in common. `close()` it.

    Args:
        home: the gateway's data folder: whose counters they are.

    Attributes:
        folder: where the file lies while anybody has it open.

    Raises:
        SetupError: the file cannot be made, or too many processes share it.
    """

    def __init__(self, home: Path) -> None:
        folder = self.folder = _folder(home)
        try:
            self._lock = _locked(folder)
            try:
                self._column, self._life = self._claim()
                file = _open(folder / "table")
                try:
                    if not self._others_live():
                        os.ftruncate(file, 0)
                    self._map = _mapped(file, self._column)
                finally:
                    os.close(file)
                self._words = memoryview(self._map).cast("q")
                self._take_off(self._column)  # what the last process of this column left
            finally:
                self.give()
        except OSError as error:
            raise SetupError(
                f"the counters that the workers share cannot be kept in {folder}: {error.strerror}; "
                "make room there, or set server.workers to 1"
            ) from error
        first = _COLUMNS + self._column * CAPACITY
        self.table: MutableSequence[int] = cast("MutableSequence[int]", self._words[_TABLE:_NAMES])
        self.held: MutableSequence[int] = cast(
            "MutableSequence[int]", self._words[first : first + CAPACITY]
        )
        self._places: dict[str, int] = {}
        self._known: dict[tuple[int, int], int] = {}

    def place(self, name: str) -> int:
        """Where the row of a counter begins. Raises `StoreUnavailable` where there is no room for more."""
        place = self._places.get(name)
        if place is None:
            self.take()
            try:
                place = self._places[name] = self._find(name) * ROW
            finally:
                self.give()
        return place

    def names(self) -> Iterator[tuple[str, int]]:
        """The counters that this process has asked for, and their places."""
        return iter(tuple(self._places.items()))

    def take(self) -> None:
        """
        Hold the table.

        The holder has some microseconds of work. One that was stopped in the middle of it does not stop everybody: after
        a second the others go on, and what it still writes is put right by the next synchronisation.
        """
        if not _lock(self._lock):
            self._wait()

    def give(self) -> None:
        """Let go of it."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def sweep(self) -> int:
        """Give back what processes that died held. Returns how many of them held anything."""
        gone = 0
        for column in self._columns():
            path = self.folder / f"process-{column}"
            if column == self._column or _lives(path):
                continue
            self.take()
            try:
                if not _lives(path):  # nobody took its place meanwhile
                    gone += self._take_off(column)
                    path.unlink(missing_ok=True)
            finally:
                self.give()
        if gone:
            log.warning("limits.released", processes=gone)
        return gone

    def close(self) -> None:
        """Give back everything that this process holds."""
        self.take()
        try:
            self._take_off(self._column)
            (self.folder / f"process-{self._column}").unlink(missing_ok=True)
            if not self._others_live():
                for name in ("table", "lock"):  # the lock last: until then nobody else begins
                    (self.folder / name).unlink(missing_ok=True)
        finally:
            self.give()
        with suppress(OSError):  # somebody came meanwhile
            self.folder.rmdir()
        for view in (self.table, self.held, self._words):
            cast("memoryview", view).release()
        self._map.close()
        os.close(self._life)
        os.close(self._lock)

    def _find(self, name: str) -> int:
        """The number of a counter; a new one where nobody made it yet. The table is held."""
        wanted = struct.unpack("qq", hashlib.blake2b(name.encode(), digest_size=16).digest())
        words, known = self._words, self._known
        count = words[_COUNT]
        for number in range(len(known), count):
            at = _NAMES + 2 * number
            known[words[at], words[at + 1]] = number
        found = known.get(wanted)
        if found is not None:
            return found
        if count >= CAPACITY:
            log.error("limits.full", capacity=CAPACITY)
            raise StoreUnavailable(
                f"there are more than {CAPACITY} limits; a restart forgets those of keys that are gone"
            )
        at = _NAMES + 2 * count
        words[at], words[at + 1] = wanted
        words[_COUNT] = count + 1
        known[wanted] = count
        return count

    def _take_off(self, column: int) -> bool:
        """
        Empty a column, and count anew what the others hold. The table is held. Returns whether anything was in it.

        Anew, because its process may have died between the two halves of a step.
        """
        words = self._words
        first = _COLUMNS + column * CAPACITY
        count = words[_COUNT]
        if not any(words[first : first + count]):
            return False
        words[first : first + count] = memoryview(bytes(count * _WORD)).cast("q")
        columns = [_COLUMNS + other * CAPACITY for other in self._columns() if other != column]
        for number in range(count):
            words[_TABLE + number * ROW + HELD] = sum(words[at + number] for at in columns)
        return True

    def _columns(self) -> list[int]:
        return [int(path.name.partition("-")[2]) for path in self.folder.glob("process-*")]

    def _claim(self) -> tuple[int, int]:
        """A column of our own, and the file whose lock says that we live. The table is held."""
        for column in range(PROCESSES):
            file = _open(self.folder / f"process-{column}")
            if _lock(file):
                return column, file
            os.close(file)
        raise SetupError(f"more than {PROCESSES} processes share the data folder")

    def _others_live(self) -> bool:
        mine = f"process-{self._column}"
        return any(_lives(path) for path in self.folder.glob("process-*") if path.name != mine)

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        pause = 0.00002
        while time.monotonic() < end:
            time.sleep(pause)
            pause = min(pause * 2, 0.001)
            if _lock(self._lock):
                return
        log.error("limits.lock_stuck", after_s=_PATIENCE_S)


def _folder(home: Path) -> Path:
    """Where the file lies: in memory where the system offers that, and no other user can have made it."""
    home.mkdir(parents=True, exist_ok=True)
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
        digest = hashlib.blake2b(str(home.resolve()).encode(), digest_size=8).hexdigest()
        folder = _MEMORY / f"fengchao-{os.getuid()}-{digest}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            return _made(home / "limits")
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return folder
    return _made(home / "limits")


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _mapped(file: int, column: int) -> mmap.mmap:
    """The file in memory. What is used of it is there before: a page that is missing later would kill the process."""
    os.ftruncate(file, _SIZE)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, _COLUMNS * _WORD)
        first = (_COLUMNS + column * CAPACITY) * _WORD
        os.posix_fallocate(file, first, CAPACITY * _WORD)
    return mmap.mmap(file, _SIZE)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(folder: Path) -> int:
    """The lock of the table, held. One that the last to close took away while we waited for it is none any more."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            file = _open(folder / "lock")
        except FileNotFoundError:
            continue
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), (folder / "lock").stat()):
                return file
        os.close(file)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(path: Path) -> bool:
    """Whether the process that claimed a column holds its lock still."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _lock(file)
    finally:
        os.close(file)
