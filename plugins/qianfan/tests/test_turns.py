"""The rules of conversations: mended where nothing is lost, refused where something would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import ImagePart, Message, TextPart, ToolCall
from fengchao_qianfan.turns import ANSWER, QUESTION, Conversation, arrange

U, A, S = "user", "assistant", "system"


def said(*turns: tuple[str, str], strict: bool = True) -> Conversation:
    """A conversation of plain messages, arranged."""
    messages = [Message(role, text) for role, text in turns]  # type: ignore[arg-type]  # roles by their names
    return arrange(messages, one_call_at_a_time=strict)


def plain(conversation: Conversation) -> list[tuple[str, object]]:
    """Roles and contents."""
    return [(turn.role, turn.content) for turn in conversation.turns]


def test_a_right_conversation_stays_as_it_is() -> None:
    """Nothing is changed and nothing noted where the rules are kept."""
    conversation = said((S, "s"), (U, "a"), (A, "b"), (U, "c"))
    assert ("s", [(U, "a"), (A, "b"), (U, "c")], ()) == (
        conversation.system,
        plain(conversation),
        conversation.notes,
    )


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([(U, "a"), (U, "b")], [(U, "a\nb")]),
        ([(U, "a"), (A, "b"), (A, "c"), (U, "d")], [(U, "a"), (A, "b\nc"), (U, "d")]),
        ([(A, "hi"), (U, "a")], [(U, QUESTION), (A, "hi"), (U, "a")]),
        ([(U, "a"), (A, " "), (U, "b")], [(U, "a\nb")]),
        ([(U, ""), (A, "b"), (U, "c")], [(U, QUESTION), (A, "b"), (U, "c")]),
        ([(U, "a"), (S, "late"), (U, "b")], [(U, "a\nb")]),
    ],
)
def test_what_loses_nothing_is_mended_with_a_note(
    turns: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    """Neighbours are joined, blanks left out, a missing question filled in; each leaves a note."""
    conversation = said(*turns)
    assert expected == plain(conversation)
    assert conversation.notes


@pytest.mark.parametrize(
    "turns",
    [[], [(S, "s")], [(U, " ")], [(U, "a"), (A, "b")], [(U, "a"), (A, "b"), (U, "")]],
)
def test_what_would_lose_something_is_refused(turns: list[tuple[str, str]]) -> None:
    """Nothing to ask, and an assistant who speaks last, are refused."""
    with pytest.raises(InvalidParameter):
        said(*turns)


def test_system_texts_are_joined() -> None:
    """Several system and developer texts become one; blank ones do not count."""
    conversation = said((S, "one"), ("developer", "two"), (S, " "), (U, "a"))
    assert ("one\ntwo", ()) == (conversation.system, conversation.notes)


def test_pictures_survive_a_join() -> None:
    """Content of several parts is joined part by part, and a message with only a picture is not blank."""
    picture = ImagePart("https://example.com/a.png")
    conversation = arrange(
        [Message("user", (picture,)), Message("user", "what?")], one_call_at_a_time=False
    )
    assert ((picture, TextPart("what?")),) == tuple(turn.content for turn in conversation.turns)


def call(id_: str, name: str = "f") -> ToolCall:
    """A call of a function."""
    return ToolCall(id_, name, "{}")


CALLED = Message("assistant", tool_calls=(call("1"), call("2", "g")))


def test_parallel_calls_become_turns_of_their_own() -> None:
    """In V1 each call is followed by its result, whatever order the results came in; V2 keeps them as they are."""
    messages = [
        Message("user", "a"),
        CALLED,
        Message("tool", "two", tool_call_id="2"),
        Message("tool", "one", tool_call_id="1"),
    ]
    first = arrange(messages, one_call_at_a_time=True)
    assert ["user", "assistant", "tool", "assistant", "tool"] == [t.role for t in first.turns]
    assert [("f", "one"), ("g", "two")] == [
        (first.turns[at].name, first.turns[at].content) for at in (2, 4)
    ]
    assert first.notes
    second = arrange(messages, one_call_at_a_time=False)
    assert (tuple(messages), ()) == (second.turns, second.notes)


def test_ids_that_repeat_are_matched_within_their_turn() -> None:
    """A call's id may come again in a later turn, as those of some vendors do."""
    turn = [Message("assistant", tool_calls=(call("1"),)), Message("tool", "x", tool_call_id="1")]
    messages = [Message("user", "a"), *turn, *turn]
    assert 5 == len(arrange(messages, one_call_at_a_time=True).turns)


def test_an_answer_is_put_between_a_result_and_the_user() -> None:
    """In V1 a function's result takes the user's turn, so the user's next message needs an answer before it."""
    messages = [
        Message("user", "a"),
        Message("assistant", tool_calls=(call("1"),)),
        Message("tool", "x", tool_call_id="1"),
        Message("user", "b"),
    ]
    conversation = arrange(messages, one_call_at_a_time=True)
    assert [("assistant", ANSWER), ("user", "b")] == plain(conversation)[3:]
    assert messages == list(arrange(messages, one_call_at_a_time=False).turns)


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", "a"), CALLED, Message("tool", "one", tool_call_id="1")],
        [Message("user", "a"), CALLED, Message("user", "b")],
        [Message("user", "a"), Message("tool", "one", tool_call_id="1")],
        [
            Message("user", "a"),
            Message("assistant", tool_calls=(call("1"),)),
            Message("tool", "x", tool_call_id="1"),
            Message("tool", "y", tool_call_id="1"),
        ],
    ],
)
def test_calls_and_results_must_match(messages: list[Message]) -> None:
    """In V1 a call without a result, and a result without a call, are refused."""
    with pytest.raises(InvalidParameter):
        arrange(messages, one_call_at_a_time=True)


@given(
    st.lists(st.tuples(st.sampled_from((U, A, S)), st.text("ab \n", max_size=3)), max_size=9),
    st.booleans(),
)
def test_whatever_is_accepted_keeps_the_rules_and_the_words(
    turns: list[tuple[str, str]], strict: bool
) -> None:
    """Any conversation is refused, or ends up odd, in turns, beginning and ending with the user, with every word in it."""
    try:
        conversation = said(*turns, strict=strict)
    except InvalidParameter:
        return
    roles = [turn.role for turn in conversation.turns]
    assert len(roles) % 2 == 1
    assert [(U, A)[at % 2] for at in range(len(roles))] == roles
    kept = "".join(str(turn.content) for turn in conversation.turns if turn.content != QUESTION)
    spoken = "".join(text for role, text in turns if role != S and text.strip())
    assert "".join(spoken.split()) == "".join(kept.split())
    told = "".join(text for role, text in turns if role == S and text.strip())
    assert "".join(told.split()) == "".join(conversation.system.split())
