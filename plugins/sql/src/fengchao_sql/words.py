"""
Operators' sensitive words in the database.

A word that is removed stays as a row that says so: other processes ask for what has changed after the revision that they
know. Large lists are read and written in pieces, so that the event loop is never held for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Select,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    false,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)

from fengchao_core.store import (
    AuditRecord,
    WordCategory,
    WordChanges,
    WordKey,
    WordPage,
    WordRecord,
)
from fengchao_core.store.words import WordAction
from fengchao_sql.audit import append
from fengchao_sql.connection import AsyncConnection
from fengchao_sql.engine import Database
from fengchao_sql.revisions import move, revision_of
from fengchao_sql.signals import WORDS, Signals
from fengchao_sql.tables import RowNumber, from_micros, metadata, to_micros

sensitive_words = Table(
    "sensitive_words",
    metadata,
    Column("seq", RowNumber, primary_key=True, autoincrement=True),
    Column("category", Text, nullable=False),
    Column("word", Text, nullable=False),
    Column("action", Text, nullable=False),  # empty: the category's
    Column("note", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    UniqueConstraint("category", "word", name="uq_sensitive_words_word"),
)
"""Words, and those that once were. `revision` is that of the last change."""

Index("ix_sensitive_words_revision", sensitive_words.c.revision)

word_categories = Table(
    "word_categories",
    metadata,
    Column("name", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("note", Text, nullable=False),
)
"""Categories, with what is to happen at their words."""

_NAME: Final = "words"
_PIECE: Final = 2000
_FEW: Final = 100
_PUT: Final = text(
    "INSERT INTO sensitive_words (category, word, action, note, added_at, removed, revision) "
    "VALUES (:category, :word, :action, :note, :added_at, false, :revision) "
    "ON CONFLICT (category, word) DO UPDATE SET action = excluded.action, note = excluded.note, added_at = "
    "CASE WHEN sensitive_words.removed THEN excluded.added_at ELSE sensitive_words.added_at END, "
    "removed = false, revision = excluded.revision"
)
_PUT_CATEGORY: Final = text(
    "INSERT INTO word_categories (name, action, note) VALUES (:name, :action, :note) "
    "ON CONFLICT (name) DO UPDATE SET action = excluded.action, note = excluded.note"
)
_MEET_CATEGORY: Final = text(
    "INSERT INTO word_categories (name, action, note) VALUES (:name, :action, :note) ON CONFLICT (name) DO NOTHING"
)
_kept = sensitive_words.c.removed == false()


class SqlWords:
    """A `WordStore`. Each change moves the revision in its own transaction, and then the signal."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    @property
    def generation(self) -> int:
        """Another number after every change by any process of this machine."""
        return self._signals.read(WORDS)

    async def revision(self) -> int:
        """A number that grows with every change by any process. Raises `StoreUnavailable`."""
        return await revision_of(self._database, _NAME)

    async def changes(self, since: int) -> WordChanges:
        """What has changed after a revision. Raises `StoreUnavailable`."""
        # The revision first: what comes between the reads is told once more the next time.
        revision = await self.revision()
        if revision == since:
            return WordChanges(since)
        actions = {
            row.name: row.action for row in await self._database.read(select(word_categories))
        }
        kept: list[WordRecord] = []
        removed: list[WordKey] = []
        last = 0
        while True:
            rows = await self._database.read(_after(since, last))
            for row in rows:
                if row.removed:
                    removed.append(WordKey(row.category, row.word))
                else:
                    kept.append(_record(row))
            if len(rows) < _PIECE:
                return WordChanges(revision, tuple(kept), tuple(removed), actions)
            last = rows[-1].seq

    async def page(
        self,
        *,
        category: str | None = None,
        action: WordAction | None = None,
        search: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> WordPage:
        """Some of the words. Raises `StoreUnavailable`."""
        word = sensitive_words.c
        wanted = [_kept]
        if category is not None:
            wanted.append(word.category == category)
        if action is not None:
            wanted.append(word.action == action)
        if search:
            wanted.append(
                or_(
                    word.word.icontains(search, autoescape=True),
                    word.note.icontains(search, autoescape=True),
                )
            )
        ((total,),) = await self._database.read(
            select(func.count()).select_from(sensitive_words).where(*wanted)
        )
        rows = await self._database.read(
            select(sensitive_words)
            .where(*wanted)
            .order_by(word.category, word.word)
            .limit(limit)
            .offset(offset)
        )
        return WordPage(int(total), tuple(map(_record, rows)))

    async def get(self, keys: Sequence[WordKey]) -> tuple[WordRecord, ...]:
        """Those of some words that are kept. Raises `StoreUnavailable`."""
        found: list[WordRecord] = []
        for start in range(0, len(keys), _FEW):
            some = keys[start : start + _FEW]
            rows = await self._database.read(select(sensitive_words).where(_kept, _named(some)))
            found += map(_record, rows)
        return tuple(found)

    async def categories(self) -> tuple[WordCategory, ...]:
        """Every category, by name. Raises `StoreUnavailable`."""
        counts = {
            row.category: int(row.total)
            for row in await self._database.read(
                select(sensitive_words.c.category, func.count().label("total"))
                .where(_kept)
                .group_by(sensitive_words.c.category)
            )
        }
        rows = await self._database.read(select(word_categories).order_by(word_categories.c.name))
        return tuple(
            WordCategory(
                name=row.name, action=row.action, note=row.note, count=counts.get(row.name, 0)
            )
            for row in rows
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
        """Change words, all at once or not at all. Returns how many are gone. Raises `StoreUnavailable`."""
        gone = 0

        async def work(connection: AsyncConnection) -> None:
            nonlocal gone
            revision = await move(connection, _NAME)
            for name in drop:
                gone += await _forget(connection, sensitive_words.c.category == name, revision)
                await connection.execute(
                    delete(word_categories).where(word_categories.c.name == name)
                )
            for start in range(0, len(remove), _FEW):
                some = remove[start : start + _FEW]
                gone += await _forget(connection, _named(some), revision)
            for category in categories:
                await connection.execute(_PUT_CATEGORY, _category(category))
            for name in dict.fromkeys(record.category for record in put):
                await connection.execute(_MEET_CATEGORY, _category(WordCategory(name=name)))
            for start in range(0, len(put), _PIECE):
                rows = [_columns(record, revision) for record in put[start : start + _PIECE]]
                await connection.execute(_PUT, rows)
            await append(connection, audit)

        async def all_of_it() -> None:
            await self._database.write(work)
            self._signals.ring(WORDS)

        # To its end, even where the caller is gone: what is kept must be told.
        await self._database.finish(all_of_it())
        return gone


def _after(since: int, last: int) -> Select[Any]:
    """The next piece of what has changed."""
    word = sensitive_words.c
    wanted = [word.revision > since, word.seq > last]
    if not since:
        wanted.append(_kept)
    return select(sensitive_words).where(*wanted).order_by(word.seq).limit(_PIECE)


def _named(keys: Sequence[WordKey]) -> Any:
    return tuple_(sensitive_words.c.category, sensitive_words.c.word).in_(list(map(tuple, keys)))


async def _forget(connection: AsyncConnection, which: Any, revision: int) -> int:
    done = await connection.execute(
        update(sensitive_words)
        .where(and_(_kept, which))
        .values(removed=True, note="", revision=revision)
    )
    return done.rowcount


def _category(category: WordCategory) -> dict[str, Any]:
    return {"name": category.name, "action": category.action, "note": category.note}


def _columns(record: WordRecord, revision: int) -> dict[str, Any]:
    return {
        "category": record.category,
        "word": record.word,
        "action": record.action,
        "note": record.note,
        "added_at": to_micros(record.added_at),
        "revision": revision,
    }


def _record(row: Any) -> WordRecord:
    return WordRecord(
        category=row.category,
        word=row.word,
        action=row.action,
        note=row.note,
        added_at=from_micros(row.added_at),
    )
