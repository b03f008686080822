"""The JSON machine takes what JSON is and nothing else, and knows how to end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_local_qwen.engine.json_grammar import JsonMachine

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DUMPS = st.builds(
    json.dumps, VALUES, ensure_ascii=st.booleans(), indent=st.none() | st.integers(0, 3)
)


@given(DUMPS)
def test_every_json_text_is_taken(text):
    """Whatever json writes is taken to the end, and is whole there."""
    machine = JsonMachine("value")
    assert machine.feed(text.encode("utf-8", "surrogatepass"))
    assert machine.is_complete


@given(DUMPS, st.data())
def test_any_beginning_can_be_closed(text, data):
    """The closing text makes JSON out of any beginning of a JSON text."""
    whole = text.encode("utf-8", "surrogatepass")
    begun = whole[: data.draw(st.integers(0, len(whole)))]
    machine = JsonMachine("value")
    assert machine.feed(begun)
    json.loads((begun + machine.closing()).decode("utf-8", "replace"))


@given(st.binary(max_size=12))
def test_what_is_taken_is_the_beginning_of_json(data):
    """Whatever bytes are taken can be made JSON."""
    machine = JsonMachine("value")
    if machine.feed(data):
        json.loads((data + machine.closing()).decode("utf-8", "replace"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "1",
        "{,",
        '{"a" 1',
        '{"a":1,}',
        '{"a":01',
        '{"a":tru,',
        '{"a":"\n',
        "{}{",
        '{"\\x',
        " " * 99,
    ],
)
def test_what_is_no_object_is_refused(text):
    """An answer that must be an object is neither empty nor anything else, and broken JSON is refused at once."""
    machine = JsonMachine("object")
    assert not (machine.feed(text.encode()) and machine.is_complete)
