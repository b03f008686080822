"""Where key pairs are kept: the protocol, and a dict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from fengchao_core.errors import InvalidParameter


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
