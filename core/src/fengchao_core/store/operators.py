"""Where the people are kept who run the gateway, with what lets them in: the protocol, and dicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from fengchao_core.errors import InvalidParameter
from fengchao_core.store.audit import AuditRecord, MemoryAudit
from fengchao_core.store.pacing import Attempts, Pace

Role = Literal["operator", "viewer"]
"""An operator may do everything, a viewer only look."""

GrantKind = Literal["session", "token", "setup"]
"""A session of a browser, a token for scripts, or a link that sets a password once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRecord:
    """
    Somebody who may sign in.

    Attributes:
        name: unique.
        password_hash: as the server's hash function writes it, parameters and salt included.
    """

    name: str
    role: Role
    password_hash: str = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRecord:
    """
    An opaque token that was given out.

    Attributes:
        digest: of the token, which is not kept; the record's identity.
        operator: whom it lets in; empty for a setup link that makes a new operator.
        role: the most it allows, whatever its operator may.
        label: a token's name, unique for its operator.
        expires_at: when it stops working; None: never.
    """

    digest: str = field(repr=False)
    kind: GrantKind
    operator: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    label: str = ""


class OperatorStore(Protocol):
    """Keeps operators, their grants, and how often somebody tried. A change and its audit record are kept both or none."""

    async def all(self) -> tuple[OperatorRecord, ...]:
        """Every operator, by name."""
        ...

    async def find(self, name: str) -> OperatorRecord | None:
        """The operator of this name."""
        ...

    async def add(self, record: OperatorRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a new operator. Raises `InvalidParameter` where the name is taken."""
        ...

    async def replace(self, record: OperatorRecord, *, audit: AuditRecord | None = None) -> None:
        """Put a changed record in the place of the one of its name. Raises `InvalidParameter` where there is none."""
        ...

    async def remove(self, name: str, *, audit: AuditRecord | None = None) -> None:
        """Remove an operator with all its grants. Raises `InvalidParameter` where there is none."""
        ...

    async def grant(self, record: GrantRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a grant. Those that expired before it was made are swept out."""
        ...

    async def granted(self, digest: str) -> GrantRecord | None:
        """The grant with this digest, expired or not."""
        ...

    async def grants(self, kind: GrantKind) -> tuple[GrantRecord, ...]:
        """Every grant of a kind, oldest first."""
        ...

    async def take(self, digest: str, *, audit: AuditRecord | None = None) -> GrantRecord | None:
        """End a grant and give it: of callers at once exactly one gets it."""
        ...

    async def end(self, operator: str, kind: GrantKind, *, keep: str = "") -> None:
        """End every grant of this kind that the operator has, but for the one with the digest `keep`."""
        ...

    async def attempt(self, subject: str, pace: Pace, now: datetime) -> float:
        """
        Count an attempt, unless it comes too soon.

        Returns:
            Seconds until the next one is let through; 0: this one is, and was counted.
        """
        ...

    async def forgive(self, subject: str) -> None:
        """Forget the attempts of a subject."""
        ...


class MemoryOperators:
    """Operators in dicts."""

    def __init__(self, audit: MemoryAudit | None = None) -> None:
        self._audit = audit or MemoryAudit()
        self._records: dict[str, OperatorRecord] = {}
        self._grants: dict[str, GrantRecord] = {}
        self._attempts: dict[str, Attempts] = {}

    async def all(self) -> tuple[OperatorRecord, ...]:
        """Every operator, by name."""
        return tuple(record for _, record in sorted(self._records.items()))

    async def find(self, name: str) -> OperatorRecord | None:
        """The operator of this name."""
        return self._records.get(name)

    async def add(self, record: OperatorRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a new operator. Raises `InvalidParameter` where the name is taken."""
        if record.name in self._records:
            raise InvalidParameter(f"an operator named {record.name!r} exists", param="name")
        self._records[record.name] = record
        self._audit.append(audit)

    async def replace(self, record: OperatorRecord, *, audit: AuditRecord | None = None) -> None:
        """Put a changed record in the place of the one of its name. Raises `InvalidParameter` where there is none."""
        if record.name not in self._records:
            raise _unknown(record.name)
        self._records[record.name] = record
        self._audit.append(audit)

    async def remove(self, name: str, *, audit: AuditRecord | None = None) -> None:
        """Remove an operator with all its grants. Raises `InvalidParameter` where there is none."""
        if self._records.pop(name, None) is None:
            raise _unknown(name)
        self._grants = {d: g for d, g in self._grants.items() if g.operator != name}
        self._audit.append(audit)

    async def grant(self, record: GrantRecord, *, audit: AuditRecord | None = None) -> None:
        """Keep a grant. Those that expired before it was made are swept out."""
        now = record.created_at
        self._grants = {
            digest: grant
            for digest, grant in self._grants.items()
            if grant.expires_at is None or grant.expires_at > now
        }
        self._grants[record.digest] = record
        self._audit.append(audit)

    async def granted(self, digest: str) -> GrantRecord | None:
        """The grant with this digest, expired or not."""
        return self._grants.get(digest)

    async def grants(self, kind: GrantKind) -> tuple[GrantRecord, ...]:
        """Every grant of a kind, oldest first."""
        return tuple(grant for grant in self._grants.values() if grant.kind == kind)

    async def take(self, digest: str, *, audit: AuditRecord | None = None) -> GrantRecord | None:
        """End a grant and give it."""
        found = self._grants.pop(digest, None)
        if found is not None:
            self._audit.append(audit)
        return found

    async def end(self, operator: str, kind: GrantKind, *, keep: str = "") -> None:
        """End every grant of this kind that the operator has, but for the one with the digest `keep`."""
        self._grants = {
            digest: grant
            for digest, grant in self._grants.items()
            if (grant.operator, grant.kind) != (operator, kind) or digest == keep
        }

    async def attempt(self, subject: str, pace: Pace, now: datetime) -> float:
        """Count an attempt, unless it comes too soon."""
        known = self._attempts.get(subject, Attempts())
        if wait := pace.wait_s(known, now):
            return wait
        self._attempts = {s: a for s, a in self._attempts.items() if not a.is_old(now)}
        self._attempts[subject] = pace.after(known, now)
        return 0.0

    async def forgive(self, subject: str) -> None:
        """Forget the attempts of a subject."""
        self._attempts.pop(subject, None)


def _unknown(name: str) -> InvalidParameter:
    return InvalidParameter(f"there is no operator named {name!r}", param="name")
