"""What screening answers: texts, hits, reasons, and streams piece by piece."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from fengchao_core.errors import SensitiveContent, SettingsError
from fengchao_core.sensitive import Folding, Hit, Lexicon, StreamScreen, WordList

BLOCK = WordList("违禁", ("敏感词", "敏感词汇表"), notes={"敏感词": "see the policy"})
REPLACE = WordList("广告", ("加微信", "敏感"), action="replace")
RECORD = WordList("观察", ("敏感词汇", "天气"), action="record")
LEXICON = Lexicon.build([BLOCK, REPLACE, RECORD])


def test_a_blocking_word_blocks() -> None:
    """The first blocking hit forbids the text."""
    screened = LEXICON.screen("天气与敏感词")
    assert Hit(3, 6, "违禁", "block") == screened.blocked


def test_a_refusal_tells_category_and_position_and_no_word() -> None:
    """The error of a hit can be shown to anybody."""
    blocked = LEXICON.screen("是敏感词").blocked
    assert blocked is not None
    with pytest.raises(SensitiveContent) as caught:
        raise blocked.refusal("output")
    assert ("违禁", "output", 1, 4) == (
        caught.value.category,
        caught.value.direction,
        caught.value.start,
        caught.value.end,
    )
    assert "敏感" not in f"{caught.value!r} {caught.value} {blocked!r}"


def test_blocking_words_are_starred_instead_where_asked() -> None:
    """With `replace` nothing blocks, and recorded words stay readable."""
    screened = LEXICON.screen("天气与敏感词，加微信", replace=True)
    assert ("天气与***，***", None) == (screened.text, screened.blocked)


def test_replaced_words_are_starred_without_asking() -> None:
    """A list's own action holds whatever the request says."""
    assert "请***吧" == LEXICON.screen("请加微信吧").text


def test_no_action_hides_another() -> None:
    """A longer word that is only recorded does not keep a blocked one inside it from being found."""
    hits = LEXICON.find("敏感词汇")
    assert {(0, 4, "record"), (0, 3, "block"), (0, 2, "replace")} == {
        (hit.start, hit.end, hit.action) for hit in hits
    }


def test_the_longest_word_is_the_hit() -> None:
    """Of words of one action at one place, the longest is told."""
    assert Hit(0, 5, "违禁", "block") == LEXICON.screen("敏感词汇表").blocked


def test_a_word_of_two_lists_is_told_once_with_the_stricter_action() -> None:
    """The same word as block and record is one hit that blocks."""
    lexicon = Lexicon.build([WordList("a", ("词",), "record"), WordList("b", ("词",))])
    assert (Hit(0, 1, "b", "block"),) == lexicon.find("词")


def test_a_text_without_hits_is_the_same_text() -> None:
    """Nothing is copied when there is nothing to change."""
    text = "今天没有什么"
    assert text is LEXICON.screen(text).text


def test_why_tells_the_word_and_its_note() -> None:
    """Those who keep the lists see which word it was."""
    (reason, *_) = LEXICON.why("敏-感-詞")
    assert ("敏感词", "see the policy", 0, 5) == (
        reason.word,
        reason.note,
        reason.hit.start,
        reason.hit.end,
    )


def test_words_that_fold_alike_are_told_apart_where_their_repeats_differ() -> None:
    """A word with a double letter and one without share nothing but their skeleton."""
    lexicon = Lexicon.build([WordList("one", ("as",)), WordList("two", ("ass", "a s s"))])
    assert ["as", "ass"] == [reason.word for reason in lexicon.why("as ass")]


def test_text_flows_as_soon_as_it_is_certain() -> None:
    """Only an end that could become a word waits; the rest leaves at once."""
    screen = StreamScreen(LEXICON, replace=True)
    said = [screen.feed(piece) for piece in ("明日", "很好，敏", "锐。", "敏感", "词", "？")]
    assert ["明日", "很好，", "敏锐。", "", "", ""] == said
    assert "***？是" == screen.feed("是") + screen.finish()


def test_the_end_of_the_text_lets_go_of_what_waited() -> None:
    """A beginning of a word that never came is shown."""
    screen = StreamScreen(LEXICON)
    assert ("好", "敏") == (screen.feed("好敏"), screen.finish())


def test_a_word_at_the_very_end_is_found() -> None:
    """The end of the text decides what its last characters are."""
    screen = StreamScreen(LEXICON)
    assert ("好", "", "", Hit(1, 4, "违禁", "block")) == (
        screen.feed("好敏感"),
        screen.feed("词"),
        screen.finish(),
        screen.blocked,
    )


def test_nothing_follows_a_block() -> None:
    """What stood before the hit leaves, what comes after is swallowed."""
    screen = StreamScreen(LEXICON)
    assert ["前面", "", ""] == [screen.feed("前面敏感词。"), screen.feed("后面"), screen.finish()]
    assert Hit(2, 5, "违禁", "block") == screen.blocked


def test_what_has_left_is_never_starred() -> None:
    """A hit inside held text is starred in the piece it leaves with."""
    screen = StreamScreen(LEXICON, replace=True)
    assert ["一加", "", "", "", "", "***二"] == [
        screen.feed("一加") + "加",
        screen.feed("微"),
        *(screen.feed(piece) for piece in ("", "", "信")),
        screen.feed("二"),
    ]


def test_an_allowed_word_that_began_before_still_excuses() -> None:
    """A stream remembers what it has shown as far back as an allowed word may reach."""
    lexicon = Lexicon.build([WordList("x", ("词",), allow=("很长的敏感词",))])
    screen = StreamScreen(lexicon, replace=True)
    out = "".join(map(screen.feed, "很长的敏感词，敏感词")) + screen.finish()
    assert "很长的敏感词，敏感*" == out


def test_nothing_to_look_for_costs_and_changes_nothing() -> None:
    """An empty lexicon passes everything through at once."""
    lexicon = Lexicon.build()
    screen = StreamScreen(lexicon)
    assert ("敏感词", "", 0) == (screen.feed("敏感词"), screen.finish(), lexicon.reach)


def test_a_list_of_allowed_words_alone_finds_nothing() -> None:
    """Excuses without accusations are no hits."""
    assert () == Lexicon.build([WordList("x", allow=("敏感词",))]).find("敏感词")


def test_pinyin_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pypinyin the switch is a clear error, not a silent no."""
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    with pytest.raises(SettingsError, match="pip install pypinyin"):
        Lexicon.build([BLOCK], Folding(pinyin=True))


@pytest.fixture
def spelling(monkeypatch: pytest.MonkeyPatch) -> Lexicon:
    """A lexicon that reads pinyin, through a stand-in that knows a few characters as pypinyin does."""
    known = {
        "敏": "min",
        "感": "gan",
        "词": "ci",
        "磁": "ci",
        "此": "ci",
        "赌": "du",
        "独": "du",
        "博": "bo",
    }
    pypinyin = ModuleType("pypinyin")
    pypinyin.lazy_pinyin = lambda text: [known.get(char, char) for char in text]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pypinyin", pypinyin)
    words = WordList("x", ("敏感词", "赌博", "磁"), allow=("敏感词典",))
    return Lexicon.build([words], Folding(pinyin=True))


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("用mingan ci写", "mingan ci"),
        ("Ｍin-Gan-Ci", "Ｍin-Gan-Ci"),
        ("敏gan词", "敏gan词"),
        ("敏感此ci", None),
        ("独bo", "独bo"),
        ("敏感词", "敏感词"),
        ("独博", None),
        ("ci", None),
        ("mingan", None),
    ],
)
def test_words_written_in_pinyin(spelling: Lexicon, text: str, hit: str | None) -> None:
    """Wholly or in part in letters; characters that only sound alike are left alone, and so are single syllables."""
    assert ([hit] if hit else []) == [text[h.start : h.end] for h in spelling.find(text)]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_words_written_in_pinyin_in_a_stream(spelling: Lexicon, size: int) -> None:
    """The stream finds them as the whole text does."""
    text = "这里min gan ci，敏gan词典，du博。"
    screen = StreamScreen(spelling, replace=True)
    out = "".join(screen.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert spelling.screen(text, replace=True).text == out + screen.finish()
