"""
Where things are kept: the storage protocols, and a store in memory.

A database is a plugin (`fengchao-sql`); the core never imports one. Records are plain values. Secrets arrive sealed:
a store holds nothing that a thief of the database alone could use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

from fengchao_core.errors import InvalidParameter
from fengchao_core.usage import UsageRecord, UsageTotals, total_up

UsageGrouping = Literal["key", "model", "provider", "day", "outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """
    A caller's key pair.

    Attributes:
        api_key: the public half; also the record's identity.
        name: who it is for, unique among live keys.
        sealed_secret: the secret half, encrypted under a key that the store does not hold.
        expires_at: when it stops working; None: never.
        revoked_at: when it was revoked; None: it was not.
        models: the models it may use; empty: all.
        note: free text.
    """

    api_key: str
    name: str
    sealed_secret: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    models: tuple[str, ...] = ()
    note: str = ""


class KeyStore(Protocol):
    """Keeps key pairs."""

    async def revision(self) -> int:
        """A number that grows with every change by any process; cheap to read often."""
        ...

    async def all(self) -> tuple[KeyRecord, ...]:
        """Every key, revoked ones included, oldest first."""
        ...

    async def add(self, record: KeyRecord) -> None:
        """Keep a new key. Raises `InvalidParameter` where a live key has the name, or any the `api_key`."""
        ...

    async def replace(self, api_key: str, record: KeyRecord) -> None:
        """
        Put a changed record in the place of the one named. A key once revoked stays revoked.

        Raises:
            InvalidParameter: there is no such key, or another live key has the new name.
        """
        ...


class UsageStore(Protocol):
    """Keeps one row per request."""

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """
        Keep rows, all or none; a row whose `id` is already kept is left as it is.

        Raises:
            StoreUnavailable: the database does not answer; nothing is lost by adding the same rows again.
        """
        ...

    async def rows(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> tuple[UsageRecord, ...]:
        """Rows that started in [since, until), newest first."""
        ...

    async def totals(
        self, *, by: UsageGrouping, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[UsageTotals, ...]:
        """Sums of the rows that started in [since, until), one per group and currency, ordered by group."""
        ...


class Store(Protocol):
    """Everything that is kept, in one place."""

    @property
    def keys(self) -> KeyStore:
        """The key pairs."""
        ...

    @property
    def usage(self) -> UsageStore:
        """The usage rows."""
        ...


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A store as a plugin describes it; `open` connects, and migrates where it must."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Store]]


class MemoryStore:
    """A store that forgets when the process ends: for embedders who keep nothing, and for tests."""

    def __init__(self) -> None:
        self._keys = MemoryKeys()
        self._usage = MemoryUsage()

    @property
    def keys(self) -> KeyStore:
        """The key pairs."""
        return self._keys

    @property
    def usage(self) -> UsageStore:
        """The usage rows."""
        return self._usage


class MemoryKeys:
    """Key pairs in a dict."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._revision = 0

    async def revision(self) -> int:
        """A number that grows with every change."""
        return self._revision

    async def all(self) -> tuple[KeyRecord, ...]:
        """Every key, oldest first."""
        return tuple(self._records.values())

    async def add(self, record: KeyRecord) -> None:
        """Keep a new key. Raises `InvalidParameter` where a live key has the name, or any the `api_key`."""
        if record.api_key in self._records:
            raise InvalidParameter("this api_key is taken; make another", param="api_key")
        self._check_name(record)
        self._records[record.api_key] = record
        self._revision += 1

    async def replace(self, api_key: str, record: KeyRecord) -> None:
        """Put a changed record in the place of the one named; what was revoked stays revoked."""
        old = self._records.get(api_key)
        if old is None:
            raise InvalidParameter("no such key", param="api_key")
        record = replace(record, api_key=api_key, revoked_at=old.revoked_at or record.revoked_at)
        self._check_name(record)
        self._records[api_key] = record
        self._revision += 1

    def _check_name(self, record: KeyRecord) -> None:
        for other in self._records.values():
            is_other_live = other.api_key != record.api_key and other.revoked_at is None
            if is_other_live and record.revoked_at is None and other.name == record.name:
                raise InvalidParameter(
                    f"a live key named {record.name!r} exists; choose another name or revoke that one",
                    param="name",
                )


class MemoryUsage:
    """The newest usage rows, up to `capacity`; older ones are dropped."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._rows: dict[str, UsageRecord] = {}
        self._capacity = capacity

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """Keep rows, the oldest making room."""
        for row in rows:
            self._rows.setdefault(row.id, row)
        while len(self._rows) > self._capacity:
            del self._rows[next(iter(self._rows))]

    async def rows(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> tuple[UsageRecord, ...]:
        """Rows that started in [since, until), newest first."""
        found = [row for row in reversed(self._rows.values()) if _within(row, since, until)]
        found.sort(key=lambda row: row.started_at, reverse=True)
        return tuple(found[:limit])

    async def totals(
        self, *, by: UsageGrouping, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[UsageTotals, ...]:
        """Sums by group."""
        return total_up((row for row in self._rows.values() if _within(row, since, until)), by=by)


def _within(row: UsageRecord, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or row.started_at >= since) and (until is None or row.started_at < until)
