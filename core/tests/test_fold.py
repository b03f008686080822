"""Deltas folded into whole answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core import Delta, Fold, Usage
from fengchao_core.errors import ProviderProtocolError
from fengchao_core.types import ToolCall, ToolCallFragment


def fold(*deltas):
    whole = Fold()
    whole.feed(deltas)
    return whole


@given(st.lists(st.text()))
def test_any_cut_of_a_text_folds_to_it(pieces):
    """However a text is cut into deltas, the fold is the text."""
    whole = fold(*(Delta(piece) for piece in pieces), Delta(finish_reason="stop"))
    assert "".join(pieces) == whole.choices()[0].message.text


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3)), max_size=20))
def test_interleaved_choices_come_apart(pieces):
    """Choices that arrive interleaved keep their own text."""
    ends = [Delta(index=i, finish_reason="stop") for i in range(4)]
    choices = fold(*(Delta(text, index=i) for i, text in pieces), *ends).choices()
    expected = ["".join(text for i, text in pieces if i == n) for n in range(4)]
    assert expected == [choice.message.text for choice in choices]


def test_tool_calls_join_by_index():
    """Fragments of parallel calls join by their index; id and name come once."""
    whole = fold(
        Delta(tool_calls=(ToolCallFragment(0, "a", "f", '{"x"'), ToolCallFragment(1, "b", "g"))),
        Delta(
            tool_calls=(ToolCallFragment(1, arguments="{}"), ToolCallFragment(0, arguments=":1}"))
        ),
        Delta(finish_reason="tool_calls"),
    )
    (choice,) = whole.choices()
    assert (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")) == choice.message.tool_calls
    assert choice.message.content is None


def test_a_usage_alone_opens_no_choice():
    """A trailing delta with usage only adds no answer."""
    whole = fold(Delta("x", finish_reason="stop"), Delta(usage=Usage(1, 2)))
    assert 1 == len(whole.choices())


def test_an_answer_that_never_ends_is_an_error():
    """A stream that stops without a finish reason is no answer."""
    with pytest.raises(ProviderProtocolError):
        fold(Delta("half")).choices()
    with pytest.raises(ProviderProtocolError):
        fold().choices()


def test_vendor_facts_merge():
    """Lists of vendor-only facts append, other facts are replaced."""
    whole = fold(Delta(extra={"search": [1], "id": "a"}), Delta(extra={"search": [2], "id": "b"}))
    assert {"search": [1, 2], "id": "b"} == whole.extra
