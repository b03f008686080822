"""
Keeping the word list: what operators do to it, checked before it reaches the store.

A word that cannot be looked for is refused here, so that no process ever finds one when it builds its lexicon. Whoever
screens follows the store by itself: nothing here needs to be told to a running gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, get_args

from fengchao_core.clock import Clock, SystemClock
from fengchao_core.errors import InvalidParameter, SettingsError
from fengchao_core.live_words import Words, to_lists
from fengchao_core.store.audit import AuditRecord, Journal
from fengchao_core.store.words import (
    DEFAULT_ACTION,
    CategoryAction,
    WordAction,
    WordCategory,
    WordKey,
    WordPage,
    WordRecord,
    WordStore,
)

if TYPE_CHECKING:
    from fengchao_core.sensitive import Format

_Sheet = Mapping[tuple[str, str], Mapping[str, str]]

WORD_ACTIONS: Final[tuple[WordAction, ...]] = get_args(WordAction)
CATEGORY_ACTIONS: Final[tuple[CategoryAction, ...]] = get_args(CategoryAction)

_LONGEST_WORD: Final = 200
_LONGEST_CATEGORY: Final = 64
_LONGEST_NOTE: Final = 1000
_MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Imported:
    """
    What an import did.

    Attributes:
        added: words that were not there.
        changed: words that have another action or note now.
        removed: words of its categories that it did not name; only where it replaces.
    """

    added: int
    changed: int
    removed: int


class WordKeeper:
    """
    The word list of a store. Every method that changes it says what was wrong, and then has changed nothing.

    Args:
        store: where the words are kept.
        journal: writes down who changed what; nobody does where not given.
    """

    def __init__(
        self, store: WordStore, *, journal: Journal | None = None, clock: Clock | None = None
    ) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock or SystemClock()

    async def page(
        self,
        *,
        category: str | None = None,
        action: WordAction | None = None,
        search: str = "",
        limit: int = 100,
        offset: int = 0,
    ) -> WordPage:
        """Some of the words; the arguments are those of `WordStore.page`."""
        return await self._store.page(
            category=category, action=action, search=search, limit=limit, offset=offset
        )

    async def categories(self) -> tuple[WordCategory, ...]:
        """The categories, by name."""
        return await self._store.categories()

    async def add(
        self, word: str, *, category: str, action: WordAction = "", note: str = ""
    ) -> WordRecord:
        """
        Add a word, or change the one that is there.

        Args:
            action: the category's own where it is empty; `allow` for a word that excuses the hits inside it.

        Raises:
            InvalidParameter: it cannot be looked for, or an argument is wrong.
        """
        record = self._checked(category, word, action, note)
        await self._check({record.key: record})
        (before,) = await self._store.get((record.key,)) or (None,)
        audit = self._entry("word.add" if before is None else "word.update", record, before)
        await self._store.change(put=(record,), audit=audit)
        return record

    async def update(
        self, key: WordKey, *, action: WordAction | None = None, note: str | None = None
    ) -> WordRecord:
        """
        Change what a word does, or its note; what is not given stays.

        Raises:
            InvalidParameter: there is no such word, or an argument is wrong.
        """
        known = await self._store.get((key,))
        if not known:
            raise InvalidParameter("this category has no such word", param="word")
        (record,) = known
        changed = self._checked(
            record.category,
            record.word,
            record.action if action is None else action,
            record.note if note is None else note,
        )
        changed = replace(changed, added_at=record.added_at)
        await self._store.change(put=(changed,), audit=self._entry("word.update", changed, record))
        return changed

    async def remove(self, keys: Sequence[WordKey]) -> int:
        """Forget words. Returns how many were there."""
        known = await self._store.get(keys) if len(keys) <= _MOST_TOLD else ()
        if not keys or (len(keys) <= _MOST_TOLD and not known):
            return 0
        audit = None
        if len(known) == 1:
            audit = self._entry("word.remove", None, known[0])
        elif self._journal is not None:
            target = ", ".join(sorted({key.category for key in keys}))
            audit = self._journal("word.remove", target, before={"words": len(known) or len(keys)})
        return await self._store.change(remove=keys, audit=audit)

    async def set_category(
        self, name: str, *, action: CategoryAction | None = None, note: str | None = None
    ) -> WordCategory:
        """
        Add a category, or change its action or its note; what is not given stays.

        Raises:
            InvalidParameter: an argument is wrong.
        """
        known = {category.name: category for category in await self._store.categories()}
        before = known.get(name)
        category = before or WordCategory(name=_category(name))
        if action is not None:
            if action not in CATEGORY_ACTIONS:
                raise InvalidParameter(
                    f"action must be one of {', '.join(CATEGORY_ACTIONS)}", param="action"
                )
            category = replace(category, action=action)
        if note is not None:
            category = replace(category, note=_note(note))
        audit = None
        if self._journal is not None:
            audit = self._journal(
                "word_category.set",
                category.name,
                before={} if before is None else {"action": before.action, "note": before.note},
                after={"action": category.action, "note": category.note},
            )
        await self._store.change(categories=(category,), audit=audit)
        return category

    async def remove_category(self, name: str) -> int:
        """
        Forget a category and all its words. Returns how many it had.

        Raises:
            InvalidParameter: there is no such category.
        """
        known = {category.name: category for category in await self._store.categories()}
        if name not in known:
            raise InvalidParameter("there is no such category", param="category")
        audit = None
        if self._journal is not None:
            before: dict[str, object] = {"words": known[name].count}
            audit = self._journal("word_category.remove", name, before=before)
        return await self._store.change(drop=(name,), audit=audit)

    async def import_words(
        self,
        data: bytes | str,
        written: Format,
        *,
        name: str = "upload",
        category: str = "default",
        overwrite: bool = False,
    ) -> Imported:
        """
        Take the words of a list that somebody wrote, all or none.

        A category that is new takes the action that all its words have; a word that does what its category does has no
        action of its own.

        Args:
            data: the list, in one of the formats of the settings' `wordlists`.
            name: what problems call it.
            category: of words for which it says none.
            overwrite: forget the words of its categories that it does not name.

        Raises:
            InvalidParameter: what is wrong in it, line by line.
        """
        from fengchao_core.sensitive import parse_words

        try:
            sheet = await asyncio.to_thread(
                parse_words, data, written, name=name, category=_category(category)
            )
        except SettingsError as error:
            raise _refused(error) from error
        known = {known.name: known.action for known in await self._store.categories()}
        new = _new_categories(sheet, known)
        records = await asyncio.to_thread(
            self._records, sheet, known | {category.name: category.action for category in new}
        )
        await self._check(records)
        return await self._take(records, new, overwrite=overwrite)

    async def export(self, written: Format, *, category: str | None = None) -> str:
        """
        The words as text, in one of the formats of the settings' `wordlists`.

        Raises:
            InvalidParameter: txt cannot hold a word with a line break in it.
        """
        from fengchao_core.sensitive import render_wordlists

        kept = await self._kept()
        if category is not None:
            kept = {category: kept.get(category, {})}
        lists = await asyncio.to_thread(to_lists, kept, await self._actions())
        try:
            return await asyncio.to_thread(render_wordlists, lists, written)
        except SettingsError as error:
            raise _refused(error) from error

    def _records(
        self, sheet: _Sheet, defaults: Mapping[str, CategoryAction]
    ) -> Mapping[WordKey, WordRecord]:
        """The words of a sheet; what does as its category does has no action of its own."""
        records: dict[WordKey, WordRecord] = {}
        for (category, action), words in sheet.items():
            own = "" if action == defaults.get(category, DEFAULT_ACTION) else action
            for word, note in words.items():
                record = self._checked(category, word, own, note)
                records.setdefault(record.key, record)
        return records

    async def _take(
        self,
        records: Mapping[WordKey, WordRecord],
        new: Sequence[WordCategory],
        *,
        overwrite: bool,
    ) -> Imported:
        kept = (await self._store.changes(0)).kept
        changed, gone, done = await asyncio.to_thread(_compare, records, kept, overwrite=overwrite)
        if changed or gone or new:
            audit = None
            if self._journal is not None:
                touched = sorted({key.category for key in records})
                target = ", ".join(touched)[:_LONGEST_NOTE]
                audit = self._journal("word.import", target, after=asdict(done))
            await self._store.change(put=changed, remove=gone, categories=new, audit=audit)
        return done

    def _entry(
        self, action: str, after: WordRecord | None, before: WordRecord | None
    ) -> AuditRecord | None:
        record = after or before
        if self._journal is None or record is None:
            return None
        return self._journal(action, record.category, before=_facts(before), after=_facts(after))

    async def _kept(self) -> Words:
        words: Words = {}
        for record in (await self._store.changes(0)).kept:
            words.setdefault(record.category, {})[record.word] = (record.action, record.note)
        return words

    async def _actions(self) -> dict[str, CategoryAction]:
        return {category.name: category.action for category in await self._store.categories()}

    async def _check(self, records: Mapping[WordKey, WordRecord]) -> None:
        """Refuse words that cannot be looked for. Raises `InvalidParameter`."""
        from fengchao_core.sensitive import check_words

        words: Words = {}
        for record in records.values():
            words.setdefault(record.category, {})[record.word] = (record.action, record.note)
        try:
            await asyncio.to_thread(lambda: check_words(to_lists(words, {})))
        except SettingsError as error:
            raise _refused(error) from error

    def _checked(self, category: str, word: str, action: str, note: str) -> WordRecord:
        word = word.strip()
        if not word or len(word) > _LONGEST_WORD or "\0" in word:
            raise InvalidParameter(f"a word has 1 to {_LONGEST_WORD} characters", param="word")
        if action not in WORD_ACTIONS:
            raise InvalidParameter(
                f"action must be one of {', '.join(filter(None, WORD_ACTIONS))}, or empty for the category's own",
                param="action",
            )
        return WordRecord(
            category=_category(category),
            word=word,
            action=action,
            note=_note(note),
            added_at=self._clock.now(),
        )


def _compare(
    records: Mapping[WordKey, WordRecord], kept: Sequence[WordRecord], *, overwrite: bool
) -> tuple[list[WordRecord], list[WordKey], Imported]:
    """What is to be put, and what is to be removed, so that the words of a list are kept."""
    before = {record.key: record for record in kept}
    changed = [
        record
        for key, record in records.items()
        for old in [before.get(key)]
        if old is None or (old.action, old.note) != (record.action, record.note)
    ]
    touched = {key.category for key in records}
    gone = [key for key in before if overwrite and key.category in touched and key not in records]
    added = sum(record.key not in before for record in changed)
    return changed, gone, Imported(added, len(changed) - added, len(gone))


def _new_categories(sheet: _Sheet, known: Container[str]) -> tuple[WordCategory, ...]:
    """The categories that a sheet brings, with the action that all their words have, where they agree."""
    actions: dict[str, set[str]] = {}
    for category, action in sheet:
        if category not in known and action != "allow":
            actions.setdefault(category, set()).add(action or DEFAULT_ACTION)
    return tuple(
        WordCategory(name=name, action=action)
        for name, wanted in actions.items()
        for action in CATEGORY_ACTIONS
        if wanted == {action}
    )


def _facts(record: WordRecord | None) -> dict[str, object]:
    if record is None:
        return {}
    return {"word": record.word, "action": record.action, "note": record.note}


def _refused(error: SettingsError) -> InvalidParameter:
    problems = list(error.problems)
    more = len(problems) - _MOST_TOLD
    told = "; ".join(problems[:_MOST_TOLD])
    return InvalidParameter(f"{told}; and {more} more" if more > 0 else told, param="word")


def _category(name: str) -> str:
    name = name.strip()
    if not name or len(name) > _LONGEST_CATEGORY or not name.isprintable():
        raise InvalidParameter(
            f"a category has a name of 1 to {_LONGEST_CATEGORY} printable characters",
            param="category",
        )
    return name


def _note(note: str) -> str:
    note = note.strip()
    if len(note) > _LONGEST_NOTE or not note.replace("\n", "").replace("\t", "").isprintable():
        raise InvalidParameter(
            f"a note has at most {_LONGEST_NOTE} printable characters", param="note"
        )
    return note
