"""The sensitive words: listed, searched, added, changed, removed, imported, exported, and tried on a text."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fengchao_core.store import WordKey
from fengchao_core.word_keeping import WORD_ACTIONS
from fengchao_server.admin.reading import Asked, answer, count, query, read
from fengchao_server.admin.shape import NOT_KEPT, AdminShape
from fengchao_server.answers import Answer
from fengchao_server.described import Described
from fengchao_server.refusals import Invalid, NoSuchThing
from fengchao_server.routes import Route
from fengchao_server.wordlists import FORMATS, format_of

if TYPE_CHECKING:
    from fengchao_core.store import WordRecord
    from fengchao_core.word_keeping import WordKeeper
    from fengchao_server.call import Call

_LONGEST_TEST = 100_000
_MOST_HITS = 1000
_TYPES = {"txt": b"text/plain", "csv": b"text/csv", "json": b"application/json"}

_Action = Literal["block", "replace", "record", "allow", ""]
_CategoryAction = Literal["block", "replace", "record"]


class NamedWord(Asked):
    """A word, by what it is known by."""

    category: str = Field(description="分类")
    word: str = Field(description="词")


class WordToAdd(NamedWord):
    """A word to be added; one that is there is changed."""

    action: _Action = Field(default="", description="处理方式；空为随分类，allow 为放行")
    note: str = Field(default="", description="备注")


class WordToChange(NamedWord):
    """What of a word is to be changed; what is left out stays."""

    action: _Action = Field(default="", description="处理方式；空为随分类")
    note: str = Field(default="", description="备注")


class WordsToRemove(Asked):
    """Words to be removed."""

    words: tuple[NamedWord, ...] = Field(min_length=1, max_length=10_000, description="要移除的词")


class ListToImport(Asked):
    """A word list as text."""

    text: str = Field(description="词表的内容")
    format: Literal["txt", "csv", "json"] = Field(description="写法")
    category: str = Field(default="default", description="没有写明分类的词归到哪里")
    overwrite: bool = Field(default=False, description="移除它涉及的分类里它没有的词")


class TextToTest(Asked):
    """A text to be looked at."""

    text: str = Field(max_length=_LONGEST_TEST, description="要检查的文字")


class CategoryToSet(Asked):
    """What of a category is to be set; what is left out stays."""

    action: _CategoryAction = Field(default="block", description="它的词怎样处理")
    note: str = Field(default="", description="备注")


class Word(Described):
    """A word."""

    category: str
    word: str
    action: str
    note: str
    added_at: datetime


class Words(Described):
    """Some of the words."""

    total: int
    words: list[Word]


class Removed(Described):
    """How many words are gone."""

    removed: int


class Imported(Described):
    """What an import did."""

    added: int
    changed: int
    removed: int


class Category(Described):
    """A category. `fixed` counts the words that settings and plugins bring: they cannot be changed here."""

    name: str
    action: str
    note: str
    count: int
    fixed: int


class Categories(Described):
    """All categories."""

    categories: list[Category]


class Found(Described):
    """A hit, and why it is one."""

    start: int
    end: int
    text: str
    category: str
    action: str
    word: str
    note: str


class Tested(Described):
    """What was found in a text; `text` is what is left with everything replaced, `total` counts all hits."""

    text: str
    total: int
    hits: list[Found]


def routes() -> list[Route]:
    """The routes of this module."""
    admin = AdminShape()
    return [
        Route(
            method="GET", path="/admin/words", handler=list_words, shape=admin, auth="operator",
            summary="列出与搜索敏感词 List sensitive words",
            query=("category?", "action?", "search?", "page?", "limit?"), gives=Words,
        ),
        Route(
            method="POST", path="/admin/words", handler=add, shape=admin, auth="operator", body="own",
            summary="加入敏感词，从下一个请求起生效 Add a word", takes=WordToAdd, gives=Word, status=201,
        ),
        Route(
            method="PATCH", path="/admin/words", handler=update, shape=admin, auth="operator", body="own",
            summary="修改敏感词 Change a word", takes=WordToChange, gives=Word,
        ),
        Route(
            method="POST", path="/admin/words/remove", handler=remove, shape=admin, auth="operator", body="own",
            summary="移除敏感词 Remove words", takes=WordsToRemove, gives=Removed,
        ),
        Route(
            method="POST", path="/admin/words/import", handler=import_words, shape=admin, auth="operator", body="own",
            summary="导入词表 Import a list", takes=ListToImport, gives=Imported,
        ),
        Route(
            method="GET", path="/admin/words/export", handler=export, shape=admin, auth="operator", media="*/*",
            summary="导出词表 Export the list", query=("format?", "category?"),
        ),
        Route(
            method="POST", path="/admin/words/test", handler=test, shape=admin, auth="operator", body="own",
            summary="检查一段文字并说明原因 Try the words on a text", takes=TextToTest, gives=Tested,
        ),
        Route(
            method="GET", path="/admin/words/categories", handler=categories, shape=admin, auth="operator",
            summary="列出敏感词分类 List categories", gives=Categories,
        ),
        Route(
            method="PUT", path="/admin/words/categories/{name}", handler=set_category, shape=admin, auth="operator",
            body="own", summary="设置一个分类 Set a category", takes=CategoryToSet, gives=Category,
        ),
        Route(
            method="DELETE", path="/admin/words/categories/{name}", handler=remove_category, shape=admin,
            auth="operator", summary="移除一个分类及其词 Remove a category with its words", gives=Removed,
        ),
    ]  # fmt: skip


async def list_words(call: Call) -> Answer:
    """Some of the words that operators keep, by category and word."""
    asked = query(call, ("category", "action", "search", "page", "limit"))
    limit = count(asked.get("limit"), "limit", default=100, most=1000)
    number = count(asked.get("page"), "page", default=1, most=1_000_000)
    action = asked.get("action")
    if action is not None and action not in WORD_ACTIONS:
        raise Invalid(
            "'action' must be block, replace, record or allow", msg="action 有误", param="action"
        )
    page = await _keeper(call).page(
        category=asked.get("category"),
        action=action,
        search=asked.get("search", ""),
        limit=limit,
        offset=(number - 1) * limit,
    )
    return answer({"total": page.total, "words": [_shown(record) for record in page.words]})


async def add(call: Call) -> Answer:
    """Add a word."""
    asked = await read(call, WordToAdd)
    record = await _keeper(call).add(
        asked.word, category=asked.category, action=asked.action, note=asked.note
    )
    await call.gateway.refresh()
    return answer(_shown(record), status=201)


async def update(call: Call) -> Answer:
    """Change what the body names of a word."""
    asked = await read(call, WordToChange)
    given = asked.model_fields_set
    key = WordKey(asked.category, asked.word)
    if not await call.gateway.store.words.get((key,)):
        raise NoSuchThing(
            "this category has no such word", msg="这个分类里没有这个词", param="word"
        )
    record = await _keeper(call).update(
        key,
        action=asked.action if "action" in given else None,
        note=asked.note if "note" in given else None,
    )
    await _settle(call)
    return answer(_shown(record))


async def remove(call: Call) -> Answer:
    """Remove words; those that are not there are passed over."""
    asked = await read(call, WordsToRemove)
    removed = await _keeper(call).remove([WordKey(w.category, w.word) for w in asked.words])
    await _settle(call)
    return answer({"removed": removed})


async def import_words(call: Call) -> Answer:
    """Take a list that somebody wrote, all of it or nothing."""
    asked = await read(call, ListToImport)
    done = await _keeper(call).import_words(
        asked.text, asked.format, category=asked.category, overwrite=asked.overwrite
    )
    await _settle(call)
    return answer(done)


async def export(call: Call) -> Answer:
    """The words as a file that `import` takes."""
    asked = query(call, ("format", "category"))
    written = asked.get("format", "csv")
    if written not in FORMATS:
        raise Invalid(
            f"'format' must be {', '.join(FORMATS)}",
            msg="format 应为 txt、csv 或 json",
            param="format",
        )
    text = await _keeper(call).export(format_of(written), category=asked.get("category"))
    return Answer(
        text.encode(),
        content_type=_TYPES[written] + b"; charset=utf-8",
        headers={**NOT_KEPT, "Content-Disposition": f'attachment; filename="words.{written}"'},
    )


async def test(call: Call) -> Answer:
    """What is found in a text, and by which words."""
    asked = await read(call, TextToTest)
    await call.gateway.refresh()
    words = call.gateway.words
    lexicon = None if words is None else words.lexicon
    if lexicon is None:
        return answer({"text": asked.text, "total": 0, "hits": []})
    reasons = await asyncio.to_thread(lexicon.why, asked.text)
    screened = await asyncio.to_thread(lexicon.screen, asked.text, replace=True)
    hits = [
        {
            "start": hit.start,
            "end": hit.end,
            "text": asked.text[hit.start : hit.end],
            "category": hit.category,
            "action": hit.action,
            "word": reason.word,
            "note": reason.note,
        }
        for reason in reasons[:_MOST_HITS]
        for hit in [reason.hit]
    ]
    return answer({"text": screened.text, "total": len(reasons), "hits": hits})


async def categories(call: Call) -> Answer:
    """Every category, with what settings and plugins bring to it."""
    words = call.gateway.words
    fixed: dict[str, int] = {}
    for listed in words.fixed if words is not None else ():
        size = len(listed.words) + len(listed.allow)
        fixed[listed.category] = fixed.get(listed.category, 0) + size
    kept = {category.name: category for category in await _keeper(call).categories()}
    said = [
        {
            "name": category.name,
            "action": category.action,
            "note": category.note,
            "count": category.count,
            "fixed": fixed.get(category.name, 0),
        }
        for category in kept.values()
    ]
    said += [
        {"name": name, "action": "", "note": "", "count": 0, "fixed": size}
        for name, size in fixed.items()
        if name not in kept
    ]
    return answer({"categories": said})


async def set_category(call: Call) -> Answer:
    """Make a category, or change what the body names of it."""
    asked = await read(call, CategoryToSet)
    given = asked.model_fields_set
    category = await _keeper(call).set_category(
        call.params["name"],
        action=asked.action if "action" in given else None,
        note=asked.note if "note" in given else None,
    )
    await _settle(call)
    return answer(
        {
            "name": category.name,
            "action": category.action,
            "note": category.note,
            "count": category.count,
            "fixed": 0,
        }
    )


async def remove_category(call: Call) -> Answer:
    """Remove a category with all its words."""
    name = call.params["name"]
    keeper = _keeper(call)
    if name not in {category.name for category in await keeper.categories()}:
        raise NoSuchThing("there is no such category", msg="没有这个分类", param="name")
    removed = await keeper.remove_category(name)
    await _settle(call)
    return answer({"removed": removed})


def _keeper(call: Call) -> WordKeeper:
    return call.gateway.word_keeper(call.entry)


async def _settle(call: Call) -> None:
    """Answer when the change is in force here, the milder ones too; other processes follow by themselves."""
    words = call.gateway.words
    if words is not None:
        await words.settle()


def _shown(record: WordRecord) -> dict[str, object]:
    return {
        "category": record.category,
        "word": record.word,
        "action": record.action,
        "note": record.note,
        "added_at": record.added_at,
    }
