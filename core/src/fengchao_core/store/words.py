"""Where operators' sensitive words are kept: the protocol, and a dict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias

from fengchao_core.store.audit import AuditRecord, MemoryAudit

WordAction: TypeAlias = Literal["block", "replace", "record", "allow", ""]
"""What is to happen at a word; `allow` excuses hits inside it, nothing means its category's action."""

CategoryAction: TypeAlias = Literal["block", "replace", "record"]

DEFAULT_ACTION: CategoryAction = "block"
"""The action of a category that nobody gave one."""


class WordKey(NamedTuple):
    """What a word is known by: each category has it once."""

    category: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRecord:
    """
    A sensitive word, or one that excuses others.

    Attributes:
        word: as the operator wrote it.
        added_at: when it was added; kept when it is changed.
        note: a remark for those who keep the list.
    """

    category: str
    word: str
    added_at: datetime
    action: WordAction = ""
    note: str = ""

    @property
    def key(self) -> WordKey:
        """What it is known by."""
        return WordKey(self.category, self.word)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCategory:
    """
    A category of words.

    Attributes:
        action: of its words that name none of their own.
        count: how many words are kept of it.
    """

    name: str
    action: CategoryAction = DEFAULT_ACTION
    note: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class WordChanges:
    """
    What has changed since a revision.

    Attributes:
        revision: up to here, at least.
        kept: words that were added or changed, as they are now.
        removed: words that are gone.
        actions: every category's action; empty where nothing has changed.
    """

    revision: int
    kept: tuple[WordRecord, ...] = ()
    removed: tuple[WordKey, ...] = ()
    actions: dict[str, CategoryAction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WordPage:
    """Some of the words, by category and word, and how many there are in all."""

    total: int
    words: tuple[WordRecord, ...]


class WordStore(Protocol):
    """Keeps words. Each category has a word once; a category is there as soon as it has words."""

    @property
    def generation(self) -> int:
        """
        A number that is another one after every change by any process of this machine.

        Reading it waits for nothing and costs a look into memory. What another machine changed shows in `revision` only.
        """
        ...

    async def revision(self) -> int:
        """A number that grows with every change by any process of any machine; cheap to read often."""
        ...

    async def changes(self, since: int) -> WordChanges:
        """What has changed after a revision; everything after 0."""
        ...

    async def page(
        self,
        *,
        category: str | None = None,
        action: WordAction | None = None,
        search: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> WordPage:
        """
        Some of the words.

        Args:
            action: only words that have exactly this one.
            search: only words that hold this text in themselves or in their note, in any letter case.
        """
        ...

    async def get(self, keys: Sequence[WordKey]) -> tuple[WordRecord, ...]:
        """Those of some words that are kept, in any order. For a handful."""
        ...

    async def categories(self) -> tuple[WordCategory, ...]:
        """Every category that has words or was put, by name."""
        ...

    async def change(
        self,
        *,
        put: Sequence[WordRecord] = (),
        remove: Sequence[WordKey] = (),
        categories: Sequence[WordCategory] = (),
        drop: Sequence[str] = (),
        audit: AuditRecord | None = None,
    ) -> int:
        """
        Change words, all at once or not at all.

        Args:
            put: words to add; one that is there already is changed, and keeps its `added_at`.
            remove: words to forget; what is not there is passed over.
            categories: to add or change; their `count` says nothing here.
            drop: names of categories to forget with all their words, before anything else.
            audit: kept with the change, or not at all.

        Returns:
            How many words are gone.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...


class MemoryWords:
    """
    Words in a dict.

    Args:
        audit: takes the records of changes.
    """

    def __init__(self, audit: MemoryAudit) -> None:
        self._audit = audit
        self._words: dict[WordKey, tuple[int, WordRecord]] = {}
        self._removed: dict[WordKey, int] = {}
        self._categories: dict[str, WordCategory] = {}
        self._revision = 0

    @property
    def generation(self) -> int:
        """As the revision: nobody else changes this store."""
        return self._revision

    async def revision(self) -> int:
        """A number that grows with every change."""
        return self._revision

    async def changes(self, since: int) -> WordChanges:
        """What has changed after a revision."""
        if since == self._revision:
            return WordChanges(since)
        return WordChanges(
            self._revision,
            tuple(record for revision, record in self._words.values() if revision > since),
            tuple(key for key, revision in self._removed.items() if revision > since),
            {category.name: category.action for category in self._categories.values()},
        )

    async def page(
        self,
        *,
        category: str | None = None,
        action: WordAction | None = None,
        search: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> WordPage:
        """Some of the words."""
        wanted = search.lower()
        found = [
            record
            for _, record in self._words.values()
            if category in (None, record.category)
            and action in (None, record.action)
            and (wanted in record.word.lower() or wanted in record.note.lower())
        ]
        found.sort(key=lambda record: record.key)
        return WordPage(len(found), tuple(found[offset : offset + limit]))

    async def get(self, keys: Sequence[WordKey]) -> tuple[WordRecord, ...]:
        """Those of some words that are kept."""
        return tuple(self._words[key][1] for key in dict.fromkeys(keys) if key in self._words)

    async def categories(self) -> tuple[WordCategory, ...]:
        """Every category, by name."""
        counts = dict.fromkeys(self._categories, 0)
        for key in self._words:
            counts[key.category] += 1
        return tuple(
            replace(category, count=counts[name])
            for name, category in sorted(self._categories.items())
        )

    async def change(
        self,
        *,
        put: Sequence[WordRecord] = (),
        remove: Sequence[WordKey] = (),
        categories: Sequence[WordCategory] = (),
        drop: Sequence[str] = (),
        audit: AuditRecord | None = None,
    ) -> int:
        """Change words. Returns how many are gone."""
        self._audit.append(audit)
        self._revision += 1
        for name in drop:
            self._categories.pop(name, None)
        gone = [key for key in self._words if key.category in drop]
        gone += [key for key in dict.fromkeys(remove) if key in self._words and key not in gone]
        for key in gone:
            del self._words[key]
            self._removed[key] = self._revision
        for category in categories:
            self._categories[category.name] = replace(category, count=0)
        for record in put:
            known = self._words.get(record.key)
            added_at = known[1].added_at if known else record.added_at
            self._words[record.key] = self._revision, replace(record, added_at=added_at)
            self._removed.pop(record.key, None)
            self._categories.setdefault(record.category, WordCategory(name=record.category))
        return len(gone)
