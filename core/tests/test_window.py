"""The order of a history, and what is left out of a conversation that is too long for the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import ImagePart, Message, TextPart
from fengchao_core.usage import estimate_tokens
from fengchao_core.window import MESSAGE_TOKENS, Document, check_history, fit

SYSTEM = Message("system", "甲")
QUESTION = Message("user", "问题")


def turns(count, text="字" * 100):
    return tuple(Message("user" if i % 2 == 0 else "assistant", f"{i}{text}") for i in range(count))


def tokens(messages):
    return sum(estimate_tokens(m.text) + MESSAGE_TOKENS for m in messages)


@pytest.mark.parametrize("roles", ["", "ua", "uaua", "sua", "s"])
def test_a_history_in_order_is_taken(roles):
    """Users and assistants in turn, with or without a system text before them."""
    names = {"u": "user", "a": "assistant", "s": "system"}
    check_history([Message(names[r], "x") for r in roles])


@pytest.mark.parametrize(
    ("roles", "param", "says"),
    [
        ("a", "history[0].role", "expected role 'user'"),
        ("uu", "history[1].role", "expected role 'assistant'"),
        ("uaa", "history[2].role", "expected role 'user'"),
        ("u", "history[0].role", "last turn is a user's"),
        ("uau", "history[2].role", "last turn is a user's"),
        ("uas", "history[2].role", "only come first"),
        ("ss", "history[1].role", "only come first"),
    ],
)
def test_a_history_out_of_order_is_refused_by_name(roles, param, says):
    """The first turn that is out of place is named, and what was expected there."""
    names = {"u": "user", "a": "assistant", "s": "system"}
    with pytest.raises(InvalidParameter, match=says.replace("[", r"\[")) as caught:
        check_history([Message(names[r], "x") for r in roles])
    assert param == caught.value.param


def test_what_fits_is_left_alone():
    """A conversation within the window is the very same, with nothing to say."""
    messages = (SYSTEM, *turns(4), QUESTION)
    for most in (None, tokens(messages), 100_000):
        fitted = fit(messages, most)
        assert messages == fitted.messages
        assert () == fitted.notes


def test_the_oldest_turns_go_first_and_as_pairs():
    """One token too many costs the oldest pair; system text and question stay."""
    messages = (SYSTEM, *turns(6), QUESTION)
    fitted = fit(messages, tokens(messages) - 1)
    assert (SYSTEM, *messages[3:]) == fitted.messages
    (note,) = fitted.notes
    assert "最早的 2 条消息" in note
    assert "user" == fitted.messages[1].role


def test_nothing_may_be_left_of_the_history():
    """Where there is room for the question only, only the question goes."""
    messages = (SYSTEM, *turns(6), QUESTION)
    fitted = fit(messages, tokens((SYSTEM, QUESTION)))
    assert (SYSTEM, QUESTION) == fitted.messages
    assert "最早的 6 条消息" in fitted.notes[0]


def test_the_question_is_never_cut():
    """A question that is too long alone is refused, and the model's limit is told."""
    with pytest.raises(InvalidParameter, match="more than the 50 that the model takes") as caught:
        fit((SYSTEM, *turns(2), Message("user", "问" * 100)), 50)
    assert "query" == caught.value.param


def test_documents_stand_before_the_question():
    """Each document has its name around it, before the question's own text, also where that has pictures beside it."""
    documents = (Document("a.txt", "甲乙"), Document("b.md", "丙"))
    whole = fit((QUESTION,), None, documents)
    text = whole.messages[0].text
    assert whole.is_whole
    assert text.endswith("\n\n问题")
    assert text.index("a.txt") < text.index("甲乙") < text.index("b.md") < text.index("丙")
    picture = ImagePart("data:image/png;base64,AA")
    parts = fit((Message("user", (picture, TextPart("看"))),), None, documents).messages[0].content
    assert (picture, TextPart("看")) == parts[1:]


def test_a_long_document_is_cut_and_said_so():
    """A document that leaves no room is cut at its end; a short one beside it is not."""
    documents = (Document("long.txt", "长" * 10_000), Document("short.txt", "短" * 50))
    fitted = fit((SYSTEM, QUESTION), 1000, documents)
    text = fitted.messages[-1].text
    assert not fitted.is_whole
    assert "短" * 50 in text
    assert 500 < text.count("长") < 1500
    assert tokens(fitted.messages) <= 1000
    (note,) = fitted.notes
    assert "long.txt" in note
    assert "10000" in note


def test_documents_come_before_the_history():
    """Turns are dropped before a document is cut."""
    fitted = fit((*turns(6), QUESTION), 400, (Document("a.txt", "文" * 400),))
    assert fitted.is_whole
    assert "文" * 400 in fitted.messages[-1].text
    assert "条消息" in fitted.notes[0]


def test_no_room_for_documents_is_refused():
    """Where not even the beginning of a file fits, nothing is sent without it."""
    with pytest.raises(InvalidParameter, match="no room for the files") as caught:
        fit((Message("user", "问" * 100),), 100, (Document("a.txt", "文" * 400),))
    assert "files" == caught.value.param


@given(
    st.lists(st.text(max_size=60), max_size=10),
    st.lists(st.text(max_size=3000), max_size=3),
    st.integers(1, 1500),
)
def test_whatever_is_kept_fits_and_is_in_order(texts, files, most):
    """Any conversation fits afterwards, keeps its ends, loses only from the front of its history, or is refused."""
    pairs = [Message(r, t) for t in texts for r in ("user", "assistant")]
    messages = (SYSTEM, *pairs, QUESTION)
    documents = [Document(f"{i}", text) for i, text in enumerate(files)]
    try:
        fitted = fit(messages, most, documents)
    except InvalidParameter:
        return
    # Texts that are put together are estimated together: one token of rounding for each.
    assert tokens(fitted.messages) <= most + len(files) + 1
    assert SYSTEM == fitted.messages[0]
    assert fitted.messages[-1].text.endswith("问题")
    history = list(fitted.messages[1:-1])
    assert pairs[len(pairs) - len(history) :] == history
    assert 0 == len(history) % 2
