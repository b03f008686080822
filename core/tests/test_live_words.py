"""The words in force: of settings, and of operators while the gateway runs."""

import asyncio
from datetime import UTC, datetime

import pytest

from fengchao_core.errors import InvalidParameter, SettingsError, StoreUnavailable
from fengchao_core.live_words import LiveWords, open_words
from fengchao_core.sensitive import Folding, WordList
from fengchao_core.store import AuditRecord, MemoryStore, WordKey, WordRecord
from fengchao_core.word_keeping import WordKeeper

FIXED = WordList("文件", ("文件词",), "replace")


@pytest.fixture
def store():
    """A store in memory."""
    return MemoryStore()


@pytest.fixture
def keeper(store):
    """What an operator does to it, with a record of each change."""

    def journal(action, target, *, before=None, after=None):
        return AuditRecord(
            at=datetime.now(UTC), actor="test", action=action, target=target,
            before=before or {}, after=after or {},
        )  # fmt: skip

    return WordKeeper(store.words, journal=journal)


async def found(words: LiveWords, text: str) -> list[tuple[str, str]]:
    """What the next request finds: categories and actions."""
    if words.is_stale:
        await words.refresh()
    hits = words.lexicon.find(text) if words.lexicon else ()
    return [(hit.category, hit.action) for hit in hits]


async def test_without_words_there_is_nothing_to_look_for(store):
    """No lexicon is there before the first word."""
    words = await open_words(store.words, ())
    assert words.lexicon is None
    assert not words.is_stale


async def test_a_word_is_found_by_the_next_request(store, keeper):
    """A word that is added is in force as soon as it is kept, the first of all too, in its disguises."""
    words = await open_words(store.words, ())
    await keeper.add("敏感词", category="a")
    assert [("a", "block")] == await found(words, "敏-感-詞")
    await keeper.add("另一个", category="b", action="record")
    assert [("a", "block"), ("b", "record")] == await found(words, "敏感词和另一个")


async def test_an_allowed_word_excuses_at_once(store, keeper):
    """A longer word that is allowed excuses the hit inside it from the next request on."""
    words = await open_words(store.words, [FIXED])
    await keeper.add("一个文件词典", category="文件", action="allow")
    assert [] == await found(words, "一个文件词典")
    assert [("文件", "replace")] == await found(words, "一个文件词")


async def test_a_removed_word_is_forgotten(store, keeper):
    """A word that is removed is not found any more once the lexicon is built anew; the settings' own stay."""
    words = await open_words(store.words, [FIXED])
    await keeper.add("文件词", category="文件")
    await keeper.add("别的", category="文件")
    assert 1 == await keeper.remove([WordKey("文件", "文件词"), WordKey("文件", "没有")])
    await words.settle()
    assert [("文件", "replace"), ("文件", "block")] == await found(words, "文件词，别的")
    assert 0 == await keeper.remove([WordKey("文件", "文件词")])


async def test_a_category_decides_for_its_words(store, keeper):
    """Words without an action of their own do what their category does, also when that changes."""
    words = await open_words(store.words, ())
    await keeper.set_category("a", action="replace", note="n")
    await keeper.add("甲词", category="a")
    await keeper.add("乙词", category="a", action="block")
    assert [("a", "replace"), ("a", "block")] == await found(words, "甲词乙词")
    await keeper.set_category("a", action="record")
    await words.settle()
    assert [("a", "record"), ("a", "block")] == await found(words, "甲词乙词")
    await keeper.remove_category("a")
    await words.settle()
    assert words.lexicon is None


async def test_an_updated_word_does_something_else(store, keeper):
    """A stricter action holds at once, a milder one when the lexicon is built anew; what is not given stays."""
    words = await open_words(store.words, ())
    await keeper.add("甲词", category="a", action="record", note="n")
    assert [("a", "record")] == await found(words, "甲词")
    changed = await keeper.update(WordKey("a", "甲词"), action="block")
    assert ("n", "block") == (changed.note, changed.action)
    assert ("a", "block") in await found(words, "甲词")
    await keeper.update(WordKey("a", "甲词"), action="record")
    await words.settle()
    assert [("a", "record")] == await found(words, "甲词")
    with pytest.raises(InvalidParameter):
        await keeper.update(WordKey("a", "没有"), note="")


async def test_a_large_import_is_in_force_for_the_next_request(store, keeper):
    """Thousands of words at once are all found by the request that comes next, and the loop goes on meanwhile."""
    words = await open_words(store.words, [FIXED])
    lines = "\n".join(f"词{chr(0x4E00 + n)}{chr(0x6000 + n)}" for n in range(5000))
    done = await keeper.import_words(lines, "txt", category="大")
    assert (5000, 0, 0) == (done.added, done.changed, done.removed)
    assert [("大", "block")] == await found(words, f"词{chr(0x4E00 + 4999)}{chr(0x6000 + 4999)}")


async def test_words_that_came_during_a_rebuild_stay(store, keeper):
    """A word added while the lexicon is built anew is in force before and after."""
    words = await open_words(store.words, [FIXED])
    for n in range(50):
        building = asyncio.ensure_future(words.settle())
        await keeper.add(f"新词{chr(0x5000 + n)}", category="a")
        assert [("a", "block")] == await found(words, f"新词{chr(0x5000 + n)}")
        await building
        assert [("a", "block")] == await found(words, f"新词{chr(0x5000 + n)}")
    await words.settle()
    assert 50 == sum([len(await found(words, f"新词{chr(0x5000 + n)}")) for n in range(50)])


async def test_run_follows_without_requests(store, keeper):
    """The owned task brings changes in force by itself, and rebuilds where words went."""
    words = await open_words(store.words, [FIXED])
    running = asyncio.ensure_future(words.run())
    await keeper.add("甲词", category="a")
    async with asyncio.timeout(10):
        while words.is_stale:
            await asyncio.sleep(0.01)
        await keeper.remove([WordKey("a", "甲词")])
        while words.lexicon is None or words.lexicon.find("甲词"):
            await asyncio.sleep(0.01)
    running.cancel()


class Away(MemoryStore):
    """A store that does not answer while it is told so."""

    is_away = False

    def __init__(self) -> None:
        super().__init__()
        kept = self._words
        answer = kept.revision

        async def revision() -> int:
            if self.is_away:
                raise StoreUnavailable("away")
            return await answer()

        kept.revision = revision


async def test_words_stay_while_the_store_is_away():
    """What was in force stays so while the store does not answer, and changes are seen when it is back."""
    store = Away()
    keeper = WordKeeper(store.words)
    await keeper.add("甲词", category="a")
    words = await open_words(store.words, ())
    await keeper.add("乙词", category="a")
    store.is_away = True
    assert [("a", "block")] == await found(words, "甲词乙词")
    store.is_away = False
    running = asyncio.ensure_future(words.run())
    async with asyncio.timeout(10):
        while len(await found(words, "甲词乙词")) < 2:
            await asyncio.sleep(0.01)
    running.cancel()


async def test_a_word_that_cannot_be_looked_for_spoils_no_other(store):
    """A broken word that somebody put into the database leaves the others in force; one of the settings stops the start."""
    now = datetime.now(UTC)
    broken = [
        WordRecord(category="a", word=word, added_at=now) for word in ("", "\u200b", "x" * 99)
    ]
    sound = WordRecord(category="a", word="甲词", added_at=now)
    await store.words.change(put=[*broken, sound])
    words = await open_words(store.words, ())
    assert [("a", "block")] == await found(words, "甲词")
    await store.words.change(put=[*broken, WordRecord(category="a", word="乙词", added_at=now)])
    assert [("a", "block"), ("a", "block")] == await found(words, "甲词乙词")
    with pytest.raises(SettingsError):
        await open_words(store.words, [WordList("b", ("\u200b",))])


async def test_pinyin_holds_for_live_words(store, keeper):
    """Words that operators add are found in pinyin where the settings say so."""
    pytest.importorskip("pypinyin")
    words = await open_words(store.words, (), Folding(pinyin=True))
    await keeper.add("敏感词", category="a")
    assert [("a", "block")] == await found(words, "min gan ci")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"word": " "}, "word"),
        ({"word": "\u200b\u200b"}, "word"),
        ({"word": "长" * 65}, "word"),
        ({"word": "a\0b"}, "word"),
        ({"word": "\ud800"}, "word"),
        ({"category": ""}, "category"),
        ({"category": "a\nb"}, "category"),
        ({"action": "forbid"}, "action"),
        ({"note": "n" * 1001}, "note"),
    ],
)
async def test_what_cannot_be_kept_is_refused(store, keeper, fields, param):
    """A word, category, action or note that is not one is refused by name, and nothing is kept."""
    with pytest.raises(InvalidParameter) as caught:
        await keeper.add(**{"word": "词", "category": "a", **fields})
    assert param == caught.value.param
    assert 0 == (await store.words.page()).total


async def test_an_import_changes_all_or_nothing(store, keeper):
    """One wrong line refuses the whole list, with its place and without the word."""
    with pytest.raises(InvalidParameter, match="line 3") as caught:
        await keeper.import_words("word,action\n甲词,\n乙词,forbid\n", "csv")
    assert "乙词" not in str(caught.value)
    assert 0 == (await store.words.page()).total


@pytest.mark.parametrize("written", ["txt", "csv", "json"])
async def test_export_and_import_are_each_others_inverse(store, keeper, written):
    """What is exported and imported again changes nothing, and overwriting removes what it lacks."""
    await keeper.set_category("a", action="replace")
    for word, action in (("甲词", ""), ("乙词", "record"), ("甲词典", "allow")):
        await keeper.add(word, category="a", action=action, note="n" if action != "allow" else "")
    text = await keeper.export(written)
    done = await keeper.import_words(text, written)
    assert (0, 0, 0) == (done.added, done.changed, done.removed)
    await keeper.add("多的", category="a")
    await keeper.add("别的", category="b")
    done = await keeper.import_words(text, written, overwrite=True)
    assert (0, 0, 1) == (done.added, done.changed, done.removed)
    other = WordKeeper(MemoryStore().words)
    done = await other.import_words(text, written)
    assert 3 == done.added


async def test_every_change_is_written_down(store, keeper):
    """The audit log has who did what to which category, with the word before and after."""
    await keeper.add("甲词", category="a")
    await keeper.add("甲词", category="a", action="record")
    await keeper.set_category("a", note="n")
    await keeper.import_words("乙词\n", "txt", category="b")
    await keeper.remove([WordKey("a", "甲词")])
    await keeper.remove_category("b")
    entries = [(e.action, e.target) for e in reversed(await store.audit.page())]
    assert [
        ("word.add", "a"), ("word.update", "a"), ("word_category.set", "a"), ("word.import", "b"),
        ("word.remove", "a"), ("word_category.remove", "b"),
    ] == entries  # fmt: skip
    newest = (await store.audit.page(action="word.update"))[0]
    assert ("", "record") == (newest.before["action"], newest.after["action"])


async def test_all_requests_wait_for_a_change(store, keeper):
    """Of many requests that come at once after a change, none goes on without it, whichever loads it."""
    words = await open_words(store.words, [FIXED])
    answer = store.words.changes

    async def slow(since):
        for _ in range(5):
            await asyncio.sleep(0)
        return await answer(since)

    store.words.changes = slow
    for n in range(5):
        word = f"新词{chr(0x5000 + n)}"
        await keeper.add(word, category="a")
        got = await asyncio.gather(*(found(words, word) for _ in range(5)))
        assert [[("a", "block")]] * 5 == got
