"""Where what is known of uploaded files is kept: the protocol, and dicts. The files' bytes lie elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from fengchao_core.errors import LimitExceeded

NOBODY = ""
"""The owner of a file that was uploaded without a key, until the first key uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """
    An uploaded file.

    Attributes:
        id: what callers name it by; cannot be guessed.
        owner: the public half of the key that it belongs to; `NOBODY` until a key claims it.
        name: as the caller called it, without any path.
        kind: what its content is; see `fengchao_core.files.kinds`.
        sha256: of its content, in hexadecimal.
        expires_at: from when on it counts as gone.
        chars: how long the text is that was read in it; None: it has none.
        is_cut: whether its text was longer than is kept.
    """

    id: str
    owner: str
    name: str
    kind: str
    size_bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime
    chars: int | None = None
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A copy of a file at a vendor: under which provider of the settings, and by which id there."""

    file_id: str
    provider: str
    vendor_id: str


@dataclass(frozen=True, slots=True)
class FileQuota:
    """How many files an owner may have at a time, and of how many bytes together."""

    files: int
    size_bytes: int

    def check(self, files: int, size_bytes: int) -> None:
        """Raises `LimitExceeded` where an owner would have more."""
        if files > self.files:
            raise LimitExceeded(
                f"more than {self.files} files are kept; delete some, or wait until they expire",
                limit="files",
            )
        if size_bytes > self.size_bytes:
            raise LimitExceeded(
                f"more than {self.size_bytes} bytes of files are kept; delete some, or wait until they expire",
                limit="files",
            )


class FileStore(Protocol):
    """Keeps what is known of files. A file that has expired is not counted, but kept until it is deleted."""

    async def used(self, owner: str, now: datetime) -> tuple[int, int]:
        """How many files an owner has, and their bytes."""
        ...

    async def add(self, record: FileRecord, quota: FileQuota) -> None:
        """Keep a new file. Raises `LimitExceeded` where its owner would have too many."""
        ...

    async def get(self, file_id: str) -> FileRecord | None:
        """The file of this id, expired or not."""
        ...

    async def claim(
        self, file_id: str, owner: str, *, now: datetime, expires_at: datetime, quota: FileQuota
    ) -> bool:
        """
        Give a file that is nobody's to an owner; of several who try at once one succeeds.

        Returns:
            Whether it is theirs now. False: it is not there, or somebody else's.

        Raises:
            LimitExceeded: the owner would have too many.
        """
        ...

    async def of(self, owner: str, now: datetime) -> tuple[FileRecord, ...]:
        """The files of an owner, newest first."""
        ...

    async def expire(self, file_id: str, at: datetime) -> None:
        """Let a file expire at an instant, unless it does so before."""
        ...

    async def expired(self, now: datetime, limit: int) -> tuple[FileRecord, ...]:
        """Files that have expired, the longest gone first."""
        ...

    async def delete(self, file_id: str) -> None:
        """Forget a file and its copies."""
        ...

    async def copies(self, file_id: str) -> tuple[FileCopy, ...]:
        """Where a file's copies are."""
        ...

    async def add_copy(self, copy: FileCopy) -> FileCopy:
        """Keep where a copy is; where one is known at this provider already, that one is kept and returned."""
        ...

    async def drop_copy(self, copy: FileCopy) -> None:
        """Forget a copy."""
        ...


class MemoryFiles:
    """What is known of files, in dicts."""

    def __init__(self) -> None:
        self._records: dict[str, FileRecord] = {}
        self._copies: dict[tuple[str, str], FileCopy] = {}

    async def used(self, owner: str, now: datetime) -> tuple[int, int]:
        """How many files an owner has, and their bytes."""
        sizes = [r.size_bytes for r in self._live(owner, now)]
        return len(sizes), sum(sizes)

    async def add(self, record: FileRecord, quota: FileQuota) -> None:
        """Keep a new file."""
        files, size = await self.used(record.owner, record.created_at)
        quota.check(files + 1, size + record.size_bytes)
        self._records[record.id] = record

    async def get(self, file_id: str) -> FileRecord | None:
        """The file of this id, expired or not."""
        return self._records.get(file_id)

    async def claim(
        self, file_id: str, owner: str, *, now: datetime, expires_at: datetime, quota: FileQuota
    ) -> bool:
        """Give a file that is nobody's to an owner."""
        record = self._records.get(file_id)
        if record is None or record.owner != NOBODY or record.expires_at <= now:
            return False
        files, size = await self.used(owner, now)
        quota.check(files + 1, size + record.size_bytes)
        self._records[file_id] = replace(record, owner=owner, expires_at=expires_at)
        return True

    async def of(self, owner: str, now: datetime) -> tuple[FileRecord, ...]:
        """The files of an owner, newest first."""
        return tuple(sorted(self._live(owner, now), key=lambda r: (r.created_at, r.id))[::-1])

    async def expire(self, file_id: str, at: datetime) -> None:
        """Let a file expire at an instant, unless it does so before."""
        if (record := self._records.get(file_id)) is not None:
            self._records[file_id] = replace(record, expires_at=min(at, record.expires_at))

    async def expired(self, now: datetime, limit: int) -> tuple[FileRecord, ...]:
        """Files that have expired, the longest gone first."""
        gone = [r for r in self._records.values() if r.expires_at <= now]
        return tuple(sorted(gone, key=lambda r: (r.expires_at, r.id))[:limit])

    async def delete(self, file_id: str) -> None:
        """Forget a file and its copies."""
        self._records.pop(file_id, None)
        for key in [key for key in self._copies if key[0] == file_id]:
            del self._copies[key]

    async def copies(self, file_id: str) -> tuple[FileCopy, ...]:
        """Where a file's copies are."""
        return tuple(copy for key, copy in sorted(self._copies.items()) if key[0] == file_id)

    async def add_copy(self, copy: FileCopy) -> FileCopy:
        """Keep where a copy is, or say where it is already."""
        return self._copies.setdefault((copy.file_id, copy.provider), copy)

    async def drop_copy(self, copy: FileCopy) -> None:
        """Forget a copy."""
        if self._copies.get((copy.file_id, copy.provider)) == copy:
            del self._copies[copy.file_id, copy.provider]

    def _live(self, owner: str, now: datetime) -> list[FileRecord]:
        return [r for r in self._records.values() if r.owner == owner and r.expires_at > now]
