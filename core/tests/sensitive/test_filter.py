"""The filter changes while requests go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive import Filter, Folding, Hit, StreamScreen, WordList

LongestHold = Callable[[Awaitable[Any]], Awaitable[tuple[Any, float]]]


def found(words: Filter, text: str) -> list[str]:
    return [text[hit.start : hit.end] for hit in words.current.find(text)]


async def test_an_added_word_is_found_at_once() -> None:
    """The next request sees it, before anything is rebuilt."""
    words = await Filter.open([WordList("x", ("旧词",))])
    words.add("新詞", category="y", action="record", note="why")
    assert (Hit(0, 2, "x", "block"), Hit(2, 4, "y", "record")) == words.current.find("旧词新词")
    assert not words.is_rebuilt


async def test_an_empty_filter_can_be_filled() -> None:
    """A filter that began with nothing takes words."""
    words = Filter()
    words.add("新词", category="x")
    assert ["新词"] == found(words, "新词")


async def test_rebuilding_changes_nothing_that_is_found() -> None:
    """Melting additions into the large lexicon is not seen from outside."""
    words = await Filter.open([WordList("x", ("旧词",))])
    words.add("新词", category="x", note="why")
    words.allow("新词典", category="x")
    text = "旧词，新词，新词典"
    before = words.current.find(text)
    await words.rebuild()
    assert before == words.current.find(text)
    assert words.is_rebuilt
    assert (WordList("x", ("旧词", "新词"), "block", ("新词典",), {"新词": "why"}),) == words.lists


async def test_a_longer_added_word_is_the_hit() -> None:
    """Old and new words of one action are chosen among as if they were one list."""
    words = await Filter.open([WordList("x", ("敏感",))])
    words.add("敏感词", category="x")
    assert ["敏感词"] == found(words, "敏感词")


async def test_a_removed_word_is_gone_after_the_rebuild() -> None:
    """Removing works for words of the beginning and for added ones."""
    words = await Filter.open([WordList("x", ("旧词",)), WordList("y", ("旧词", "词语"))])
    words.add("新词", category="x")
    assert words.remove("新词")
    assert ["旧词"] == found(words, "旧词新词")
    assert words.remove("旧词", category="x")
    assert not words.remove("旧词", category="x")
    assert not words.remove("没有")
    await words.rebuild()
    assert "y" == words.current.find("旧词")[0].category
    assert words.remove("旧词")
    await words.rebuild()
    assert ["词语"] == found(words, "旧词新词词语")


async def test_a_word_can_come_back() -> None:
    """Removed and added again, it is there."""
    words = await Filter.open([WordList("x", ("旧词",))])
    words.remove("旧词")
    words.add("旧词", category="z")
    await words.rebuild()
    assert "z" == words.current.find("旧词")[0].category


async def test_a_word_that_cannot_be_looked_for_changes_nothing() -> None:
    """A refusal leaves the filter as it was."""
    words = await Filter.open([WordList("x", ("旧词",))])
    with pytest.raises(SettingsError):
        words.add("\u200b", category="x")
    words.add("新词", category="x")
    assert ["旧词", "新词"] == found(words, "旧词新词")


async def test_a_stream_keeps_the_words_it_began_with() -> None:
    """A change in the middle of an answer does not touch it."""
    words = await Filter.open([WordList("x", ("旧词",))])
    screen = StreamScreen(words.current, replace=True)
    out = screen.feed("旧")
    words.add("新词", category="x")
    out += screen.feed("词新词") + screen.finish()
    assert "**新词" == out


async def test_other_lists_can_take_the_place_of_all() -> None:
    """Replacing forgets what was there."""
    words = await Filter.open([WordList("x", ("旧词",))], folding=Folding(traditional=False))
    words.add("新词", category="x")
    await words.replace([WordList("x", ("词语",))])
    assert ["词语"] == found(words, "旧词新词词语")
    assert [] == found(words, "詞語")


async def test_what_is_added_while_rebuilding_is_kept() -> None:
    """A word that comes while the thread works is found before and after."""
    words = await Filter.open([WordList("x", tuple(f"词{n}号" for n in range(5000)))])
    words.add("一开始", category="x")
    rebuilding = asyncio.create_task(words.rebuild())
    await asyncio.sleep(0)
    words.add("半路上", category="x")
    words.remove("词7号")
    await rebuilding
    assert ["一开始", "半路上"] == found(words, "一开始半路上")
    await words.rebuild()
    assert ["半路上"] == found(words, "半路上词7号")


async def test_building_many_words_leaves_the_loop_awake(longest_hold: LongestHold) -> None:
    """Eighty thousand words are built beside a loop that never stands still for long."""
    many = WordList("x", tuple(f"{chr(0x4E00 + n % 5000)}{n}号" for n in range(80_000)))
    words, hold = await longest_hold(Filter.open([many]))
    assert 80_000 == words.current.size
    assert hold < 0.15  # measured: 0.03; in one piece it would be most of a second
