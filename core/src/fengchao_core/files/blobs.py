"""Where the bytes of files lie: a folder, behind a face that something else could stand in for."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from fengchao_core.errors import FileRefused, StoreUnavailable

_BLOCK = 256 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: how many bytes, and their SHA-256 in hexadecimal."""

    size_bytes: int
    sha256: str


class Blobs(Protocol):
    """Keeps bytes by key: letters, digits, `-`, `_` and `.`, never of a caller's making."""

    async def write(self, key: str, content: AsyncIterator[bytes], *, most_bytes: int) -> Written:
        """
        Keep what comes, all or nothing, without holding it in memory.

        Raises:
            FileRefused: there is more of it than `most_bytes`.
            StoreUnavailable: there is no room.
        """
        ...

    async def read(self, key: str) -> bytes:
        """What was kept. Raises `StoreUnavailable` where it is not there."""
        ...

    def local(self, key: str) -> AbstractAsyncContextManager[Path]:
        """What was kept as a file of this machine, to be read only, as long as the context lasts."""
        ...

    async def delete(self, key: str) -> None:
        """Forget it; no error where it is not there."""
        ...

    async def forget_older(self, than_s: float) -> int:
        """Delete what was written longer ago, whatever wrote it; how many."""
        ...


class FolderBlobs:
    """
    Bytes in a folder that is made when first written to, for its owner's eyes alone.

    Args:
        folder: may be shared by any number of processes, and by hosts over a network file system.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, key: str, content: AsyncIterator[bytes], *, most_bytes: int) -> Written:
        """Keep what comes, all or nothing."""
        digest = hashlib.sha256()
        size = 0
        part = self._folder / f"{key}.part"
        try:
            file = await asyncio.to_thread(self._create, part)
            try:
                waiting = bytearray()
                async for piece in content:
                    size += len(piece)
                    if size > most_bytes:
                        raise FileRefused(
                            f"the file is larger than {most_bytes} bytes", reason="too_large"
                        )
                    waiting += piece
                    if len(waiting) >= _BLOCK:
                        await asyncio.to_thread(_append, file, waiting, digest)
                        waiting = bytearray()
                await asyncio.to_thread(_append, file, waiting, digest)
                await asyncio.to_thread(_finish, file, part, self._folder / key)
            finally:
                file.close()
        except OSError as error:
            _unlink(part)
            if error.errno in _NO_ROOM:
                raise StoreUnavailable("files cannot be written now") from error
            raise
        except BaseException:
            _unlink(part)
            raise
        return Written(size, digest.hexdigest())

    async def read(self, key: str) -> bytes:
        """What was kept."""
        try:
            return await asyncio.to_thread((self._folder / key).read_bytes)
        except OSError as error:
            raise StoreUnavailable("a file's content is not there") from error

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        """The file itself."""
        yield self._folder / key

    async def delete(self, key: str) -> None:
        """Forget it."""
        await asyncio.to_thread(_unlink, self._folder / key)

    async def forget_older(self, than_s: float) -> int:
        """Delete what was written longer ago."""
        return await asyncio.to_thread(self._forget_older, than_s)

    def _create(self, path: Path) -> BinaryIO:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return os.fdopen(descriptor, "wb", buffering=0)

    def _forget_older(self, than_s: float) -> int:
        from time import time

        count = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file() and entry.stat().st_mtime < time() - than_s:
                        _unlink(Path(entry.path))
                        count += 1
        return count


def _append(file: BinaryIO, data: bytearray, digest: hashlib._Hash) -> None:
    digest.update(data)
    file.write(data)


def _finish(file: BinaryIO, part: Path, path: Path) -> None:
    os.fsync(file.fileno())
    part.replace(path)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
