"""
Local files on their way to the service: streamed from the disk, with a progress that can be watched.

`progress=True` draws a bar on the terminal; a function of one's own gets a `Progress` after each piece.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fengchao.errors import FengChaoAPIError, error_of
from fengchao.wire.codes import Code

Paths = Sequence[str | os.PathLike[str]] | str | os.PathLike[str]

_PIECE = 256 * 1024
_FILE_ID = re.compile(r"file-[A-Za-z0-9_-]{32}")
_BAR = 30


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far an upload is.

    Attributes:
        name: of the file that is being sent.
        sent: bytes of all its files that were sent.
        total: bytes of all its files.
    """

    name: str
    sent: int
    total: int


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, and its size when it was looked at."""

    path: Path
    size: int

    @property
    def name(self) -> str:
        """What the service is told it is called."""
        return self.path.name

    async def pieces(self) -> AsyncIterator[bytes]:
        """
        Its bytes, read off the loop.

        Raises:
            FengChaoAPIError: it cannot be read, or is no longer as long as it was.
        """
        left = self.size
        try:
            with await asyncio.to_thread(self.path.open, "rb") as file:
                while left and (piece := await asyncio.to_thread(file.read, min(_PIECE, left))):
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise _unreadable(error) from error
        if left:
            raise error_of(Code.INVALID_PARAMETER, "files 中的文件在上传时变短了")


async def look_at(paths: Paths) -> list[LocalFile]:
    """
    The files of these paths.

    Raises:
        FengChaoAPIError: there is none, or one is not there or no file; the path is not repeated.
    """
    many = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not many:
        raise error_of(Code.INVALID_PARAMETER, "files 为空：请给出至少一个文件的路径")
    return await asyncio.to_thread(lambda: [_look_at(Path(path)) for path in many])


def is_uploaded(name: str) -> bool:
    """Whether a name is that of a file which the service has already, and not of one here."""
    return _FILE_ID.fullmatch(name) is not None and not os.path.exists(name)  # noqa: PTH110  # a text, not yet a path


def reporter(progress: bool | Report | None) -> Report | None:  # noqa: FBT001  # as the user gave it
    """What is told of the progress: a bar for True, nothing for False and None."""
    if progress is True:
        return TerminalBar()
    return progress or None


class Form:
    """
    A multipart form with files, whose length is known before it is sent.

    Args:
        report: is told after each piece.
    """

    def __init__(self, files: Sequence[LocalFile], report: Report | None = None) -> None:
        self._files = files
        self._report = report
        self._boundary = f"fengchao-{secrets.token_hex(16)}"
        self._heads = [self._head(file) for file in files]
        self._end = f"--{self._boundary}--\r\n".encode()
        self._total = sum(file.size for file in files)

    @property
    def headers(self) -> dict[str, str]:
        """Its type and its length."""
        length = self._total + sum(len(head) + 2 for head in self._heads) + len(self._end)
        kind = f"multipart/form-data; boundary={self._boundary}"
        return {"Content-Type": kind, "Content-Length": str(length)}

    async def body(self) -> AsyncIterator[bytes]:
        """Its bytes."""
        sent = 0
        for file, head in zip(self._files, self._heads, strict=True):
            yield head
            async for piece in file.pieces():
                yield piece
                sent += len(piece)
                if self._report is not None:
                    self._report(Progress(file.name, sent, self._total))
            yield b"\r\n"
        yield self._end

    def _head(self, file: LocalFile) -> bytes:
        name = file.name.replace("%", "%25").replace('"', "%22")
        name = name.replace("\r", "%0D").replace("\n", "%0A")
        return (
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode("utf-8", "surrogateescape")


class TerminalBar:
    """A bar on standard error, redrawn in place; where that is no terminal, nothing."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, progress: Progress) -> None:
        """Draw it."""
        percent = 100 * progress.sent // max(1, progress.total)
        if not sys.stderr.isatty() or percent == self._shown:
            return
        self._shown = percent
        done = _BAR * percent // 100
        end = "\n" if percent >= 100 else ""
        bar = "█" * done + "░" * (_BAR - done)
        sys.stderr.write(f"\r上传 {bar} {percent:3d}%  {progress.name[:40]}\x1b[K{end}")
        sys.stderr.flush()


def _look_at(path: Path) -> LocalFile:
    try:
        with path.open("rb") as file:
            return LocalFile(path, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> FengChaoAPIError:
    reason = f"files 指向的文件无法读取（{error.strerror or '未知原因'}）"
    return error_of(Code.INVALID_PARAMETER, reason)
