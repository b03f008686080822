"""Where changes are written down: who changed what, when and from where. Appended to, never rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """
    One change.

    Attributes:
        at: when; aware.
        actor: who: `operator:<name>`, `token:<name>/<label>`, `cli:<user of the system>`, or a part of the gateway.
        action: what was done, as `key.rotate`.
        target: to what, by its name.
        address: from where; empty: from the gateway's own machine.
        before: the fields that changed, as they were, in JSON's own types. Never a secret.
        after: the same, as they are now.
        id: grows with each record; given by the store.
    """

    at: datetime
    actor: str
    action: str
    target: str
    address: str = ""
    before: Mapping[str, object] = field(default_factory=dict)
    after: Mapping[str, object] = field(default_factory=dict)
    id: int = field(default=0, compare=False)


class Journal(Protocol):
    """Makes records of who acts now, and from where; for those who know what is done, but not by whom."""

    def __call__(
        self,
        action: str,
        target: str,
        *,
        before: dict[str, object] | None = None,
        after: dict[str, object] | None = None,
    ) -> AuditRecord:
        """A record of this action, as `AuditRecord` has it."""
        ...


class AuditStore(Protocol):
    """Keeps what was changed. Stores that change something take the record along, to keep both or none."""

    async def add(self, record: AuditRecord) -> None:
        """Append a record. Raises `StoreUnavailable`."""
        ...

    async def page(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> tuple[AuditRecord, ...]:
        """
        Records, newest first.

        Args:
            before: only records with a smaller `id`: the last one of the page before.
            actor: only those by exactly this one; likewise `action` and `target`.
        """
        ...


class MemoryAudit:
    """The newest records, up to `capacity`; older ones are dropped."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._records: list[AuditRecord] = []
        self._capacity = capacity
        self._last = 0

    async def add(self, record: AuditRecord) -> None:
        """Append a record."""
        self.append(record)

    def append(self, record: AuditRecord | None) -> None:
        """What `add` does, for the stores beside this one, whose changes may come without a record."""
        if record is None:
            return
        self._last += 1
        self._records.append(replace(record, id=self._last))
        del self._records[: -self._capacity]

    async def page(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Records, newest first."""
        found = (
            record
            for record in reversed(self._records)
            if (before is None or record.id < before)
            and actor in (None, record.actor)
            and action in (None, record.action)
            and target in (None, record.target)
        )
        return tuple(record for record, _ in zip(found, range(limit), strict=False))
