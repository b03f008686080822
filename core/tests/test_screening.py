"""The word filter of one request, over deltas however they are batched."""

from hypothesis import given
from hypothesis import strategies as st

from fengchao_core import Delta, Usage
from fengchao_core.screening import CleanTexts, Screening
from fengchao_core.sensitive import Lexicon, WordList
from fengchao_core.telemetry import Telemetry
from fengchao_core.types import ToolCallFragment

LEXICON = Lexicon.build([WordList("示例", ("苹果", "苹果派", "派对", "ab"))])
TEXTS = st.text(alphabet="苹果派对abc 。-", max_size=40)


def screening(*, replace=True):
    return Screening(CleanTexts(LEXICON), replace=replace, telemetry=Telemetry())


def cut(text, sizes):
    """The text in pieces of these sizes, the rest in one."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    return [*pieces, text[at:]]


def shown(screen, batches):
    """What left, as one text."""
    return "".join(d.text for batch in batches for d in screen.output(batch)[0])


@given(TEXTS, st.lists(st.integers(0, 4), max_size=20), st.lists(st.integers(1, 5), max_size=20))
def test_batches_change_nothing(text, sizes, batched):
    """However a text is cut into deltas and these into batches, the same characters leave, starred alike."""
    deltas = [Delta(piece) for piece in cut(text, sizes)]
    batches = [b for b in cut(deltas, batched) if b]
    out = shown(screening(), [*batches, [Delta(finish_reason="stop")]])
    assert LEXICON.screen(text, replace=True).text == out


@given(TEXTS, st.lists(st.integers(0, 4), max_size=20))
def test_each_delta_gets_its_own_share(text, sizes):
    """Deltas of a burst stay deltas: none says what comes after it."""
    screen = screening()
    pieces = cut(text, sizes)
    left = [d.text for d in screen.output([Delta(piece) for piece in pieces])[0]]
    starred = LEXICON.screen(text, replace=True).text
    assert starred.startswith("".join(left))
    assert len(left) <= len([piece for piece in pieces if piece])


def test_choices_are_screened_apart():
    """Two halves of a word in two choices are no word."""
    screen = screening()
    batch = [Delta("苹", index=0), Delta("果", index=1), Delta("苹", index=0), Delta("果", index=1)]
    ends = [Delta(index=0, finish_reason="stop"), Delta(index=1, finish_reason="stop")]
    texts = {0: "", 1: ""}
    for delta in [d for b in (batch, ends) for d in screen.output(b)[0]]:
        texts[delta.index] += delta.text
    assert {0: "苹苹", 1: "果果"} == texts


def test_a_blocked_word_shows_nothing_of_itself():
    """What stands before the word leaves, the word and what follows do not, and no ending is shown."""
    screen = screening(replace=False)
    batch, refusal = screen.output(
        [Delta("好的"), Delta("苹"), Delta("果"), Delta("", finish_reason="stop")]
    )
    assert ("好的", "示例", 2, 4) == (
        "".join(d.text for d in batch),
        refusal.category,
        refusal.start,
        refusal.end,
    )
    assert all(delta.finish_reason is None for delta in batch)


def test_arguments_and_reasoning_are_screened_as_texts_of_their_own():
    """A word in a tool call's arguments or in the reasoning is starred there."""
    screen = screening()
    batches = [
        [Delta(reasoning="苹")],
        [Delta(reasoning="果。"), Delta("好")],
        [Delta(tool_calls=(ToolCallFragment(0, "id", "f", '{"a":"苹'),))],
        [Delta(tool_calls=(ToolCallFragment(0, arguments='果"}'),))],
        [Delta(finish_reason="tool_calls", usage=Usage(1, 1))],
    ]
    left = [d for batch in batches for d in screen.output(batch)[0]]
    assert "**。" == "".join(d.reasoning for d in left)
    assert "好" == "".join(d.text for d in left)
    assert '{"a":"**"}' == "".join(f.arguments for d in left for f in d.tool_calls)
    assert Usage(1, 1) == left[-1].usage


def test_log_probabilities_do_not_tell_a_starred_word():
    """A delta whose text is changed loses its log-probabilities, which spell the tokens."""
    screen = screening()
    (delta,) = screen.output([Delta("苹果", finish_reason="stop", logprobs=[{"token": "苹果"}])])[0]
    assert ("**", None) == (delta.text, delta.logprobs)


def test_a_clean_text_is_remembered_and_a_dirty_one_is_not():
    """What was clean passes at once the next time; a hit is found every time, and other words forget it all."""
    known = CleanTexts(LEXICON)
    screen = Screening(known, replace=True, telemetry=Telemetry())
    assert ("无事", "**") == (screen.input("无事"), screen.input("苹果"))
    assert (True, False) == ("无事" in known, "苹果" in known)
    assert "无事" not in CleanTexts(Lexicon.build([WordList("示例", ("无事",))]))


def test_a_refusal_is_screened_like_any_text():
    """What a model says in refusing is starred or blocked as its answer would be."""
    starred = screening().output([Delta(refusal="苹果", finish_reason="stop")])[0]
    assert ["**"] == [delta.refusal for delta in starred]
    left, error = screening(replace=False).output([Delta(refusal="不谈苹果", finish_reason="stop")])
    assert ("示例", "不谈") == (error.category, "".join(delta.refusal for delta in left))
