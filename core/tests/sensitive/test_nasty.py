"""Inputs that break filters: huge, dense, empty, overlapping, malformed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fengchao_core.sensitive import Lexicon, StreamScreen, WordList

LongestHold = Callable[[Awaitable[Any]], Awaitable[tuple[Any, float]]]
ORDINARY = "今天天气很好，我们一起去公园走走吧。The quick brown fox jumps over the lazy dog. "


def test_ten_megabytes_are_screened_in_seconds() -> None:
    """Ten million characters, with words at both ends."""
    lexicon = Lexicon.build([WordList("x", ("敏感词", "bad", "公园里", "quicker"))])
    text = "敏感词" + ORDINARY * (10_000_000 // len(ORDINARY)) + "敏 感 词"
    begun = time.process_time()
    hits = lexicon.find(text)
    assert [(0, 3), (len(text) - 5, len(text))] == [(hit.start, hit.end) for hit in hits]
    assert time.process_time() - begun < 20  # measured: 1.3


def test_a_million_hits_are_all_found() -> None:
    """Every one is starred, and so many are told as can be of use to anybody."""
    lexicon = Lexicon.build([WordList("x", ("坏词",))])
    screened = lexicon.screen("坏词" * 1_000_000, replace=True)
    assert "**" * 1_000_000 == screened.text
    assert (100_000, 199_998) == (len(screened.hits), screened.hits[-1].start)


@pytest.mark.parametrize(
    ("words", "unit"),
    [
        (("a", "aa", "aaa", "aaaa" * 16), "a"),
        (("ab", "abab", "ab" * 32), "ab"),
        (("as", "ass", "assess"), "was so as is "),
        (("奶奶",), "奶，"),
        (("敏感词",), "敏" + "*" * 9),
        (("敏感词", "感词汇"), "敏感"),
        (tuple("ab" * n + "c" for n in range(1, 31)), "ab"),
        (("a b c d e", "ab"), "a b c d "),
        (("か",), "か\u3099"),
        (("ss", "s"), "ß"),
        ((".*", "*"), ".*"),
    ],
)
def test_no_text_makes_the_search_slow(words: tuple[str, ...], unit: str) -> None:
    """Texts made against the search take time in proportion to their length."""
    lexicon = Lexicon.build([WordList("x", words, allow=("很长的一个词典" * 3,))])
    text = unit * (200_000 // len(unit))
    begun = time.process_time()
    whole = lexicon.screen(text, replace=True).text
    assert time.process_time() - begun < 15  # measured: all under one
    assert len(text) == len(whole)


@pytest.mark.parametrize(
    "unit", ["敏", "敏感", "敏*", " ", "か", "\u0336", "a ", "敏感词", "\u200b敏"]
)
def test_no_stream_makes_the_search_slow(unit: str) -> None:
    """Piece by piece too; and never is more held back than the bound."""
    words = WordList("x", ("敏感词", "敏" * 30, "a b c d e f", "か" * 9), allow=("反敏感词汇",))
    lexicon = Lexicon.build([words])
    text = unit * (30_000 // len(unit))
    screen = StreamScreen(lexicon, replace=True)
    begun = time.process_time()
    fed = left = 0
    for start in range(0, len(text), 3):
        piece = text[start : start + 3]
        fed += len(piece)
        left += len(screen.feed(piece))
        assert fed - left <= lexicon.reach
    left += len(screen.finish())
    assert (len(text), True) == (left, time.process_time() - begun < 15)  # measured: all under one


def test_every_character_of_unicode_goes_through() -> None:
    """All code points, surrogates too, whole and in pieces, with a word after each plane."""
    lexicon = Lexicon.build([WordList("x", ("敏感词",))])
    planes = ["".join(map(chr, range(n << 16, (n + 1) << 16))) for n in (0, 1, 2, 3, 14, 16)]
    text = "敏感词".join([*planes, ""])
    screen = StreamScreen(lexicon, replace=True)
    out = "".join(screen.feed(text[at : at + 997]) for at in range(0, len(text), 997))
    assert "***".join([*planes, ""]) == out + screen.finish()


def test_words_of_one_character() -> None:
    """Each stands alone, and in a run all copies are one hit."""
    lexicon = Lexicon.build([WordList("x", ("坏", "x", "1"))])
    assert "好*好* ** *" == lexicon.screen("好坏好X 坏坏 ①", replace=True).text


def test_overlapping_words() -> None:
    """From the left, the longest; what overlaps it is not told again."""
    lexicon = Lexicon.build([WordList("x", ("一二", "二三四", "三四", "四五六七", "五六"))])
    hits = [(hit.start, hit.end) for hit in lexicon.find("一二三四五六七")]
    assert [(0, 2), (2, 4), (4, 6)] == hits


def test_the_longest_word_allowed_is_found_at_its_widest() -> None:
    """Sixty-four characters, each followed by as much as is looked past."""
    word = "".join(chr(0x4E00 + 7 * n) for n in range(64))
    lexicon = Lexicon.build([WordList("x", (word,))])
    text = "前" + ("*" * 8).join(word) + "后"
    screen = StreamScreen(lexicon, replace=True)
    out = "".join(map(screen.feed, text)) + screen.finish()
    assert f"前{'*' * (64 + 63 * 8)}后" == out


async def test_a_large_text_in_a_thread_leaves_the_loop_awake(longest_hold: LongestHold) -> None:
    """Searching goes window by window, so other threads run in between."""
    lexicon = Lexicon.build([WordList("x", ("敏感词", "天气"))])
    text = ORDINARY * (2_000_000 // len(ORDINARY))
    screened, hold = await longest_hold(asyncio.to_thread(lexicon.screen, text, replace=True))
    assert len(text) == len(screened.text)
    assert hold < 0.15  # measured: 0.02
