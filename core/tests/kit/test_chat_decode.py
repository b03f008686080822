"""Answers in the chat-completions dialect, tidy and untidy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fengchao_core.errors import (
    ProviderError,
    ProviderProtocolError,
    QuotaExhausted,
    RateLimited,
)
from fengchao_core.fold import Fold
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    Decoder,
    Dialect,
    ThinkSplitter,
    read_usage,
)
from fengchao_core.testing.strategies import chunkings
from fengchao_core.types import Choice, Delta, ToolCall, Usage

classify = classify_by({"fast": RateLimited, "base_resp.1008": QuotaExhausted})
DONE = b"[DONE]"
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def decoder_of(dialect: Dialect = CHAT_COMPLETIONS, **options: Any) -> Decoder:
    """A decoder for one answer."""
    return Decoder(dialect, classify=classify, **options)


def events(*chunks: object) -> list[bytes]:
    """Chunks as the data of events; bytes stand for themselves."""
    return [chunk if isinstance(chunk, bytes) else orjson.dumps(chunk) for chunk in chunks]


def say(
    delta: object, finish: object = None, index: object = 0, **fields: object
) -> dict[str, object]:
    """A chunk of one choice."""
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish}], **fields}


def stream(*chunks: object, dialect: Dialect = CHAT_COMPLETIONS) -> list[Delta]:
    """Every delta of a stream, to its very end."""
    decoder = decoder_of(dialect)
    deltas = decoder.decode(events(*chunks)) + decoder.close()
    if decoder.failure is not None:
        raise decoder.failure
    return deltas


def folded(deltas: Sequence[Delta]) -> tuple[tuple[Choice, ...], Usage | None]:
    """Choices and usage."""
    fold = Fold()
    fold.feed(deltas)
    return fold.choices(), next((delta.usage for delta in reversed(deltas) if delta.usage), None)


def only(*chunks: object, dialect: Dialect = CHAT_COMPLETIONS) -> Choice:
    """The one choice of a stream."""
    (choice,), _ = folded(stream(*chunks, dialect=dialect))
    return choice


def test_the_usual_stream() -> None:
    """A role, pieces of text, an end, the usage, `[DONE]`: one delta a piece, and one that ends it all."""
    deltas = stream(
        say({"role": "assistant", "content": ""}, usage=None),
        say({"content": "你"}, usage=None),
        say({"content": "好"}, usage=None),
        say({}, "stop", usage=None),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
        DONE,
    )
    assert [Delta("你"), Delta("好"), Delta(finish_reason="stop", usage=Usage(3, 2))] == deltas


@pytest.mark.parametrize(
    "chunks",
    [
        (say({"content": "a"}), END),
        (say({"content": "a"}), END, DONE),
        (say({"content": "a"}), DONE),
        (say({"content": "a"}, "stop"), DONE),
        (say({"content": "a"}, "stop"), END, END, DONE),
        (END, say({"content": "a"}), DONE),
        ({"choices": [{"delta": {"content": "a"}}]}, DONE),
        (say({"content": "a"}, "", None), END, DONE),
        (
            {"choices": []},
            {"choices": None},
            {},
            say({"content": "a"}),
            {"type": "ping"},
            END,
            DONE,
        ),
        (say({"content": [{"type": "text", "text": "a"}]}), END, DONE),
        (
            say({"content": "a", "reasoning_content": None, "tool_calls": None, "refusal": None}),
            END,
            DONE,
        ),
        ({"choices": [{"index": 0, "message": {"content": "a"}}]}, END, DONE),
        (say({"content": "a"}), b" ", b"", END, b" [DONE] ", b"anything"),
        (
            say({"content": None}),
            say(None),
            say({"content": "a"}),
            END,
            DONE,
            say({"content": "too late"}),
        ),
    ],
)
def test_untidy_streams_are_understood(chunks: tuple[object, ...]) -> None:
    """No `[DONE]`, no finish reason, no index, no role, an early or repeated end, keep-alives, content in parts."""
    choice = only(*chunks)
    assert "a" == choice.message.text
    assert "stop" == choice.finish_reason


def test_an_end_is_said_once_and_last() -> None:
    """However often a vendor says that it has ended, one delta says so, after the last text."""
    deltas = stream(
        say({"content": "a"}, "stop"),
        say({"content": "b"}, "stop"),
        say({"content": "c"}, "stop"),
        DONE,
    )
    assert [None, None, None, "stop"] == [delta.finish_reason for delta in deltas]


@pytest.mark.parametrize(
    "chunks",
    [(), (DONE,), ({},), (say({"content": "a"}),), (say({"content": "a"}), say({}, None, 1))],
)
def test_a_stream_that_stops_short_is_an_error(chunks: tuple[object, ...]) -> None:
    """An answer that never ended, or never began, is none."""
    with pytest.raises(ProviderProtocolError):
        stream(*chunks)


def test_some_vendors_end_silently() -> None:
    """By the dialect, the end of the stream is the end of the answer."""
    silent = replace(CHAT_COMPLETIONS, ends_silently=True)
    assert "stop" == only(say({"content": "a"}), dialect=silent).finish_reason


def test_text_before_an_error_is_not_lost() -> None:
    """Deltas of the read that holds an error come out first; the error waits in `failure`."""
    decoder = decoder_of()
    error = {"error": {"message": "m", "code": "fast"}}
    assert [Delta("a")] == decoder.decode(
        events(say({"content": "a"}), error, say({"content": "b"}))
    )
    assert isinstance(decoder.failure, RateLimited)
    with pytest.raises(RateLimited):
        decoder_of().decode(events(error))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": {"message": "m", "code": "fast"}}, RateLimited),
        ({"error": "m"}, ProviderError),
        ({"error": {"message": "m", "code": 429}}, RateLimited),
        ({"object": "error", "message": "m", "code": 429}, RateLimited),
        ({"code": 20012, "message": "m", "data": None}, ProviderError),
        ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "m"}}, QuotaExhausted),
        ({"choices": [{"index": 0, "delta": {}}], "error": {"code": "fast"}}, RateLimited),
    ],
)
def test_errors_under_http_200(error: dict[str, object], kind: type[ProviderError]) -> None:
    """An error object in a body or an event becomes its class, whatever its shape."""
    with pytest.raises(ProviderError) as streamed:
        stream(error)
    with pytest.raises(ProviderError) as whole:
        decoder_of().whole(orjson.dumps(error))
    assert (kind, kind) == (type(streamed.value), type(whole.value))


def test_whole_answers() -> None:
    """Several choices with text, refusal, thinking, log-probabilities, calls and kept fields."""
    body = {
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "a",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
                "finish_reason": "tool_calls",
            },
            {
                "index": 1,
                "message": {
                    "content": "好",
                    "refusal": "no",
                    "annotations": [{"type": "url_citation"}],
                },
                "logprobs": {"content": [{"token": "好"}]},
                "finish_reason": "length",
            },
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    deltas = decoder_of().whole(orjson.dumps(body))
    (first, second), usage = folded(deltas)
    assert (ToolCall("a", "f", "{}"),) == first.message.tool_calls
    assert ("hm", None, "tool_calls") == (
        first.message.reasoning,
        first.message.content,
        first.finish_reason,
    )
    assert ("好", "no", "length") == (
        second.message.content,
        second.message.refusal,
        second.finish_reason,
    )
    assert ({"token": "好"},) == second.logprobs
    assert [{"annotations": [{"type": "url_citation"}]}] == [
        delta.extra for delta in deltas if delta.extra
    ]
    assert Usage(1, 2) == usage


@pytest.mark.parametrize("finish", [None, "", "stop", "function_call"])
def test_calls_end_with_tool_calls(finish: str | None) -> None:
    """Whatever the vendor says, an answer that calls tools ends as one."""
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert "tool_calls" == only(say({"tool_calls": [call]}), say({}, finish), DONE).finish_reason


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_other_ends_stay(finish: str) -> None:
    """A cut answer is a cut answer, also when it called tools."""
    assert (
        finish
        == only(
            say({"tool_calls": [{"function": {"name": "f"}}]}), say({}, finish), DONE
        ).finish_reason
    )


@pytest.mark.parametrize("finish", ["eos_token", "STOP", 1, ["stop"], {"a": 1}])
def test_an_unknown_finish_reason_is_a_protocol_error(finish: object) -> None:
    """Never quietly "stop"."""
    with pytest.raises(ProviderProtocolError, match="finish reason"):
        stream(say({"content": ""}, finish), DONE)


def test_vendors_may_have_finish_reasons_of_their_own() -> None:
    """By the dialect's table."""
    own = replace(
        CHAT_COMPLETIONS, finish={**CHAT_COMPLETIONS.finish, "sensitive": "content_filter"}
    )
    assert (
        "content_filter"
        == only(say({"content": "a"}, "sensitive"), DONE, dialect=own).finish_reason
    )


def test_a_finish_reason_may_mean_failure() -> None:
    """By the dialect's table; what came before is not lost."""
    own = replace(CHAT_COMPLETIONS, finish_errors={"overload": RateLimited})
    decoder = decoder_of(own)
    assert [Delta("a")] == decoder.decode(events(say({"content": "a"}, "overload")))
    assert isinstance(decoder.failure, RateLimited)
    assert "overload" == decoder.failure.vendor_code


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "because"},
        {"reasoning": "because"},
        {"reasoning_content": "because", "reasoning": "because"},
        {"reasoning_content": "", "reasoning": "because"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "beca"}, {"text": "use"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "because"}]}]},
        {"content": [{"type": "thinking", "thinking": "because"}]},
    ],
)
def test_thinking_is_found_wherever_it_stands(delta: dict[str, object]) -> None:
    """In one of several fields, once."""
    assert "because" == only(say(delta), say({"content": "a"}), END, DONE).message.reasoning


def test_choices_are_interleaved() -> None:
    """Each choice has its own text and its own end, in the order of their indices; the usage comes with the last."""
    deltas = stream(
        {
            "choices": [
                {"index": 1, "delta": {"content": "b"}},
                {"index": 0, "delta": {"content": "a"}},
            ]
        },
        say({"content": "B"}, "length", 1),
        say({"content": "A"}, "stop", 0),
        {"usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        DONE,
    )
    (first, second), _ = folded(deltas)
    assert ("aA", "stop", "bB", "length") == (
        first.message.text,
        first.finish_reason,
        second.message.text,
        second.finish_reason,
    )
    assert deltas[-1].usage == Usage(1, 1)
    assert [None] * (len(deltas) - 1) == [delta.usage for delta in deltas[:-1]]


@pytest.mark.parametrize(
    "chunks",
    [
        (say({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 3}),),
        (
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "stop",
                        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
                    }
                ]
            },
        ),
        (END, {"usage": {"prompt_tokens": 5, "total_tokens": 8}}),
        (END, {"choices": [], "usage": {"prompt_tokens": 5.0, "completion_tokens": 3}}),
        (
            say({"content": ""}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
            say({"content": "x"}, usage={"prompt_tokens": 5, "completion_tokens": 3}),
            END,
        ),
    ],
)
def test_usage_is_found_wherever_it_stands(chunks: tuple[object, ...]) -> None:
    """On any chunk, within a choice, on several (the last one counts), with or without all its figures."""
    _, usage = folded(stream(say({"content": "a"}), *chunks, DONE))
    assert Usage(5, 3) == usage


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(10, 20, 4, 7),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 4}, Usage(10, 20, 4)),
        (
            {"prompt_tokens": 10, "completion_tokens": 20, "prompt_cache_hit_tokens": 4},
            Usage(10, 20, 4),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 99}, Usage(10, 20, 10)),
        ({"prompt_tokens": 10, "prompt_tokens_details": None}, Usage(10, 0)),
        ({}, None),
        (None, None),
        ([], None),
        ({"prompt_tokens": "10"}, None),
        ({"prompt_tokens": -1, "completion_tokens": True}, None),
        ({"prompt_tokens": 1e300}, None),
    ],
)
def test_spellings_of_usage(wire: object, expected: Usage | None) -> None:
    """Cached and reasoning tokens in their several places; figures that make no sense are none."""
    assert expected == read_usage(wire)


def call(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: object = None,
) -> Any:
    """A fragment of a tool call, with the fields that are given."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    return {
        k: v
        for k, v in (("index", index), ("id", call_id), ("function", function))
        if v is not None
    }


@pytest.mark.parametrize(
    "deltas",
    [
        # As OpenAI does it, also two in one chunk.
        [[call(0, "a", "f", "")], [call(0, arguments="{1"), call(1, "b", "g", "")], [call(1, arguments="{2}"), call(0, arguments="}")]],
        # Whole calls, with and without indices, in one chunk or two.
        [[call(0, "a", "f", "{1}"), call(1, "b", "g", "{2}")]],
        [[call(None, "a", "f", "{1}"), call(None, "b", "g", "{2}")]],
        [[call(None, "a", "f", "{1}")], [call(None, "b", "g", "{2}")]],
        # Ids and names repeated in each fragment.
        [[call(0, "a", "f", "{1")], [call(0, "a", "f", "}")], [call(1, "b", "g", "{2}")]],
        # Without indices, the arguments after their head.
        [[call(None, "a", "f")], [call(arguments="{1}")], [call(None, "b", "g")], [call(arguments="{2}")]],
        # The same index for two calls.
        [[call(0, "a", "f", "{1}")], [call(0, "b", "g", "{2")], [call(0, arguments="}")]],
        # Numbered from one.
        [[call(1, "a", "f", "{1}")], [call(2, "b", "g", "{2}")]],
    ],
)  # fmt: skip
def test_tool_calls_join_however_they_are_numbered(deltas: list[list[object]]) -> None:
    """Two calls come out as two, and clients that append strings see each id and name once."""
    out = stream(*(say({"tool_calls": calls}) for calls in deltas), say({}, "tool_calls"), DONE)
    (choice,), _ = folded(out)
    assert (ToolCall("a", "f", "{1}"), ToolCall("b", "g", "{2}")) == choice.message.tool_calls
    fragments = [fragment for delta in out for fragment in delta.tool_calls]
    assert ["a", "b"] == [fragment.id for fragment in fragments if fragment.id is not None]
    assert ["f", "g"] == [fragment.name for fragment in fragments if fragment.name is not None]


def test_a_call_without_an_id_gets_one() -> None:
    """Arguments as an object become text, and a custom call keeps its kind."""
    custom = {"type": "custom", "id": "c", "custom": {"name": "g", "input": "x"}}
    choice = only(say({"tool_calls": [call(None, None, "f", {"x": "好"}), custom]}), END, DONE)
    assert (
        ToolCall("call_0_0", "f", '{"x":"好"}'),
        ToolCall("c", "g", "x", "custom"),
    ) == choice.message.tool_calls


def test_kept_fields_reach_the_caller() -> None:
    """Fields that the dialect names are passed on in `extra`."""
    keep = replace(CHAT_COMPLETIONS, keep=("web_search",), keep_message=("audio",))
    deltas = stream(
        say({"content": "a", "audio": {"id": 1}}, web_search=[{"link": "x"}]),
        END,
        DONE,
        dialect=keep,
    )
    assert [{"web_search": [{"link": "x"}]}, {"audio": {"id": 1}}] == [
        delta.extra for delta in deltas if delta.extra
    ]


def test_notes_travel_with_the_first_delta() -> None:
    """What was adapted is told once, beside what the delta carries itself."""
    decoder = decoder_of(notes=("one", "two"))
    deltas = decoder.decode(
        events(
            say({"role": "assistant"}),
            say({"content": "a", "audio": 1}),
            say({"content": "b"}),
            END,
            DONE,
        )
    )
    assert [{"notes": ["one", "two"], "audio": 1}, None, None] == [
        None if delta.extra is None else dict(delta.extra) for delta in deltas
    ]


THINKING = replace(CHAT_COMPLETIONS, think_tags=True)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>because</think>a", "because", "a"),
        ("\n<think>\nbecause\n</think>\n\na ", "because", "a "),
        ("<think></think>a", None, "a"),
        ("no <think>tag</think>", None, "no <think>tag</think>"),
        ("<think>a < b </thin k></think>x", "a < b </thin k>", "x"),
        ("<think>never ended", "never ended", ""),
        ("<thi", None, "<thi"),
        ("  ", None, "  "),
    ],
)
def test_thinking_in_tags(text: str, reasoning: str | None, answer: str) -> None:
    """A leading pair of tags is taken out of the text, whole and cut at every character."""
    for pieces in ([text], list(text)):
        choice = only(*(say({"content": piece}) for piece in pieces), END, DONE, dialect=THINKING)
        assert (reasoning, answer) == (choice.message.reasoning, choice.message.text)


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "/", "think>", " ", "\n", "好", "a"]),
        max_size=12,
    ).map("".join),
    st.data(),
)
def test_any_split_of_tags_is_the_same(text: str, data: st.DataObject) -> None:
    """However the text is cut, thinking and answer are the same, and nothing but tags and space is lost."""

    def split(*pieces: str) -> tuple[str, str]:
        splitter = ThinkSplitter()
        parts = [*(splitter.feed(piece) for piece in pieces), splitter.close()]
        return "".join(part[0] for part in parts), "".join(part[1] for part in parts)

    whole = split(text)
    assert whole == split(*data.draw(chunkings(text)))
    kept = (whole[0] + whole[1]).replace(" ", "").replace("\n", "")
    assert kept in {
        text.replace(" ", "").replace("\n", ""),
        text.replace(" ", "").replace("\n", "").replace("<think>", "", 1),
        text.replace(" ", "")
        .replace("\n", "")
        .replace("<think>", "", 1)
        .replace("</think>", "", 1),
    }


NAMES = [
    "choices", "delta", "message", "content", "index", "finish_reason", "usage", "error", "tool_calls", "function",
    "name", "arguments", "id", "type", "text", "thinking", "reasoning_content", "reasoning_details", "logprobs",
    "refusal", "code", "base_resp", "status_code", "prompt_tokens", "custom", "input", "annotations",
]  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.sampled_from(["stop", "function", "custom"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=20,
)
CHUNKS = VALUES | st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": VALUES | st.just(0),
                    "delta": VALUES,
                    "finish_reason": VALUES,
                    "message": VALUES,
                },
            ),
            max_size=3,
        )
    },
    optional={"usage": VALUES, "error": VALUES},
)


@given(st.lists(CHUNKS, max_size=5), st.booleans())
def test_any_json_is_understood_or_refused(chunks: list[object], think: bool) -> None:
    """Whatever JSON comes, nothing but a provider error is raised, and deltas are well formed."""
    dialect = replace(CHAT_COMPLETIONS, think_tags=think)
    try:
        deltas = stream(*chunks, DONE, dialect=dialect)
    except ProviderError:
        deltas = []
    for chunk in chunks:
        try:
            deltas += decoder_of(dialect).whole(orjson.dumps(chunk))
        except ProviderError:
            continue
    for delta in deltas:
        assert {str} == {type(delta.text), type(delta.reasoning), type(delta.refusal)}
        assert all(type(f.arguments) is str and f.index >= 0 for f in delta.tool_calls)
        assert (
            delta.usage is None
            or min(delta.usage.prompt_tokens, delta.usage.completion_tokens) >= 0
        )


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_any_bytes_are_understood_or_refused(raw: list[bytes]) -> None:
    """Events that are no JSON at all are protocol errors, or nothing."""
    try:
        stream(*raw)
    except ProviderError:
        return


@given(st.lists(st.text(), max_size=8), st.data())
def test_the_reads_do_not_matter(texts: list[str], data: st.DataObject) -> None:
    """However events fall into reads, the deltas are the same."""
    all_events = events(*(say({"content": text}) for text in ["x", *texts]), END, DONE)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(all_events)), max_size=5)))
    decoder = decoder_of()
    pieces = [all_events[a:b] for a, b in zip([0, *cuts], [*cuts, len(all_events)], strict=True)]
    apart = [delta for piece in pieces for delta in decoder.decode(piece)] + decoder.close()
    assert decoder_of().decode(all_events) == apart


@given(st.lists(st.sampled_from(["?", "", "a"]) | st.text(), max_size=8), st.booleans())
def test_chunks_that_are_alike_say_the_same_as_others(texts: list[str], ascii_only: bool) -> None:
    """Chunks that differ in nothing but their text are read a shorter way, to the same end."""

    def chunks(**changing: list[int]) -> list[bytes]:
        fields = [{key: values[i] for key, values in changing.items()} for i in range(len(texts))]
        said = [{**fields[i], **say({"content": text})} for i, text in enumerate(texts)]
        written = [json.dumps(chunk, ensure_ascii=ascii_only).encode() for chunk in said]
        return [*events(say({"role": "assistant"})), *written, *events(END), DONE]

    assert stream(*chunks(n=list(range(len(texts))))) == stream(*chunks())
    assert [text for text in texts if text] == [d.text for d in stream(*chunks()) if d.text]


LOOKALIKES = st.lists(
    st.sampled_from(
        [
            '"',
            '"b"',
            "b",
            "\\",
            "\\ud800",
            "{",
            "}",
            "[",
            "]",
            ",",
            " ",
            "null",
            "1",
            '"content":',
            '"x":',
            '"error":',
            '"finish_reason":"stop"',
            '"usage":{"prompt_tokens":1}',
        ]
    ),
    max_size=12,
).map("".join)


@given(LOOKALIKES)
@example('"a","content":"b"')
@example('"a","reasoning":"b"')
@example('"a"},"usage":{"prompt_tokens":1},"x":{"y":"b"')
@example('"a"}}]},"error":{"message":"m","x":{"y":[{"z":"b"')
@example('"a')
@example('"\\"')
@example('["a"]')
def test_what_only_looks_like_a_chunk_of_text_is_read_in_full(middle: str) -> None:
    """Whatever stands between the beginning and the end of a usual chunk means what it says."""
    head, _, tail = orjson.dumps(say({"content": "MIDDLE"})).partition(b'"MIDDLE"')
    first = orjson.dumps({**say({"role": "assistant", "content": ""}), "n": 1})

    def outcome(*before: bytes) -> object:
        decoder = decoder_of()
        decoder.decode([first, *before])
        try:
            deltas = decoder.decode([b"%b%b%b" % (head, middle.encode(), tail)])
            return deltas, str(decoder.failure), decoder.usage, decoder.close([DONE])
        except ProviderError as error:
            return type(error), str(error)

    assert outcome() == outcome(head + b'"text"' + tail)


@pytest.mark.parametrize(
    "chunk",
    [
        1,
        "text",
        [],
        {"choices": 1},
        {"choices": [1]},
        {"choices": [{"delta": 1}]},
        {"choices": [{"index": -1, "delta": {}}]},
        {"choices": [{"index": 10**6, "delta": {}}]},
        say({"content": 1}),
        say({"content": [1]}),
        say({"refusal": 1}),
        say({"tool_calls": 1}),
        say({"tool_calls": [1]}),
        say({"tool_calls": [{"type": 1}]}),
        say({"tool_calls": [{"function": 1}]}),
        say({"tool_calls": [{"function": {"name": 1}}]}),
        say({"tool_calls": [{"function": {"arguments": 1}}]}),
        say({"tool_calls": [{"id": 1}]}),
        say({"tool_calls": [{"index": "0"}]}),
        say({"tool_calls": [{"index": 10**6}]}),
        say({"tool_calls": [{"id": str(number), "function": {}} for number in range(2000)]}),
    ],
)
def test_nonsense_is_a_protocol_error(chunk: object) -> None:
    """What is no answer at all is said to be none, in a stream and at once."""
    with pytest.raises(ProviderProtocolError):
        stream(chunk, END, DONE)
    with pytest.raises(ProviderProtocolError):
        decoder_of().whole(orjson.dumps(chunk))


def test_deeply_nested_json_is_refused() -> None:
    """A hostile depth is a protocol error, not a crash."""
    with pytest.raises(ProviderProtocolError):
        stream(b'{"choices":' + b"[" * 100_000)
