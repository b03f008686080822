"""Where key pairs are kept: the protocol, and a dict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from fengchao_core.errors import InvalidParameter
from fengchao_core.limits import KeyLimits
from fengchao_core.store.audit import AuditRecord, MemoryAudit


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
        addresses: the networks it may be used from, as `10.0.0.0/8`; empty: from everywhere.
        group: the group whose limits it shares; empty: none.
        limits: what it may use in a time; None: as much as it likes.
        previous_secret: the secret half before the last rotation, encrypted likewise; None: it counts no more.
        previous_until: when that one stops working.
        version: how often it was changed; kept by the store.
    """

    api_key: str
    name: str
    sealed_secret: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    models: tuple[str, ...] = ()
    note: str = ""
    addresses: tuple[str, ...] = ()
    group: str = ""
    limits: KeyLimits | None = None
    previous_secret: bytes | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    version: int = field(default=0, compare=False)


class KeyStore(Protocol):
    """Keeps key pairs. A change and its audit record are kept both or none."""

    async def revision(self) -> int:
        """A number that grows with every change by any process; cheap to read often."""
        ...

    async def all(self) -> tuple[KeyRecord, ...]:
        """Every key, revoked ones included, oldest first."""
        ...

    async def add(self, record: KeyRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a new key. Raises `InvalidParameter` where a live key has the name, or any the `api_key`."""
        ...

    async def replace(
        self, api_key: str, record: KeyRecord, *, audit: AuditRecord | None = None
    ) -> bool:
        """
        Put a changed record in the place of the one named. A key once revoked stays revoked.

        Returns:
            False where nothing was done, for the key was changed since `record.version` was read.

        Raises:
            InvalidParameter: there is no such key, or another live key has the new name.
        """
        ...


class MemoryKeys:
    """Key pairs in a dict."""

    def __init__(self, audit: MemoryAudit | None = None) -> None:
        self._audit = audit or MemoryAudit()
        self._records: dict[str, KeyRecord] = {}
        self._revision = 0

    async def revision(self) -> int:
        """A number that grows with every change."""
        return self._revision

    async def all(self) -> tuple[KeyRecord, ...]:
        """Every key, oldest first."""
        return tuple(self._records.values())

    async def add(self, record: KeyRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a new key. Raises `InvalidParameter` where a live key has the name, or any the `api_key`."""
        if record.api_key in self._records:
            raise InvalidParameter("this api_key is taken; make another", param="api_key")
        self._check_name(record)
        self._records[record.api_key] = record
        self._revision += 1
        self._audit.append(audit)

    async def replace(
        self, api_key: str, record: KeyRecord, *, audit: AuditRecord | None = None
    ) -> bool:
        """Put a changed record in the place of the one named; what was revoked stays revoked."""
        old = self._records.get(api_key)
        if old is None:
            raise InvalidParameter("no such key", param="api_key")
        if old.version != record.version:
            return False
        record = replace(
            record,
            api_key=api_key,
            revoked_at=old.revoked_at or record.revoked_at,
            version=old.version + 1,
        )
        self._check_name(record)
        self._records[api_key] = record
        self._revision += 1
        self._audit.append(audit)
        return True

    def _check_name(self, record: KeyRecord) -> None:
        for other in self._records.values():
            is_other_live = other.api_key != record.api_key and other.revoked_at is None
            if is_other_live and record.revoked_at is None and other.name == record.name:
                raise InvalidParameter(
                    f"a live key named {record.name!r} exists; choose another name or revoke that one",
                    param="name",
                )
