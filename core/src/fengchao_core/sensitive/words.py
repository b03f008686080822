"""
Word lists: the words of one category, what happens when one is found, and which longer words are harmless.

A list says what an operator wrote, untouched; folding and matching happen in the lexicon. Nothing here is logged, and no
message holds a word: problems name the category and the place in the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Literal, get_args

from fengchao_core.errors import SettingsError

Action = Literal["block", "replace", "record"]
"""
What a hit does: `block` refuses the text (or ends the stream), `replace` stars the hit, `record` only counts it.

A request may ask that blocking words be replaced instead.
"""

ACTIONS: tuple[Action, ...] = get_args(Action)
"""Every action, the strictest first: of two lists with the same word, the stricter wins."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class WordList:
    """
    The words of one category.

    Attributes:
        category: its name: what answers, logs and metrics tell about a hit.
        words: as written; each is found in all its disguises.
        action: what a hit of these words does.
        allow: longer words that are harmless although they hold a listed word, of this list or of any other: a hit that
            lies inside one is no hit.
        notes: a remark on a word, for those who keep the list.

    Raises:
        SettingsError: no category, an unknown action, a blank or a broken word; all problems at once.

    Example:
        >>> WordList("广告", ("加微信",), action="replace", allow=("加微信号说明",)).action
        'replace'
    """

    category: str
    words: tuple[str, ...] = ()
    action: Action = "block"
    allow: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __post_init__(self) -> None:
        problems = []
        name = self.category.strip()
        if not name:
            problems.append("word list: the category is empty; give it a name")
        if self.action not in ACTIONS:
            problems.append(
                f"word list {name!r}: action {self.action!r} is unknown; use one of {', '.join(ACTIONS)}"
            )
        for what in ("words", "allow"):
            values = getattr(self, what)
            if isinstance(values, str):
                problems.append(f"word list {name!r}: {what} is one text; give a tuple of words")
                continue
            object.__setattr__(self, what, tuple(values))
            problems += [
                f"word list {name!r}: {what}[{place}] is blank; leave it out"
                for place, word in enumerate(values)
                if not word.strip()
            ]
            problems += [
                f"word list {name!r}: {what}[{place}] holds half a surrogate pair; write it anew"
                for place, word in enumerate(values)
                if _SURROGATE.search(word)
            ]
        if problems:
            raise SettingsError(*problems)
        object.__setattr__(self, "category", name)
        object.__setattr__(self, "notes", MappingProxyType(dict(self.notes)))


def merge(lists: Iterable[WordList]) -> tuple[WordList, ...]:
    """
    One list per category and action, with each word once.

    Example:
        >>> merge([WordList("a", ("x",)), WordList("a", ("y", "x"))])[0].words
        ('x', 'y')
    """
    groups: dict[tuple[str, Action], list[WordList]] = {}
    for words in lists:
        groups.setdefault((words.category, words.action), []).append(words)
    return tuple(
        group[0]
        if len(group) == 1
        else WordList(
            category,
            tuple(dict.fromkeys(chain.from_iterable(words.words for words in group))),
            action,
            tuple(dict.fromkeys(chain.from_iterable(words.allow for words in group))),
            dict(chain.from_iterable(words.notes.items() for words in group)),
        )
        for (category, action), group in groups.items()
    )
