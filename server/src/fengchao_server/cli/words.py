"""`fengchao words`: the sensitive words that operators keep; a running gateway follows at once."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fengchao_core import Gateway
from fengchao_core.errors import SetupError
from fengchao_core.store import WordKey, WordRecord
from fengchao_core.word_keeping import WordKeeper
from fengchao_server.cli.opened import journal, load_settings, open_bare, open_store
from fengchao_server.cli.terminal import answer, answer_json, say, table
from fengchao_server.process import run as run_loop
from fengchao_server.wordlists import format_of

_OK, _NOTHING = 0, 1


def run(args: Namespace) -> int:
    """Do what `args.action` says."""
    action = {
        "add": _add,
        "remove": _remove,
        "list": _list,
        "categories": _categories,
        "category": _category,
        "test": _test,
        "import": _import,
        "export": _export,
    }[args.action]
    return run_loop(action(args))


async def _add(args: Namespace) -> int:
    async with _keeper(args) as keeper:
        for word in args.words:
            await keeper.add(word, category=args.category, action=args.does or "", note=args.note)
    say(f"已加入 added: {len(args.words)}")
    return _OK


async def _remove(args: Namespace) -> int:
    async with _keeper(args) as keeper:
        keys = [key for word in args.words for key in await _named(keeper, word, args.category)]
        gone = await keeper.remove(keys)
    say(f"已移除 removed: {gone}")
    return _OK if gone else _NOTHING


async def _list(args: Namespace) -> int:
    async with _keeper(args) as keeper:
        page = await keeper.page(
            category=args.category,
            search=args.search or "",
            limit=args.limit,
            offset=(args.page - 1) * args.limit,
        )
    if args.json:
        answer_json({"total": page.total, "words": [_facts(record) for record in page.words]})
        return _OK
    table(
        ("分类 category", "词 word", "处理 action", "备注 note"),
        [(w.category, w.word, w.action or "（随分类）", w.note) for w in page.words],
    )
    say(f"共 {page.total} 个 in all")
    return _OK


async def _categories(args: Namespace) -> int:
    async with _keeper(args) as keeper:
        categories = await keeper.categories()
    if args.json:
        answer_json(list(categories))
        return _OK
    table(
        ("分类 category", "处理 action", "词数 words", "备注 note"),
        [(c.name, c.action, c.count, c.note) for c in categories],
    )
    return _OK


async def _category(args: Namespace) -> int:
    async with _keeper(args) as keeper:
        if args.remove:
            say(f"已移除 removed: {await keeper.remove_category(args.name)}")
            return _OK
        category = await keeper.set_category(args.name, action=args.does, note=args.note)
    say(f"{category.name}: {category.action}")
    return _OK


async def _test(args: Namespace) -> int:
    """Exit status 1 where something was found, as `grep -v` users expect of a check."""
    text = sys.stdin.read() if args.text is None else args.text
    async with _gateway(args) as gateway:
        words = gateway.words
        reasons = () if words is None else words.why(text)
        shown = text
        if words is not None and words.lexicon is not None:
            shown = words.lexicon.screen(text, replace=True).text
    if args.json:
        answer_json(
            {
                "text": shown,
                "hits": [
                    {
                        "category": reason.hit.category,
                        "action": reason.hit.action,
                        "start": reason.hit.start,
                        "end": reason.hit.end,
                        "word": reason.word,
                        "note": reason.note,
                    }
                    for reason in reasons
                ],
            }
        )
    elif reasons:
        answer(shown)
        table(
            ("位置 at", "原文 text", "分类 category", "处理 action", "词 word", "备注 note"),
            [
                (
                    f"{hit.start}-{hit.end}",
                    text[hit.start : hit.end],
                    hit.category,
                    hit.action,
                    reason.word,
                    reason.note,
                )
                for reason in reasons
                for hit in [reason.hit]
            ],
        )
    else:
        say("没有命中 nothing found")
    return _NOTHING if reasons else _OK


async def _import(args: Namespace) -> int:
    path = Path(args.file)
    data = _read(path)
    async with _keeper(args) as keeper:
        done = await keeper.import_words(
            data,
            format_of(path.suffix.removeprefix(".")),
            name=path.name,
            category=args.category or path.stem,
            overwrite=args.overwrite,
        )
    if args.json:
        answer_json(done)
    else:
        say(f"新增 added {done.added}，修改 changed {done.changed}，移除 removed {done.removed}")
    return _OK


async def _export(args: Namespace) -> int:
    async with _keeper(args) as keeper:
        text = await keeper.export(args.format, category=args.category)
    sys.stdout.write(text)
    return _OK


@asynccontextmanager
async def _keeper(args: Namespace) -> AsyncIterator[WordKeeper]:
    async with open_store(load_settings(args)) as store:
        yield WordKeeper(store.words, journal=journal)


@asynccontextmanager
async def _gateway(args: Namespace) -> AsyncIterator[Gateway]:
    async with open_bare(load_settings(args)) as gateway:
        yield gateway


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}; give a readable file") from error


async def _named(keeper: WordKeeper, word: str, category: str | None) -> list[WordKey]:
    """The words of this spelling, in one category or in all."""
    if category is not None:
        return [WordKey(category, word)]
    return [WordKey(known.name, word) for known in await keeper.categories()]


def _facts(record: WordRecord) -> dict[str, object]:
    return {
        "category": record.category,
        "word": record.word,
        "action": record.action,
        "note": record.note,
        "added_at": record.added_at,
    }
