"""
Writing word lists in the formats of `formats`, for those who keep them.

The only place, beside `Lexicon.why`, where words leave the filter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import orjson

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive.formats import ALLOW, COLUMNS, Format
from fengchao_core.sensitive.words import WordList


def render_wordlists(lists: Iterable[WordList], written: Format) -> str:
    """
    Write lists in one of the formats, so that reading it gives the same words.

    Raises:
        SettingsError: txt cannot hold a word or a note with a line break or a tab in it.
    """
    return {"txt": _render_txt, "csv": _render_csv, "json": _render_json}[written](tuple(lists))


def _render_txt(lists: Sequence[WordList]) -> str:
    lines = []
    for words in lists:
        lines += [f"# category: {words.category}", f"# action: {words.action}"]
        lines += [
            ("\\" if word[0] in "#!\\" else "") + word + (f"\t{note}" if note else "")
            for word in words.words
            for note in [words.notes.get(word, "")]
        ]
        lines += [f"!{word}" for word in words.allow]
        lines.append("")
    if any(
        "\n" in part or "\r" in part or "\t" in part
        for words in lists
        for part in (words.category, *words.words, *words.allow, *words.notes.values())
    ):
        raise SettingsError(
            "word lists: a word or a note holds a line break or a tab, which txt cannot; use csv or json"
        )
    return "\n".join(lines)


def _render_csv(lists: Sequence[WordList]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for words in lists:
        for word in words.words:
            writer.writerow((word, words.category, words.action, words.notes.get(word, "")))
        for word in words.allow:
            writer.writerow((word, words.category, ALLOW, ""))
    return text.getvalue()


def _render_json(lists: Sequence[WordList]) -> str:
    tree = [
        {
            "category": words.category,
            "action": words.action,
            "words": [
                {"word": word, "note": words.notes[word]} if words.notes.get(word) else word
                for word in words.words
            ],
            "allow": list(words.allow),
        }
        for words in lists
    ]
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode() + "\n"
