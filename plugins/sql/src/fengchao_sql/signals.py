"""
Numbers in memory that all processes of a machine share, to see at once that another one changed the database.

They live in a small file that each process maps. Only that they differ means anything: a process writes a number that
was never there before, after its change is kept; others compare with what they saw. Nothing is lost with the file.
"""

from __future__ import annotations

import mmap
import os
import secrets
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

WORDS: Final = 0
PROMPTS: Final = 1

_SIZE: Final = 4096


class Signals:
    """
    The numbers of one database, one for each kind of thing that is followed. Whoever opens it closes it.

    Where the file cannot be had, the numbers are this process's own, and other processes' changes are seen by those who
    ask the database.
    """

    def __init__(self, path: Path) -> None:
        self._file: mmap.mmap | None = None
        self._numbers: memoryview | list[int]
        try:
            self._file = _map(path)
        except (OSError, ValueError) as error:
            log.warning("store.signals_private", path=str(path), error=str(error))
            self._numbers = [0] * (_SIZE // 8)
        else:
            self._numbers = memoryview(self._file).cast("Q")

    def read(self, slot: int) -> int:
        """The number of now."""
        return self._numbers[slot]

    def ring(self, slot: int) -> None:
        """Tell every process of the machine that something has changed."""
        self._numbers[slot] = secrets.randbits(64)

    def close(self) -> None:
        """Let go of the file. What is read afterwards is what was there."""
        if self._file is not None and isinstance(self._numbers, memoryview):
            numbers, self._numbers = self._numbers, self._numbers.tolist()
            numbers.release()
            self._file.close()
            self._file = None


def _map(path: Path) -> mmap.mmap:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(opened).st_size < _SIZE:
            os.ftruncate(opened, _SIZE)
        return mmap.mmap(opened, _SIZE)
    finally:
        os.close(opened)
