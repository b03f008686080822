"""What holds for any words, any text and any way of cutting it."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fengchao_core.sensitive import Folding, Hit, Lexicon, StreamScreen, WordList
from fengchao_core.sensitive.characters import PLACEHOLDERS, REPEAT
from fengchao_core.sensitive.folding import Folder
from fengchao_core.sensitive.shape import Fit, Shape, unfold_repeats

# Few characters, so that words meet; one or more of every kind that folding treats in its own way.
SYMBOLS = "aAＢb敏感詞词一①1ßﬁか\u3099がｶ㋕㍗"
PAST = "* ，.\n\u200b\u0336\ufe0f-🐻"
texts = st.lists(
    st.one_of(st.sampled_from(SYMBOLS), st.sampled_from(SYMBOLS), st.sampled_from(PAST)),
    max_size=40,
).map("".join)
words = st.lists(st.sampled_from(SYMBOLS + "*- 🐻\u0336"), min_size=1, max_size=5).map("".join)
foldings = st.builds(
    Folding,
    forms=st.booleans(),
    digits=st.booleans(),
    symbols=st.booleans(),
    repeats=st.booleans(),
    gap=st.integers(0, 3),
)


def visible(word: str) -> bool:
    """Whether a word can be looked for at all."""
    return any(char not in " \u0336\u3099" for char in word)


@st.composite
def word_lists(draw: st.DrawFn, *, most: int = 6) -> list[WordList]:
    """A few lists of every action, with allowed words."""
    some = st.lists(words.filter(visible), max_size=most).map(tuple)
    return [
        WordList(f"{action} words", draw(some), action, draw(some) if action == "block" else ())
        for action in ("block", "replace", "record")
    ]


@st.composite
def loaded(draw: st.DrawFn) -> tuple[list[WordList], str]:
    """Lists, and a text in which their words are likely, whole or in part."""
    lists = draw(word_lists())
    listed = [word for one in lists for word in (*one.words, *one.allow)]
    pieces = st.one_of(texts, st.sampled_from(listed or ["a"]), st.sampled_from(PAST))
    return lists, "".join(draw(st.lists(pieces, max_size=8)))


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """Any way of cutting a text, with empty pieces too."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def held_back(screen: StreamScreen, pieces: list[str]) -> tuple[str, int]:
    """Feed all pieces; what left, and the most that was ever held back."""
    out, fed, most = "", 0, 0
    for piece in pieces:
        out += screen.feed(piece)
        fed += len(piece)
        most = max(most, fed - len(out))
    return out + screen.finish(), most


@given(loaded(), foldings, st.data())
@settings(max_examples=200, deadline=None)
def test_a_stream_is_screened_as_the_whole_text_is(
    case: tuple[list[WordList], str], folding: Folding, data: st.DataObject
) -> None:
    """Any chunking finds the same hits, stars the same characters and holds back no more than the bound."""
    lists, text = case
    lexicon = Lexicon.build(lists, folding)
    whole = lexicon.screen(text, replace=True)
    screen = StreamScreen(lexicon, replace=True)

    out, most = held_back(screen, data.draw(cut(text)))

    assert list(whole.hits) == screen.hits
    assert whole.text == out
    assert most <= lexicon.reach


@given(loaded(), foldings)
@settings(max_examples=100, deadline=None)
def test_one_character_at_a_time_is_a_chunking_too(
    case: tuple[list[WordList], str], folding: Folding
) -> None:
    """The finest chunking finds the same hits as well."""
    lists, text = case
    lexicon = Lexicon.build(lists, folding)
    screen = StreamScreen(lexicon, replace=True)

    out, most = held_back(screen, list(text))

    assert lexicon.screen(text, replace=True).text == out
    assert most <= lexicon.reach


@given(loaded(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_blocking_word_ends_the_stream_before_itself(
    case: tuple[list[WordList], str], data: st.DataObject
) -> None:
    """What left before the hit is what the whole text has before it, and the hit is the whole text's first."""
    lists, text = case
    lexicon = Lexicon.build(lists)
    whole = lexicon.screen(text)
    screen = StreamScreen(lexicon)

    out, _ = held_back(screen, data.draw(cut(text)))

    assert whole.blocked == screen.blocked
    assert whole.text[: whole.blocked.start if whole.blocked else len(text)] == out


@given(loaded(), foldings)
@settings(max_examples=100, deadline=None)
def test_only_characters_of_hits_are_starred(
    case: tuple[list[WordList], str], folding: Folding
) -> None:
    """Every character outside the hits stays where and what it is."""
    lists, text = case
    screened = Lexicon.build(lists, folding).screen(text, replace=True)
    starred = {
        place
        for hit in screened.hits
        if hit.action != "record"
        for place in range(hit.start, hit.end)
    }

    assert "".join("*" if n in starred else char for n, char in enumerate(text)) == screened.text


@given(word_lists(), word_lists(), texts, foldings)
@settings(max_examples=100, deadline=None)
def test_words_added_later_are_found_as_if_they_had_always_been_there(
    first: list[WordList], later: list[WordList], text: str, folding: Folding
) -> None:
    """A lexicon that was extended finds what one built at once finds."""
    at_once = Lexicon.build([*first, *later], folding)
    extended = Lexicon.build(first, folding).extended(later)

    assert at_once.find(text) == extended.find(text)


def by_definition(text: str, words: tuple[str, ...], folding: Folding) -> list[tuple[int, int]]:
    """Leftmost-longest by trying every stretch of the text: slow, and short enough to believe."""
    folder = Folder(folding)
    folded = folder.fold(text)
    shapes: dict[str, list[Shape]] = {}
    for word in words:
        for aligned in {folder.fold(word).aligned, unfold_repeats(folder.fold(word).aligned)}:
            skeleton = "".join(symbol for symbol in aligned if symbol > "\x05")
            shapes.setdefault(skeleton, []).append(Shape.of(aligned))

    def fitting(candidates: list[Shape], stretch: str) -> Fit | None:
        most_first = sorted(candidates, key=lambda shape: -sum(shape.runs))
        fits = (shape.fit(stretch, folding.gap) for shape in most_first)
        return next((fit for fit in fits if fit is not None), None)

    hits = []
    low = 0
    while low < len(folded.skeleton):
        for high in range(len(folded.skeleton), low, -1):
            start, end = folded.span(low, high, folding.gap)
            fit = fitting(shapes.get(folded.skeleton[low:high], []), folded.aligned[start:end])
            if fit is None or not folded.is_whole(start + fit.front, end - fit.back):
                continue
            hits.append((folded.origin(start + fit.front), folded.origin(end - fit.back - 1) + 1))
            low = high - 1 if fit.shared and high - low > 1 else high
            break
        else:
            low += 1
    return hits


@given(
    st.lists(st.text("ab敏感か㎏", min_size=1, max_size=5), max_size=8).map(tuple),
    st.text("aab敏敏感か㎏\u3099 ，*\u0336", max_size=40),
    st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_hits_are_the_leftmost_and_of_those_the_longest(
    words: tuple[str, ...], text: str, gap: int
) -> None:
    """The automata find what trying every stretch of the text finds."""
    folding = Folding(gap=gap)
    found = Lexicon.build([WordList("x", words)], folding).find(text)

    assert by_definition(text, words, folding) == [(hit.start, hit.end) for hit in found]


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=4), max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_any_text_at_all_can_be_screened(text: str, listed: list[str], data: st.DataObject) -> None:
    """All of Unicode, surrogates and control characters included, goes through whole and streamed alike."""
    folder = Folder(Folding())
    listed = [word for word in listed if folder.fold(word).skeleton and word.isprintable()]
    lexicon = Lexicon.build([WordList("x", tuple(listed))])
    pieces = st.one_of(st.just(text), st.sampled_from([*listed, ""]), st.characters())
    text = "".join(data.draw(st.lists(pieces, max_size=6)))
    screen = StreamScreen(lexicon, replace=True)

    out, _ = held_back(screen, data.draw(cut(text)))

    assert lexicon.screen(text, replace=True).text == out
    assert len(text) == len(out)


def with_repeats_marked(spread: str, most: int) -> str:
    """An aligned text from one without repeats, symbol by symbol; digits and what sorts before them do not repeat."""
    aligned, copies, last = "", 0, ""
    for char in spread:
        is_copy = char == last and copies < most and char > "9"
        aligned += REPEAT if is_copy else char
        copies = copies + 1 if is_copy else 0
        last = char
    return aligned


@given(st.one_of(texts, st.text(max_size=40), st.text("aab11--感感😀", max_size=40)), foldings)
@settings(max_examples=200, deadline=None)
def test_skeleton_and_aligned_text_tell_the_same(text: str, folding: Folding) -> None:
    """The skeleton is the aligned text without what is looked past, and further copies are marked one by one."""
    folded = Folder(folding).fold(text)
    spread = Folder(replace(folding, repeats=False)).fold(text)
    most = folding.gap if folding.repeats else 0

    assert with_repeats_marked(spread.aligned, most) == folded.aligned
    assert "".join(char for char in folded.aligned if char not in PLACEHOLDERS) == folded.skeleton
    assert folded.skeleton == "".join(folded.aligned[place] for place in folded.at)
    assert folded.has_repeats == (folded.aligned != spread.aligned)
    assert folded.is_plain == (len(text) == len(folded.aligned) == len(folded.skeleton))


@given(st.lists(st.characters().filter(lambda char: char not in "\u3099\u309a"), max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_character_folds_alike_wherever_it_stands(chars: list[str]) -> None:
    """Whatever stands beside it, of whichever plane, and whether it was met before."""
    warm, folding = Folder(Folding(repeats=False)), Folding(repeats=False)
    alone = [Folder(folding).fold(char).aligned for char in chars]

    for _ in range(2):
        folded = warm.fold("".join(chars))
        assert "".join(alone) == folded.aligned
        assert [n for n, one in enumerate(alone) for _ in one] == [
            folded.origin(place) for place in range(len(folded.aligned))
        ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@settings(max_examples=200, deadline=None)
def test_composed_and_decomposed_texts_fold_alike(text: str) -> None:
    """Canonically equivalent texts hold the same words, Korean in single jamo apart."""
    if any("\u1100" <= char <= "\u11ff" for char in unicodedata.normalize("NFD", text)):
        return
    folder = Folder(Folding(repeats=False))
    composed = folder.fold(unicodedata.normalize("NFC", text)).skeleton
    assert composed == folder.fold(unicodedata.normalize("NFD", text)).skeleton


@given(st.text("ab感。", max_size=30), st.data())
@settings(deadline=None)
def test_positions_count_from_the_beginning_of_the_stream(text: str, data: st.DataObject) -> None:
    """A hit far into a stream tells where it is in the whole text."""
    screen = StreamScreen(Lexicon.build([WordList("x", ("敏感词",))]), replace=True)

    held_back(screen, data.draw(cut(f"{text}敏感词{text}")))

    assert [Hit(len(text), len(text) + 3, "x", "block")] == screen.hits
