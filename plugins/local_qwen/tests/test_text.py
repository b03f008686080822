"""Tokens to text: whole characters, stop texts, thinking and calls, however the tokens are cut."""

from __future__ import annotations

from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.fold import Fold
from fengchao_local_qwen.engine.calls import CallSplitter
from fengchao_local_qwen.engine.choice import ChoiceReader
from fengchao_local_qwen.engine.face import Token
from fengchao_local_qwen.engine.stops import StopFilter
from fengchao_local_qwen.engine.vocabulary import TextReader, Vocabulary, _alphabet

END = 300


class Bytes:
    """A tokenizer whose tokens are the 256 bytes, and one special token."""

    added_tokens_decoder = {END: SimpleNamespace(content="<|im_end|>", special=True)}

    def convert_ids_to_tokens(self, token):
        return _alphabet()[token] if token < 256 else None

    def convert_tokens_to_ids(self, text):
        return _alphabet().index(text)


VOCABULARY = Vocabulary(Bytes())


def fold_of(text, *, stops=(), ends=True, begun="", thinks=False, calls=False):
    """The folded answer of a model that says these bytes, one token each."""
    reader = ChoiceReader(
        VOCABULARY,
        stops=stops,
        begun=begun,
        thinks=thinks,
        calls=calls,
        stop_ids=frozenset({END}),
    )
    ids = [*text.encode(), *([END] if ends else [])]
    fold = Fold()
    for at, token in enumerate(ids):
        delta = reader.read(Token(token, at + 1 == len(ids)))
        if delta is not None:
            fold.feed([delta])
        if reader.is_over:
            break
    return fold.choices()[0], reader


@given(st.text())
def test_characters_come_out_whole(text):
    """Bytes that come one by one give the text, and never half a character in between."""
    reader = TextReader(VOCABULARY)
    pieces = [reader.feed(byte) for byte in text.encode()]
    assert text == "".join(pieces)
    assert all(len(piece) <= 1 for piece in pieces)


def test_half_a_character_at_the_end_is_dropped():
    """An answer that is cut within a character ends before it."""
    choice, reader = fold_of("好"[:1], ends=False)
    assert "好" == choice.message.text
    reader = TextReader(VOCABULARY)
    assert "" == "".join(reader.feed(byte) for byte in "好".encode()[:2])


def test_single_bytes_have_their_tokens():
    """Each byte that stands alone in the vocabulary is found; special tokens say nothing but have a name."""
    assert list(range(256)) == [VOCABULARY.single(byte) for byte in range(256)]
    assert b"" == VOCABULARY.bytes_of(END)
    assert "<|im_end|>" == VOCABULARY.name_of(END)
    assert b"" == VOCABULARY.bytes_of(999)


@given(
    st.text(alphabet="ab终", max_size=12),
    st.lists(st.text(alphabet="ab终", min_size=1, max_size=3)),
)
def test_stop_texts_end_an_answer_however_it_is_cut(text, stops):
    """What comes out is the text before the first stop text, for any text and any stops."""
    found = StopFilter(stops)
    out = ""
    for character in text:
        out += found.feed(character)
    out += found.close()
    hits = [at for stop in stops if (at := text.find(stop)) >= 0]
    # A stop text that ends earlier wins over one that began earlier but never got whole before it.
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not hits:
        assert text == out
        assert not found.is_hit
    else:
        first = min(ends)
        assert min(h for h, e in zip(hits, ends, strict=True) if e == first) == len(out)
        assert found.is_hit


def test_a_stop_text_ends_the_answer_and_is_not_in_it():
    """The answer ends before the stop text, with the reason stop, and the tokens up to it are counted."""
    choice, reader = fold_of("你好。再见", stops=("。",))
    assert ("你好", "stop") == (choice.message.text, choice.finish_reason)
    assert len("你好。".encode()) == reader.tokens


def test_an_answer_that_runs_out_of_room_says_so():
    """The last token there is room for ends the answer with the reason length; held text comes out."""
    choice, _ = fold_of("abc\n", ends=False, stops=("\n\n",))
    assert ("abc\n", "length") == (choice.message.text, choice.finish_reason)


def test_thinking_is_told_apart():
    """Thinking comes as reasoning, with its tokens counted; the answer follows without the tags."""
    choice, reader = fold_of("<think>\n嗯\n</think>\n\n好", thinks=True)
    assert ("嗯", "好") == (choice.message.reasoning, choice.message.text)
    assert 0 < reader.reasoning_tokens < reader.tokens


def test_thinking_that_the_prompt_opened_is_told_apart():
    """A template that opens the thinking itself leaves only the closing tag to the model."""
    choice, _ = fold_of("嗯\n</think>\n\n好", thinks=True, begun="<think>")
    assert ("嗯", "好") == (choice.message.reasoning, choice.message.text)


CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "上海"}}\n</tool_call>'


def test_calls_are_told_apart_from_words():
    """Words before calls stay, each call comes whole with an id of its own, and the reason is tool_calls."""
    choice, _ = fold_of(f"我来查。\n{CALL}\n{CALL}", calls=True)
    assert ("我来查。", "tool_calls") == (choice.message.text, choice.finish_reason)
    names = [call.name for call in choice.message.tool_calls]
    assert ["weather", "weather"] == names
    assert {"city": "上海"} == orjson.loads(choice.message.tool_calls[0].arguments)
    assert 2 == len({call.id for call in choice.message.tool_calls})


@pytest.mark.parametrize(
    "text", ["<tool_call>nonsense</tool_call> ok", "a < b <tool", "1 <tool_call>{}"]
)
def test_what_is_no_call_stays_text(text):
    """Tags around something else, and halves of tags, come out as they were written."""
    choice, _ = fold_of(text, calls=True)
    assert text == choice.message.text
    assert () == choice.message.tool_calls


@given(st.data())
def test_calls_are_the_same_however_the_text_is_cut(data):
    """Any cut of a text with calls gives the same words and the same calls."""
    text = f"好的 {CALL} 完 <tool_x> {CALL}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    splitter = CallSplitter()
    words, calls = "", []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        more, found = splitter.feed(text[start:end])
        words, calls = words + more, [*calls, *found]
    more, found = splitter.close()
    whole = CallSplitter()
    expected, expected_calls = whole.feed(text)
    assert expected + whole.close()[0] == words + more
    assert [c.arguments for c in expected_calls] == [c.arguments for c in (*calls, *found)]
