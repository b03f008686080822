"""
Reading word lists that people write.

- txt: a word per line; after a tab, its note. `!` before a word allows it. `#` begins a remark; `# category: …` and
  `# action: …` set what holds for the lines below. Words that begin with `#` or `!` are written with a backslash before.
- csv: a header `word,category,action,note` in any order, of which only `word` must be there; the action `allow` marks an
  allowed word.
- json: a list of words, or an object `{"category", "action", "words", "allow"}`, or a list of such objects. A word is a
  text or `{"word", "note"}`.

Text is UTF-8, with or without a byte order mark. Problems name the file and the line, never a word.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final, Literal, cast, get_args

import orjson

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive.words import ACTIONS, Action, WordList

Format = Literal["txt", "csv", "json"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

ALLOW = "allow"
COLUMNS = ("word", "category", "action", "note")


def read_wordlists(
    path: Path, *, category: str | None = None, action: Action = "block"
) -> tuple[WordList, ...]:
    """
    Read a file of words; its ending says how it is written.

    Args:
        category: of words for which the file says none; the file's name without its ending by default.
        action: of words for which the file says none.

    Raises:
        SettingsError: the file cannot be read, or what is wrong in it, line by line.
    """
    written = path.suffix.removeprefix(".").lower()
    if written not in FORMATS:
        raise SettingsError(
            f"word list {path.name}: the ending {path.suffix!r} is unknown; use .txt, .csv or .json"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"word list {path}: {error.strerror}; give a readable file") from error
    return parse_wordlists(
        data,
        written,
        name=path.name,
        category=category or path.stem,
        action=action,
    )


def parse_wordlists(
    data: bytes | str,
    written: Format,
    *,
    name: str = "upload",
    category: str = "default",
    action: Action = "block",
) -> tuple[WordList, ...]:
    r"""
    Read words from a text in one of the formats.

    Args:
        name: what problems call it.
        category: of words for which it says none.
        action: likewise.

    Raises:
        SettingsError: what is wrong in it, line by line.

    Example:
        >>> parse_wordlists("敏感词\t一个例子\n!敏感词典\n", "txt", category="示例")[0].allow
        ('敏感词典',)
    """
    return _read_sheet(data, written, _Sheet(name, category, action)).lists()


def parse_words(
    data: bytes | str, written: Format, *, name: str = "upload", category: str = "default"
) -> Mapping[tuple[str, str], Mapping[str, str]]:
    r"""
    Read words as they are written, without an action where none is: for lists whose categories have actions of their own.

    Returns:
        The words with their notes, by category and action; `allow` is an action here, and nothing is none.

    Raises:
        SettingsError: what is wrong in it, line by line.

    Example:
        >>> parse_words("word,action\n甲,\n乙,record\n", "csv", category="示例")
        {('示例', ''): {'甲': ''}, ('示例', 'record'): {'乙': ''}}
    """
    return _read_sheet(data, written, _Sheet(name, category, "")).words


def sample_wordlists() -> tuple[WordList, ...]:
    """The tiny harmless lists that come with the product, to try the filter with."""
    data = resources.files(__package__).joinpath("data/sample.txt").read_bytes()
    return parse_wordlists(data, "txt", name="sample.txt")


def _read_sheet(data: bytes | str, written: Format, sheet: _Sheet) -> _Sheet:
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"word list {sheet.name}, line {line}: it is not UTF-8; save it as UTF-8 (it may be GBK or UTF-16)"
        ) from error
    {"txt": _parse_txt, "csv": _parse_csv, "json": _parse_json}[written](
        text.removeprefix("\ufeff"), sheet
    )
    if sheet.problems:
        raise SettingsError(*sheet.problems)
    return sheet


@dataclass(slots=True)
class _Sheet:
    """What has been read so far."""

    name: str
    category: str
    action: str
    problems: list[str] = field(default_factory=list)
    words: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def add(self, where: str, word: object, category: object, action: object, note: object) -> None:
        """Take a word; an absent category or action is the file's."""
        category = category or self.category
        action = action or self.action
        if not (isinstance(word, str) and isinstance(category, str) and isinstance(note, str)):
            self.problem(where, "word, category and note must be texts")
        elif not word.strip():
            self.problem(where, "the word is blank; leave it out")
        elif action and action not in ACTIONS and action != ALLOW:
            self.problem(where, f"action {action!r} is unknown; use {', '.join((*ACTIONS, ALLOW))}")
        else:
            place = (category.strip() or self.category, str(action))
            self.words.setdefault(place, {}).setdefault(word.strip(), note.strip())

    def problem(self, where: str, what: str) -> None:
        self.problems.append(f"word list {self.name}, {where}: {what}")

    def lists(self) -> tuple[WordList, ...]:
        """One list per category and action; allowed words go with the category's first."""
        allow = {place[0]: tuple(words) for place, words in self.words.items() if place[1] == ALLOW}
        made = [
            WordList(
                category,
                tuple(words),
                cast("Action", action),  # `add` took no other
                allow.pop(category, ()),
                {word: note for word, note in words.items() if note},
            )
            for (category, action), words in self.words.items()
            if action != ALLOW
        ]
        return (*made, *(WordList(category, allow=words) for category, words in allow.items()))


def _parse_txt(text: str, sheet: _Sheet) -> None:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        where = f"line {number}"
        if line.startswith("#"):
            key, colon, value = line[1:].partition(":")
            if colon and key.strip() == "category":
                sheet.category = value.strip() or sheet.category
            elif colon and key.strip() == "action":
                sheet.action = value.strip()
                if sheet.action not in ACTIONS:
                    sheet.problem(where, f"action is unknown; use one of {', '.join(ACTIONS)}")
                    sheet.action = ACTIONS[0]
        elif line:
            word, _, note = line.partition("\t")
            action = ALLOW if word.startswith("!") else ""
            sheet.add(where, word.removeprefix("!" if action else "\\"), "", action, note)


def _parse_csv(text: str, sheet: _Sheet) -> None:
    rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="", strict=True)
    try:
        names = [name.strip().lower() for name in rows.fieldnames or ()]
        if "word" not in names:
            sheet.problem("line 1", f"there is no column 'word'; begin with {','.join(COLUMNS)}")
            return
        rows.fieldnames = names
        for row in rows:
            if "" in row:
                sheet.problem(f"line {rows.line_num}", "there are more fields than columns")
            elif any(row.values()):
                word, category, action, note = (row.get(column, "") for column in COLUMNS)
                sheet.add(
                    f"line {rows.line_num}", word, category.strip(), action.strip().lower(), note
                )
    except csv.Error as error:
        sheet.problem(f"line {rows.line_num}", f"it is not CSV ({error})")


def _parse_json(text: str, sheet: _Sheet) -> None:
    try:
        tree = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        sheet.problem(f"line {error.lineno}", f"it is not JSON ({error.msg})")
        return
    groups = tree if isinstance(tree, list) else [tree]
    if all(not isinstance(group, dict) or "word" in group for group in groups):
        groups = [{"words": groups}]
    for place, group in enumerate(groups):
        where = f"list {place + 1}"
        if not isinstance(group, dict) or not group.keys() <= {
            "category",
            "action",
            "words",
            "allow",
        }:
            sheet.problem(where, "it must be an object of category, action, words and allow")
            continue
        for key, action in (("words", group.get("action")), ("allow", ALLOW)):
            words = group.get(key, [])
            if not isinstance(words, list):
                sheet.problem(where, f"{key} must be a list")
                continue
            for number, item in enumerate(words):
                word = item if isinstance(item, dict) else {"word": item}
                if not word.keys() <= {"word", "note"}:
                    sheet.problem(
                        f"{where}, {key}[{number}]", "it must be a text, or word and note"
                    )
                    continue
                sheet.add(
                    f"{where}, {key}[{number}]",
                    word.get("word"),
                    group.get("category"),
                    action,
                    word.get("note") or "",
                )
