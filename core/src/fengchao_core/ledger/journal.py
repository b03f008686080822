"""
The journal of one process: a folder of its own, locked for as long as the process lives, with segments that only grow.

    <root>/<owner>/lock         held with flock: the kernel lets go of it when the process dies, however it dies
    <root>/<owner>/000001.log   one event per line
    <root>/<owner>/tail         the last events, on their way to the newest segment
    <root>/kept/…               segments whose rows are all in the store, kept for a while to recount them

An event is stored in the tail, which survives the process, the moment it happens; a few hundred of them go to the segment
in one write, because a system call for each costs a request more than all else here. The disk is told to keep them in the
background, so nothing waits for a disk. What is not on the disk yet is lost where the whole machine dies.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Final

from fengchao_core.errors import SetupError
from fengchao_core.ledger import events
from fengchao_core.ledger.events import Position
from fengchao_core.ledger.tail import Tail, complete
from fengchao_core.logs import Log

fcntl: ModuleType | None
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:  # Windows
    fcntl = None

log = Log()

KEPT: Final = "kept"
_LOCK: Final = "lock"
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_DEGRADED_S: Final = 1.0


class Journal:
    """
    A file that a process appends its events to.

    `append`, `flush` and `switch` are for the event loop; `sync`, `open_next`, `finish` and `archive` wait for the disk
    and belong in a thread, one of them at a time.

    Args:
        root: the folder of all journals of one store.
        most_bytes: of rows that are not in the store yet; beyond it nothing more is written.

    Raises:
        OSError: the folder cannot be made or written.
        SetupError: this system has no file locks that end with their process.
    """

    def __init__(self, root: Path, *, most_bytes: int) -> None:
        if fcntl is None:
            raise SetupError("this system has no file locks that end with their process")
        self._root = root
        self._most_bytes = most_bytes
        name = f"{time.time_ns() // 1000:016x}-{os.getpid()}-{secrets.token_hex(3)}"
        self.folder = root / name
        (root / KEPT).mkdir(parents=True, exist_ok=True, mode=0o700)
        making = root / f".{name}"
        making.mkdir(mode=0o700)
        self._lock: int | None = os.open(making / _LOCK, _FLAGS, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        making.rename(self.folder)  # only now can others see it, and it is locked already
        self._number = 0
        self._fd = -1
        self._written = 0  # of this segment; what follows is in the tail
        self._older_bytes = 0
        self._resumes_at = 0.0
        self._synced = 0
        self._tail = Tail(self.folder)
        self.switch(self.open_next(), ())
        _sync_folder(root)

    @property
    def position(self) -> Position:
        """Just behind the last event."""
        return Position(self._number, self.size)

    @property
    def size(self) -> int:
        """Bytes of the segment that is being written."""
        return self._written + self._tail.size

    def append(self, line: bytes) -> bool:
        """Keep one event, whatever becomes of this process. False where that is not possible now: the disk or the journal is full."""
        return self._tail.put(line) or self._append_anew(line)

    def flush(self) -> bool:
        """Write what is in the tail to its segment. False where that is not possible now; it stays where it is."""
        size = self._tail.size
        try:
            if size and (not self._tail.is_safe() or os.write(self._fd, self._tail.data) != size):
                raise OSError("the disk is full")
        except OSError as error:
            self._fail(error)
            return False
        self._written += size
        self._begin_tail()
        return True

    def sync(self) -> None:
        """Wait until everything flushed is on the disk."""
        written = self._written
        if written != self._synced:
            os.fdatasync(self._fd)
            self._synced = written

    def open_next(self) -> int:
        """Make the next segment, to be handed to `switch`. Raises `OSError`."""
        path = self._path(self._number + 1)
        return os.open(path, _FLAGS | os.O_TRUNC, 0o600)

    def switch(self, fd: int, carried: Iterable[bytes]) -> int:
        """
        Go on in a segment of `open_next`, which begins with what must not be forgotten with the old one.

        Returns:
            the old segment, to be handed to `finish`.

        Raises:
            OSError: it cannot be written; the old one goes on, and the new one is closed.
        """
        start = events.header() + b"".join(carried)
        try:
            if not self.flush() or os.write(fd, start) != len(start):
                raise OSError("the disk is full")
        except OSError:
            os.close(fd)
            raise
        old, self._fd = self._fd, fd
        self._older_bytes += self._written
        self._number += 1
        self._written, self._synced = len(start), 0
        self._begin_tail()
        return old

    @staticmethod
    def finish(fd: int) -> None:
        """Wait until a segment is on the disk, and close it."""
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def archive(self, before: int, keep_bytes: int) -> None:
        """Put away the segments before this one: their rows are in the store."""
        for number, path in segments(self.folder):
            if number < min(before, self._number):
                size = path.stat().st_size
                path.rename(kept_as(path))
                self._older_bytes = max(0, self._older_bytes - size)
        prune(self._root / KEPT, keep_bytes)

    def close(self, *, is_done: bool, keep_bytes: int) -> None:
        """
        Let go.

        Args:
            is_done: everything is in the store and nothing is open; otherwise the folder stays for another process.
        """
        is_whole = self.flush()
        try:
            self.sync()
        except OSError as error:
            self._fail(error)
            is_whole = False
        fd, self._fd = self._fd, -1  # a late row must not land in a file that got the same number
        os.close(fd)
        self._resumes_at = inf
        self._tail.close()
        try:
            if is_done and is_whole:
                put_away(self.folder, self._root / KEPT, keep_bytes)
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.log"

    def _append_anew(self, line: bytes) -> bool:
        """As `append`, where the tail takes no more: it is full, or the journal is, or the disk was a moment ago."""
        if self._resumes_at and not self._resumes():
            return False
        if not self.flush():
            return False
        self._tail.give(self._left)
        if not self._tail.put(line):
            self._fail(OSError(f"{self._most_bytes} bytes of rows wait for the store"))
            return False
        return self._tail.is_lasting or self.flush()

    @property
    def _left(self) -> int:
        return self._most_bytes - self._older_bytes - self._written

    def _begin_tail(self) -> None:
        """What comes next is stored behind what is written, at once where nothing speaks against it."""
        self._tail.begin(self._number, self._written)
        is_open = self._tail.is_lasting and not self._resumes_at
        self._tail.give(self._left if is_open else 0)

    def _resumes(self) -> bool:
        if time.monotonic() < self._resumes_at or not self._tail.is_safe():
            return False
        self._resumes_at = 0.0
        return True

    def _fail(self, error: OSError) -> None:
        """Undo half a write, and leave the disk alone for a moment."""
        log.error("ledger.journal_fails", error=str(error), again_in_s=_DEGRADED_S)
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._written)
        self._resumes_at = time.monotonic() + _DEGRADED_S
        self._tail.give(0)


def journal_folder(home: Path, store_url: str) -> Path:
    """The folder of all journals of a store: processes that share both bring home each other's rows."""
    place = re.sub(r"//[^/@]*@", "//", store_url)  # without a password
    return home / "journal" / sha256(place.encode()).hexdigest()[:12]


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments of a journal, oldest first."""
    return sorted((int(path.stem), path) for path in folder.glob("*.log") if path.stem.isdecimal())


def kept_as(path: Path) -> Path:
    """Where a segment is once it is put away."""
    return path.parent.parent / KEPT / f"{path.parent.name}-{path.name}"


def put_away(folder: Path, kept: Path, keep_bytes: int) -> None:
    """Move the segments of a journal that is through to those that are kept, and remove its folder. Raises `OSError`."""
    for number, path in segments(folder):
        complete(number, path)
        path.rename(kept_as(path))
    prune(kept, keep_bytes)
    # Out of sight first: a folder that has lost its lock and not yet all else could never be taken over.
    gone = folder.with_name(f".{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone)


def prune(kept: Path, keep_bytes: int) -> None:
    """Remove the oldest kept segments beyond so many bytes. Other processes may do the same at once."""
    total = 0
    for path in sorted(kept.glob("*.log"), reverse=True):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
            if total > keep_bytes:
                path.unlink()


@contextlib.contextmanager
def taken_over(folder: Path) -> Iterator[bool]:
    """Hold the lock of a journal whose process has died. False where it lives, or another took it over first."""
    if fcntl is None:
        yield False
        return
    try:
        lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed the folder, and the file with it.
            is_there = os.fstat(lock).st_nlink > 0
        except OSError:
            is_there = False
        yield is_there
    finally:
        os.close(lock)


def others(root: Path, own: Path | None) -> list[Path]:
    """The journals of a store but one's own, oldest first."""
    return sorted(
        path
        for path in root.iterdir()
        if path != own and path.name != KEPT and not path.name.startswith(".") and path.is_dir()
    )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
