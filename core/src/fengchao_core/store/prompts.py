"""Where operators' preset instructions are kept, in all their versions: the protocol, and a dict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from fengchao_core.errors import InvalidParameter
from fengchao_core.store.audit import AuditRecord, MemoryAudit


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptVersion:
    """
    One version of a preset instruction. Versions are never changed: a change is another version.

    Attributes:
        id: the preset's name.
        version: counts from 1; given by the store.
        prefix: None takes the usual one.
        system: None takes the library's own.
        removed: the preset is gone with this version; its texts are empty.
        author: who wrote it.
        comment: why, in the author's words.
    """

    id: str
    prompt: str
    created_at: datetime
    prefix: str | None = None
    system: str | None = None
    removed: bool = False
    author: str = ""
    comment: str = ""
    version: int = 0


class PromptStore(Protocol):
    """Keeps every version of every preset that operators wrote."""

    @property
    def generation(self) -> int:
        """A number that is another one after every change by any process of this machine; costs a look into memory."""
        ...

    async def revision(self) -> int:
        """A number that grows with every change by any process of any machine; cheap to read often."""
        ...

    async def newest(self) -> tuple[PromptVersion, ...]:
        """The newest version of every preset, removed ones included, in the order in which the presets were made."""
        ...

    async def history(self, id_: str) -> tuple[PromptVersion, ...]:
        """Every version of a preset, newest first; empty where operators never wrote it."""
        ...

    async def append(
        self,
        version: PromptVersion,
        *,
        after: int | None = None,
        audit: AuditRecord | None = None,
    ) -> PromptVersion:
        """
        Keep a further version.

        Args:
            version: its `version` says nothing here.
            after: the version that its author saw as the newest; 0 where none was.
            audit: kept with the version, or not at all.

        Returns:
            The version as it is kept, with its number.

        Raises:
            InvalidParameter: somebody else wrote a version after `after`.
        """
        ...


class MemoryPrompts:
    """
    Presets in a dict.

    Args:
        audit: takes the records of changes.
    """

    def __init__(self, audit: MemoryAudit) -> None:
        self._audit = audit
        self._versions: dict[str, list[PromptVersion]] = {}
        self._revision = 0

    @property
    def generation(self) -> int:
        """As the revision: nobody else changes this store."""
        return self._revision

    async def revision(self) -> int:
        """A number that grows with every change."""
        return self._revision

    async def newest(self) -> tuple[PromptVersion, ...]:
        """The newest version of every preset."""
        return tuple(versions[-1] for versions in self._versions.values())

    async def history(self, id_: str) -> tuple[PromptVersion, ...]:
        """Every version of a preset, newest first."""
        return tuple(reversed(self._versions.get(id_, ())))

    async def append(
        self,
        version: PromptVersion,
        *,
        after: int | None = None,
        audit: AuditRecord | None = None,
    ) -> PromptVersion:
        """Keep a further version."""
        versions = self._versions.get(version.id, [])
        check_newest(len(versions), after)
        kept = replace(version, version=len(versions) + 1)
        self._versions[version.id] = [*versions, kept]
        self._audit.append(audit)
        self._revision += 1
        return kept


def check_newest(newest: int, after: int | None) -> None:
    """Refuse a version whose author did not know of the newest. Raises `InvalidParameter`."""
    if after is not None and after != newest:
        raise InvalidParameter(
            f"the newest version is {newest}, not {after}: somebody changed it meanwhile; look at it and try again",
            param="after",
        )
