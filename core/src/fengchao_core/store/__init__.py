"""
Where things are kept: the storage protocols, and a store in memory.

One module for each kind of thing, with its protocol and its memory. A database is a plugin (`fengchao-sql`); the core
never imports one. Records are plain values. Secrets arrive sealed: a store holds nothing that a thief of the database
alone could use.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from fengchao_core.store.audit import AuditRecord, AuditStore, MemoryAudit
from fengchao_core.store.bodies import BodyRecord, BodyStore, MemoryBodies
from fengchao_core.store.files import (
    NOBODY,
    FileCopy,
    FileQuota,
    FileRecord,
    FileStore,
    MemoryFiles,
)
from fengchao_core.store.jobs import JobRecord, JobStore, MemoryJobs
from fengchao_core.store.keys import KeyRecord, KeyStore, MemoryKeys
from fengchao_core.store.operators import (
    GrantKind,
    GrantRecord,
    MemoryOperators,
    OperatorRecord,
    OperatorStore,
    Role,
)
from fengchao_core.store.pacing import Attempts, Pace
from fengchao_core.store.prompts import MemoryPrompts, PromptStore, PromptVersion
from fengchao_core.store.usage import MemoryUsage, UsageGrouping, UsageStore
from fengchao_core.store.words import (
    MemoryWords,
    WordCategory,
    WordChanges,
    WordKey,
    WordPage,
    WordRecord,
    WordStore,
)

__all__ = [
    "NOBODY",
    "Attempts",
    "AuditRecord",
    "AuditStore",
    "BodyRecord",
    "BodyStore",
    "FileCopy",
    "FileQuota",
    "FileRecord",
    "FileStore",
    "GrantKind",
    "GrantRecord",
    "JobRecord",
    "JobStore",
    "KeyRecord",
    "KeyStore",
    "MemoryAudit",
    "MemoryBodies",
    "MemoryFiles",
    "MemoryJobs",
    "MemoryKeys",
    "MemoryOperators",
    "MemoryPrompts",
    "MemoryStore",
    "MemoryUsage",
    "MemoryWords",
    "OperatorRecord",
    "OperatorStore",
    "Pace",
    "PromptStore",
    "PromptVersion",
    "Role",
    "Store",
    "StoreSpec",
    "UsageGrouping",
    "UsageStore",
    "WordCategory",
    "WordChanges",
    "WordKey",
    "WordPage",
    "WordRecord",
    "WordStore",
]


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

    @property
    def bodies(self) -> BodyStore:
        """What was sent and shown, where that is kept."""
        ...

    @property
    def operators(self) -> OperatorStore:
        """The people who run the gateway."""
        ...

    @property
    def audit(self) -> AuditStore:
        """What was changed, and by whom."""
        ...

    @property
    def jobs(self) -> JobStore:
        """The asynchronous tasks."""
        ...

    @property
    def words(self) -> WordStore:
        """Operators' sensitive words."""
        ...

    @property
    def prompts(self) -> PromptStore:
        """Operators' preset instructions."""
        ...

    @property
    def files(self) -> FileStore:
        """What is known of uploaded files."""
        ...


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A store as a plugin describes it; `open` connects, and migrates where it must."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Store]]


class MemoryStore:
    """A store that forgets when the process ends: for embedders who keep nothing, and for tests."""

    def __init__(self) -> None:
        self._usage = MemoryUsage()
        self._bodies = MemoryBodies()
        self._audit = MemoryAudit()
        self._keys = MemoryKeys(self._audit)
        self._files = MemoryFiles()
        self._operators = MemoryOperators(self._audit)
        self._jobs = MemoryJobs(self._usage)
        self._words = MemoryWords(self._audit)
        self._prompts = MemoryPrompts(self._audit)

    @property
    def keys(self) -> KeyStore:
        """The key pairs."""
        return self._keys

    @property
    def usage(self) -> UsageStore:
        """The usage rows."""
        return self._usage

    @property
    def bodies(self) -> BodyStore:
        """What was sent and shown, where that is kept."""
        return self._bodies

    @property
    def operators(self) -> OperatorStore:
        """The people who run the gateway."""
        return self._operators

    @property
    def audit(self) -> AuditStore:
        """What was changed, and by whom."""
        return self._audit

    @property
    def jobs(self) -> JobStore:
        """The asynchronous tasks."""
        return self._jobs

    @property
    def words(self) -> WordStore:
        """Operators' sensitive words."""
        return self._words

    @property
    def prompts(self) -> PromptStore:
        """Operators' preset instructions."""
        return self._prompts

    @property
    def files(self) -> FileStore:
        """What is known of uploaded files."""
        return self._files
