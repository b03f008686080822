"""Word lists: what they refuse, and how they are read and written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import SettingsError
from fengchao_core.sensitive import (
    Format,
    Lexicon,
    WordList,
    parse_wordlists,
    read_wordlists,
    render_wordlists,
    sample_wordlists,
)

WORDS = (
    WordList("广告", ("加微信", "#1", "!x", "\\y"), "replace", ("加微信号",), {"加微信": "常见"}),
    WordList("违禁", ("敏感词", 'with "quotes", commas')),
)
FORMATS: tuple[Format, ...] = ("txt", "csv", "json")


@pytest.mark.parametrize("written", FORMATS)
def test_what_is_written_is_read_again(written: Format) -> None:
    """Words, categories, actions, allowed words and notes survive every format."""
    assert WORDS == parse_wordlists(render_wordlists(WORDS, written), written)


plain = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(
    st.dictionaries(plain, st.sampled_from(["", "a note"]), min_size=1, max_size=5),
    st.lists(plain, max_size=3, unique=True).map(tuple),
    plain,
    st.sampled_from(FORMATS),
)
def test_any_visible_words_survive(
    notes: dict[str, str], allow: tuple[str, ...], category: str, written: Format
) -> None:
    """Whatever signs a word is made of, no format takes them for its own."""
    kept = {word: note for word, note in notes.items() if note}
    lists = (WordList(category, tuple(notes), "record", allow, kept),)
    assert lists == parse_wordlists(render_wordlists(lists, written), written)


def test_a_text_file_is_a_word_per_line(tmp_path: Path) -> None:
    """The simplest list needs nothing but words; the category is the file's name."""
    path = tmp_path / "广告.txt"
    path.write_bytes("\ufeff加微信\r\n\r\n  刷单 \r\n".encode())
    assert (WordList("广告", ("加微信", "刷单"), "record"),) == read_wordlists(
        path, action="record"
    )


def test_a_text_file_may_say_category_and_action() -> None:
    """Remarks with a colon set what holds below them; others are remarks."""
    text = "# my words: mine\na\n# category: two\n# action: replace\nb\tnote\n!bb\n"
    assert (
        WordList("one", ("a",)),
        WordList("two", ("b",), "replace", ("bb",), {"b": "note"}),
    ) == parse_wordlists(text, "txt", category="one")


def test_csv_columns_may_stand_in_any_order() -> None:
    """Only the column of words must be there."""
    text = "Action,word\nrecord,a\n,b\nallow,c\n"
    assert (
        WordList("k", ("a",), "record", ("c",)),
        WordList("k", ("b",)),
    ) == parse_wordlists(text, "csv", category="k")


@pytest.mark.parametrize(
    "text", ['["a", {"word": "b", "note": "n"}]', '{"words": ["a", {"word": "b", "note": "n"}]}']
)
def test_json_may_be_bare(text: str) -> None:
    """A list of words is a list."""
    assert (WordList("k", ("a", "b"), notes={"b": "n"}),) == parse_wordlists(
        text, "json", category="k"
    )


@pytest.mark.parametrize(
    ("written", "data", "problem"),
    [
        ("txt", b"ok\n\xb4\xca\n", "line 2: it is not UTF-8"),
        ("txt", "# action: explode\nx", "line 1: action is unknown"),
        ("txt", "!\t", "line 1: the word is blank"),
        ("csv", "", "line 1: there is no column 'word'"),
        ("csv", "wrod\nx\n", "line 1: there is no column 'word'"),
        ("csv", "word\nx,y,z\n", "line 2: there are more fields"),
        ("csv", "word,action\nx,explode\n", "line 2: action 'explode' is unknown"),
        ("csv", 'word\n"x', "it is not CSV"),
        ("json", "{", "it is not JSON"),
        ("json", "3", "list 1, words[0]: word, category and note must be texts"),
        ("json", '{"wrods": []}', "list 1: it must be an object of"),
        ("json", '{"words": "x"}', "list 1: words must be a list"),
        ("json", '{"words": [{"wrod": "x"}]}', "words[0]: it must be a text, or word and note"),
        ("json", '{"words": [null]}', "words[0]: word, category and note must be texts"),
        ("json", '{"words": ["a"], "action": "explode"}', "action 'explode' is unknown"),
        ("json", '{"words": ["a"], "action": [1]}', "action [1] is unknown"),
    ],
)
def test_what_cannot_be_read_says_where(written: Format, data: bytes | str, problem: str) -> None:
    """A problem names the file and the line."""
    with pytest.raises(SettingsError) as caught:
        parse_wordlists(data, written, name="mine")
    assert "word list mine, " in str(caught.value)
    assert problem in str(caught.value)


def test_all_problems_come_at_once() -> None:
    """Who mends a file mends it once."""
    with pytest.raises(SettingsError) as caught:
        parse_wordlists("word,action\na,x\nb,y\n", "csv")
    assert 2 == len(caught.value.problems)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    """The ending says how a file is written, so it must be a known one."""
    with pytest.raises(SettingsError, match=r"use \.txt, \.csv or \.json"):
        read_wordlists(tmp_path / "words.xlsx")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be opened is a problem of the settings."""
    with pytest.raises(SettingsError, match="No such file"):
        read_wordlists(tmp_path / "words.txt")


def test_txt_refuses_what_it_cannot_hold() -> None:
    """A word with a tab would come back as another."""
    with pytest.raises(SettingsError, match="use csv or json"):
        render_wordlists([WordList("x", ("a\tb",))], "txt")


@pytest.mark.parametrize(
    "wrong",
    [
        {"category": " ", "words": ("a",)},
        {"category": "x", "words": ("a", " ")},
        {"category": "x", "words": "abc"},
        {"category": "x", "allow": ("",)},
        {"category": "x", "words": ("a\ud800",)},
        {"category": "x", "words": ("a",), "action": "explode"},
    ],
)
def test_a_wrong_list_is_refused_when_it_is_made(wrong: dict[str, object]) -> None:
    """Empty words and unknown actions never get as far as the lexicon."""
    with pytest.raises(SettingsError):
        WordList(**wrong)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("word", "problem"),
    [("\u200b\u0336", "nothing in it that can be seen"), ("长" * 65, "more than 64")],
)
def test_words_that_cannot_be_looked_for_are_refused_by_place(word: str, problem: str) -> None:
    """The lexicon names the list and the place, never the word."""
    with pytest.raises(SettingsError, match=rf"'x': words\[1\]: .*{problem}") as caught:
        Lexicon.build([WordList("x", ("好", word if len(word) < 65 else "长短" * 33))])
    assert "长短" not in str(caught.value)


def test_a_list_cannot_be_changed() -> None:
    """Lists are shared between requests, so they stay what they are."""
    notes = {"a": "b"}
    words = WordList("x", ("a",), notes=notes)
    notes.clear()
    assert {"a": "b"} == words.notes


def test_the_sample_lists_show_every_action() -> None:
    """A newcomer has words to try the filter with."""
    assert {"block", "replace", "record"} == {words.action for words in sample_wordlists()}
    assert Lexicon.build(sample_wordlists()).find("这是敏感词示例，不是敏感词示例说明")[0].end == 7
