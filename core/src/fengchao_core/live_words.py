"""
The sensitive words in force: those of settings and plugins, which stay, and those that operators keep in the store.

A few words more are in force at once, in a small lexicon beside the large one; many, and any that go or become milder,
need the large one built anew, which a thread does in about a second for a hundred thousand words. Requests under way keep
the words that they began with.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from fengchao_core.errors import SettingsError
from fengchao_core.live import Follower
from fengchao_core.logs import Log
from fengchao_core.store.words import DEFAULT_ACTION

if TYPE_CHECKING:
    from fengchao_core.sensitive import Filter, Folding, Lexicon, Reason, WordList
    from fengchao_core.store.words import CategoryAction, WordAction, WordChanges, WordStore

log = Log()

_MOST_AT_ONCE: Final = 200
_MANY: Final = 2000
_QUIET_S: Final = 2.0

Words = dict[str, dict[str, "tuple[WordAction, str]"]]


class LiveWords(Follower):
    """
    The lexicon in force. Its owner runs `run()`. Made by `open_words`.

    Args:
        store: what operators keep.
        fixed: the lists of settings and plugins.
        folding: which disguises are seen through; all but pinyin where not given.

    Attributes:
        lexicon: what texts are screened with; None while there is no word at all. Take it once per request.
        fixed: as given.
    """

    def __init__(
        self, store: WordStore, fixed: Iterable[WordList] = (), folding: Folding | None = None
    ) -> None:
        super().__init__(store, "words")
        self.lexicon: Lexicon | None = None
        self.fixed = tuple(fixed)
        self._store = store
        self._folding = folding
        self._words: Words = {}
        self._actions: Mapping[str, CategoryAction] = {}
        self._filter: Filter | None = None
        self._building = asyncio.Lock()
        self._must_build = False
        self._added = 0
        self._meanwhile: Words = {}
        self._changed_at = 0.0

    def why(self, text: str) -> tuple[Reason, ...]:
        """The hits of a text with the words behind them: for operators only. A long text is better asked in a thread."""
        return () if self.lexicon is None else self.lexicon.why(text)

    async def settle(self) -> None:
        """Have every change in force now, the removed and the milder words too."""
        await self.refresh()
        if self._must_build or self._added:
            await self._build()

    @override
    async def _load(self) -> int:
        changes = await self._store.changes(self._revision)
        if changes.revision < self._revision:  # the database was put back as it once was
            self._words, self._must_build = {}, True
            changes = await self._store.changes(0)
        if len(changes.kept) + len(changes.removed) > _MANY:
            async with self._building:
                fresh = await asyncio.to_thread(self._take, changes)
        else:
            fresh = self._take(changes)
        if self._filter is None:
            if fresh or self.fixed:
                await self._build()
        elif sum(map(len, fresh.values())) > _MOST_AT_ONCE:
            await self._build()
        elif fresh:
            self._added += 1
            for category, listed in fresh.items():
                self._meanwhile.setdefault(category, {}).update(listed)
            self._extend(self._filter, fresh)
        return changes.revision

    @override
    async def _rest(self) -> None:
        is_quiet = time.monotonic() > self._changed_at + _QUIET_S
        if self._must_build or self._added > _MOST_AT_ONCE or (self._added and is_quiet):
            await self._build()

    def _take(self, changes: WordChanges) -> Words:
        """Note what has changed; the words that are to be looked for from now on."""
        fresh: Words = {}
        if changes.actions and changes.actions != self._actions:
            # Words without an action of their own have another one now.
            self._must_build |= any(
                action != self._actions.get(name, DEFAULT_ACTION) and name in self._words
                for name, action in changes.actions.items()
            )
            self._actions = changes.actions
        for category, word in changes.removed:
            if self._words.get(category, {}).pop(word, None) is not None:
                self._must_build = True
        for record in changes.kept:
            now = (record.action, record.note)
            words = self._words.setdefault(record.category, {})
            before = words.get(record.word)
            if before == now:
                continue
            self._must_build |= before is not None
            words[record.word] = now
            fresh.setdefault(record.category, {})[record.word] = now
        if fresh or self._must_build:
            self._changed_at = time.monotonic()
        return fresh

    async def _build(self) -> None:
        """Build the large lexicon anew, in a thread, and put it in force, with what came meanwhile beside it."""
        async with self._building:
            self._must_build, self._added = False, 0
            self._meanwhile = {}
            words = {category: dict(listed) for category, listed in self._words.items()}
            try:
                lists = await asyncio.to_thread(to_lists, words, self._actions)
                await self._replace(lists)
            except SettingsError:
                # Kept before a rule was tightened, or put into the database by hand: the others must be found still.
                await self._replace(await asyncio.to_thread(sound_lists, words, self._actions))

    async def _replace(self, lists: Sequence[WordList]) -> None:
        lists = (*self.fixed, *lists)
        if self._filter is None:
            engine = await asyncio.to_thread(importlib.import_module, "fengchao_core.sensitive")
            self._filter = await engine.Filter.open(lists, folding=self._folding)
        else:
            await self._filter.replace(lists)
        if self._meanwhile:
            self._extend(self._filter, self._meanwhile)
        self._show()

    def _extend(self, words: Filter, fresh: Words) -> None:
        try:
            words.extend(to_lists(fresh, self._actions))
        except SettingsError:
            words.extend(sound_lists(fresh, self._actions))
        self._show()

    def _show(self) -> None:
        current = self._filter.current if self._filter is not None else None
        self.lexicon = current if current is not None and current.readings else None


def to_lists(words: Words, actions: Mapping[str, CategoryAction]) -> tuple[WordList, ...]:
    """
    The words that the store keeps, as the filter takes them.

    Args:
        words: by category and word, each with its own action and its note.
        actions: of the categories.

    Raises:
        SettingsError: a word cannot be a word.
    """
    from fengchao_core.sensitive import WordList

    groups: dict[tuple[str, CategoryAction | None], dict[str, str]] = {}
    for category, listed in words.items():
        default = actions.get(category, DEFAULT_ACTION)
        for word, (action, note) in listed.items():
            kind = None if action == "allow" else action or default
            groups.setdefault((category, kind), {})[word] = note
    return tuple(
        WordList(
            category,
            () if action is None else tuple(listed),
            action or DEFAULT_ACTION,
            tuple(listed) if action is None else (),
            {word: note for word, note in listed.items() if note},
        )
        for (category, action), listed in groups.items()
    )


def sound_lists(words: Words, actions: Mapping[str, CategoryAction]) -> tuple[WordList, ...]:
    """As `to_lists`, without the words that cannot be looked for: they are counted in the log, by category."""
    from fengchao_core.sensitive import check_words

    sound: list[WordList] = []
    for category, listed in words.items():
        left_out = 0
        for word, said in listed.items():
            try:
                lists = to_lists({category: {word: said}}, actions)
                check_words(lists)
            except SettingsError:
                left_out += 1
            else:
                sound += lists
        if left_out:
            log.error("words.left_out", category=category, words=left_out)
    return tuple(sound)


async def open_words(
    store: WordStore, fixed: Iterable[WordList], folding: Folding | None = None
) -> LiveWords:
    """
    Build the words of settings, plugins and store. Owns nothing that needs closing; its `run()` is the caller's to run.

    Raises:
        SettingsError: words of the settings or of a plugin cannot be looked for.
        StoreUnavailable: the store does not answer.
    """
    words = LiveWords(store, fixed, folding)
    await words.open()
    return words
