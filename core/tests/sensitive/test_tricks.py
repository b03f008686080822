"""The disguises people give to words, one row each, and the harmless texts that look like them."""

from __future__ import annotations

import pytest

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive import Folding, Lexicon, StreamScreen, WordList

WORDS = WordList(
    "示例",
    (
        "敏感词",
        "加微信",
        "赌博",
        "一夜暴富",
        "第一桶金",
        "8964号",
        "奶奶的",
        "哈哈",
        "bad",
        "god",
        "ass",
        "sex",
        "badword",
        "hong kong",
        "café",
        "バカ",
        "C++",
        ".*",
        "a.c",
        "[a-z]+",
        "🐻",
        "约翰·史密斯",
        "千克kg",
        "过敏",
        "五四",
        "911",
        "13800138000",
    ),
    allow=("敏感词典", "反敏感词", "badwords list", "加微信号说明", "goodbad", "詞一夜暴富"),
)
LEXICON = Lexicon.build([WORDS])

TRICKS = {
    "as it is": ("这是敏感词。", "敏感词"),
    "traditional": ("這是敏感詞。", "敏感詞"),
    "traditional beside simplified": ("赌博與賭博", "赌博", "賭博"),
    "full width letters": ("ａ ＢＡＤ one", "ＢＡＤ"),
    "upper case": ("so BaD", "BaD"),
    "mathematical letters": ("𝐛𝒶𝖉", "𝐛𝒶𝖉"),
    "circled letters": ("ⓑⓐⓓ", "ⓑⓐⓓ"),
    "parenthesized letters": ("⒝⒜⒟", "⒝⒜⒟"),
    "negative squared letters": ("🅱🅰🅳", "🅱🅰🅳"),
    "regional indicators": ("🇧🇦🇩", "🇧🇦🇩"),
    "small capitals": ("ʙᴀᴅ", "ʙᴀᴅ"),
    "accents": ("bàd, bäd", "bàd", "bäd"),
    "accents of their own": ("ba\u0300d", "ba\u0300d"),
    "an accent at the end": ("cafe\u0301!", "cafe\u0301"),
    "the accent left out": ("cafe", "cafe"),
    "a ligature for letters": ("千克㎏", "千克㎏"),
    "half width kana": ("ﾊﾞｶ", "ﾊﾞｶ"),
    "decomposed kana": ("ハ\u3099カ", "ハ\u3099カ"),
    "zero-width space": ("敏\u200b感\u200b词", "敏\u200b感\u200b词"),
    "zero-width joiner": ("敏\u200d感词", "敏\u200d感词"),
    "byte order mark inside": ("敏\ufeff感词", "敏\ufeff感词"),
    "soft hyphen": ("bad\u00adword", "bad\u00adword"),
    "right-to-left override": ("敏\u202e感\u202c词", "敏\u202e感\u202c词"),
    "control characters": ("敏\x07感\x00词", "敏\x07感\x00词"),
    "variation selectors": ("敏\ufe0f感词", "敏\ufe0f感词"),
    "a lone surrogate": ("敏\ud800感词", "敏\ud800感词"),
    "struck through": ("敏\u0336感\u0336词\u0336!", "敏\u0336感\u0336词\u0336"),
    "spaces": ("敏 感 词", "敏 感 词"),
    "full width spaces": ("敏\u3000感\u3000词", "敏\u3000感\u3000词"),
    "stars": ("敏*感*词", "敏*感*词"),
    "many symbols": ("敏~~|~~感词", "敏~~|~~感词"),
    "full stops": ("敏.感。词", "敏.感。词"),
    "commas": ("敏，感，词", "敏，感，词"),
    "underscores": ("敏_感_词", "敏_感_词"),
    "line breaks": ("敏\n感\r\n词", "敏\n感\r\n词"),
    "an emoji between": ("敏🙈感词", "敏🙈感词"),
    "two characters and a hyphen": ("赌-博", "赌-博"),
    "two characters and a space": ("赌 博", "赌 博"),
    "letters spelled out": ("a b a d b", "b a d"),
    "letters with stops": ("b.a.d", "b.a.d"),
    "letters with hyphens": ("b-a-d", "b-a-d"),
    "a letter behind a star": ("b*ad", "b*ad"),
    "a long word broken": ("bad word", "bad word"),
    "everything twice": ("敏敏感感词词", "敏敏感感词词"),
    "one thing many times": ("敏感感感感词", "敏感感感感词"),
    "the last thing many times": ("敏感词词词", "敏感词词词"),
    "letters drawn out": ("baaaad", "baaaad"),
    "letters all twice": ("bbaadd", "bbaadd"),
    "mixed cases drawn out": ("bAaAd", "bAaAd"),
    "a word's own repeats drawn out": ("奶奶奶奶的", "奶奶奶奶的"),
    "a word's own repeats apart": ("奶 奶 的", "奶 奶 的"),
    "circled digit": ("①夜暴富", "①夜暴富"),
    "ascii digit": ("1夜暴富", "1夜暴富"),
    "full width digit": ("１夜暴富", "１夜暴富"),
    "accounting digit": ("壹夜暴富", "壹夜暴富"),
    "negative circled digit": ("❶夜暴富", "❶夜暴富"),
    "keycap digit": ("1\ufe0f\u20e3夜暴富", "1\ufe0f\u20e3夜暴富"),
    "digit with a stop": ("⒈夜暴富", "⒈夜暴富"),
    "superscript digit": ("第¹桶金", "第¹桶金"),
    "all digits in words": ("八九六四号", "八九六四号"),
    "all digits dressed": ("⑧玖６㈣号", "⑧玖６㈣号"),
    "a number in other numerals": ("伍④, 5四", "伍④", "5四"),
    "a number in ideographs": ("九一一", "九一一"),
    "a long number in groups": ("138 0013-8000", "138 0013-8000"),
    "digits spelled out": ("8 9 6 4 号", "8 9 6 4 号"),
    "mixed": ("加-V-微.ＸＩＮ，加*薇，加 微\u200b信", "加 微\u200b信"),
    "a phrase": ("in Hong-Kong", "Hong-Kong"),
    "a phrase without its space": ("HongKong", "HongKong"),
    "a name without its dot": ("约翰史密斯", "约翰史密斯"),
    "a name with another dot": ("约翰•史密斯", "约翰•史密斯"),
    "symbols that make the word": ("学C++的", "C++"),
    "the same in full width": ("Ｃ＋＋", "Ｃ＋＋"),
    "an emoji": ("🐻\ufe0f来了", "🐻\ufe0f"),
    "looks like a regex": ("match .* or a.c or [a-z]+", ".*", "a.c", "[a-z]+"),
    "in the middle of another word's end": ("对花粉过敏敏感词", "过敏", "敏感词"),
    "next to each other": ("赌博赌博", "赌博", "赌博"),
    "the allowed word beside the word": ("敏感词典和敏感词", "敏感词"),
    "longer than the allowed word": ("反敏感词 敏感词", "敏感词"),
    "an allowed word across a clause": ("这是敏感词，典型的", "敏感词"),
}

HARMLESS = {
    "nothing": "",
    "an ordinary text": "今天天气很好，我们一起去公园走走吧。",
    "the allowed word": "请查敏感词典。",
    "the allowed word, traditional": "請查敏感詞典。",
    "the allowed word, spaced": "敏 感 词 典",
    "allowed from the left": "反敏感词是什么",
    "allowed from the left, full width": "反敏 感词",
    "allowed phrase": "the Badwords List",
    "allowed, much longer": "加微信号说明",
    "half the word": "敏感的词",
    "the wrong order": "词敏感",
    "too much between": "敏*********感词",
    "two characters across a clause": "他戒了赌，博学多才",
    "two characters across a line": "不赌\n博彩",
    "letters across words": "It was so good; gas sends",
    "letters across words again": "the bus exit, this.example, has_extra, args.extend(x)",
    "a doubled letter is spelling": "a good day",
    "a repeat too few": "奶的，哈，as",
    "a repeat too few, apart": "奶 的",
    "digits are not repeats": "第11桶金",
    "a number is not its ideographs": "1543, 54, ５４",
    "a short number is not broken": "9 1 1, 9*11, 九，一一",
    "another dot": "abc, a-c, ac",
    "half a ligature": "千克㎏".replace("㎏", "㏀"),
    "voiced is another kana": "ハカ",
    "plus without the letter": "++",
    "an empty gap of symbols": "***",
}


@pytest.mark.parametrize("case", TRICKS.values(), ids=TRICKS)
def test_a_word_in_disguise_is_found(case: tuple[str, ...]) -> None:
    """Every disguise is seen through, and the hit is exactly the characters of the disguise."""
    text, *hits = case
    assert hits == [text[hit.start : hit.end] for hit in LEXICON.find(text)]


@pytest.mark.parametrize("case", TRICKS.values(), ids=TRICKS)
def test_a_word_in_disguise_is_found_in_a_stream(case: tuple[str, ...]) -> None:
    """Character by character, the same characters are starred as in the whole text."""
    text = case[0]
    screen = StreamScreen(LEXICON, replace=True)
    out = "".join(map(screen.feed, text)) + screen.finish()
    assert LEXICON.screen(text, replace=True).text == out


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_text_is_left_alone(text: str) -> None:
    """What only looks like a word is no hit."""
    assert () == LEXICON.find(text)


@pytest.mark.parametrize(
    ("fold", "text"),
    [
        ("forms", "ＢＡＤ"),
        ("traditional", "敏感詞"),
        ("digits", "①夜暴富"),
        ("symbols", "敏*感词"),
        ("repeats", "敏敏感感词词"),
    ],
)
def test_each_fold_can_be_switched_off(fold: str, text: str) -> None:
    """A disguise is not seen through when its fold is off."""
    assert LEXICON.find(text)
    assert not Lexicon.build([WORDS], Folding(**{fold: False})).find(text)


def test_how_much_is_looked_past_is_a_setting() -> None:
    """A wider gap finds a word that a narrow one does not."""
    text = "敏" + "*" * 12 + "感词"
    assert () == LEXICON.find(text)
    assert 1 == len(Lexicon.build([WORDS], Folding(gap=12)).find(text))


def test_a_gap_beyond_reason_is_refused() -> None:
    """The gap bounds what a stream holds back, so it is bounded itself."""
    with pytest.raises(SettingsError, match="gap is 65"):
        Folding(gap=65)


def test_voice_marks_after_nothing_are_looked_past() -> None:
    """Two of them are no symbol either, at a text's beginning as little as inside."""
    lexicon = Lexicon.build([WordList("x", ("\u3099\u3099b",))])
    assert [(1, 2)] == [(hit.start, hit.end) for hit in lexicon.find("ab")]
    for text in ("\u3099\u3099b", "a\u3099b"):
        assert [(len(text) - 1, len(text))] == [(hit.start, hit.end) for hit in lexicon.find(text)]
