"""The wire, on the way in: answers, streams and errors as the vendor gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import (
    ContentRefused,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.fold import Fold
from fengchao_core.kit.sse import SseParser
from fengchao_core.testing import strategies
from fengchao_core.types import Choice, Delta, ToolCall, Usage
from fengchao_sensetime import catalogue, embeddings, sessions
from fengchao_sensetime.codes import ERRORS, classify
from fengchao_sensetime.decode import NativeDecoder
from fengchao_sensetime.sandbox.codes import CODES

_FILE = json.loads((Path(__file__).parent / "vectors" / "sensetime.json").read_text("utf-8"))
RESPONSES = {vector["name"]: vector for vector in _FILE["responses"]}
USAGE = Usage(prompt_tokens=9, completion_tokens=4)

WHOLE = {"chat_text", "chat_tool_call", "chat_length", "chat_sensitive_finish"}
STREAMS = {"stream_text", "stream_tool_call"}
OTHERS = {"stream_error_event", "stream_done_with_space_breaks_this_sdk", "embeddings"}
FAILURES = {
    "error_400_3": RequestRejected,
    "error_401_16": ProviderAuthFailed,
    "error_403_7": ProviderAuthFailed,
    "error_404_5": RequestRejected,
    "error_429_8": RateLimited,
    "error_500_13": ProviderUnavailable,
    "error_503_14": ProviderOverloaded,
}


def recorded(name: str) -> bytes:
    """The recorded body of this name."""
    body: str = RESPONSES[name]["http"]["body"]
    return body.encode()


def whole(body: object) -> tuple[Fold, list[Delta]]:
    """An answer in one piece, folded, and its deltas."""
    decoder = NativeDecoder(classify=classify)
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    deltas = decoder.whole(data)
    fold = Fold()
    fold.feed(deltas)
    return fold, deltas


def only(fold: Fold) -> Choice:
    """The only choice."""
    (choice,) = fold.choices()
    return choice


def streamed(
    body: bytes, *, pieces: list[bytes] | None = None
) -> tuple[list[Delta], ProviderError | None]:
    """The deltas of a stream, and the error that ended it."""
    parser, decoder = SseParser(), NativeDecoder(classify=classify)
    deltas: list[Delta] = []
    for read in pieces or [body]:
        deltas += decoder.decode(parser.feed(read))
        if decoder.failure is not None:
            return deltas, decoder.failure
    if not decoder.is_done:
        deltas += decoder.close(parser.close())
    return deltas, decoder.failure


def events(*chunks: dict[str, Any]) -> bytes:
    """A stream of these data, without an end of its own."""
    return b"".join(b"data:" + orjson.dumps({"data": chunk}) + b"\n\n" for chunk in chunks)


def choice(**said: Any) -> dict[str, Any]:
    """Data with one choice."""
    return {"choices": [{"index": 0, **said}]}


# Recorded answers.


def test_every_answer_vector_is_covered() -> None:
    """No recorded answer is left out."""
    assert set(RESPONSES) == WHOLE | STREAMS | OTHERS | set(FAILURES)


def test_a_text_is_read() -> None:
    """A whole answer's text, end and usage are the vendor's."""
    fold, deltas = whole(recorded("chat_text"))
    assert ("你好！", "stop") == (only(fold).message.text, only(fold).finish_reason)
    assert USAGE == deltas[-1].usage


def test_calls_and_cut_answers_are_read() -> None:
    """Calls beside the message, an answer cut by its length and one cut by the safety filter are understood."""
    called, _ = whole(recorded("chat_tool_call"))
    call = ToolCall("c1", "get_weather", '{"city":"北京"}')
    assert ((call,), "tool_calls") == (only(called).message.tool_calls, only(called).finish_reason)
    assert "length" == only(whole(recorded("chat_length"))[0]).finish_reason
    assert "content_filter" == only(whole(recorded("chat_sensitive_finish"))[0]).finish_reason


def test_streams_are_read() -> None:
    """The recorded streams give the text piece by piece, calls in fragments, and the usage at the end."""
    deltas, failure = streamed(recorded("stream_text"))
    assert (["你", "好"], None) == ([d.text for d in deltas if d.text], failure)
    assert (USAGE, "stop") == (deltas[-1].usage, deltas[-1].finish_reason)
    deltas, _ = streamed(recorded("stream_tool_call"))
    fold = Fold()
    fold.feed(deltas)
    assert (ToolCall("c1", "get_weather", '{"city":"上海"}'),) == only(fold).message.tool_calls
    assert ("tool_calls", USAGE) == (only(fold).finish_reason, deltas[-1].usage)


def test_both_forms_of_the_data_lines_are_read() -> None:
    """A stream with a space after each colon says the same as one without; so does `[DONE]`, and its absence."""
    without = recorded("stream_text")
    spaced = without.replace(b"data:", b"data: ")
    endless = without.replace(b"data:[DONE]\n\n", b"")
    expected = streamed(without)
    assert expected == streamed(spaced)
    assert expected == streamed(endless)
    assert expected == streamed(b": keep-alive\r\n\r\n" + without.replace(b"\n", b"\r\n"))
    deltas, failure = streamed(recorded("stream_done_with_space_breaks_this_sdk"))
    assert ("好", "stop", None) == (deltas[0].text, deltas[-1].finish_reason, failure)


def test_an_error_in_a_stream_is_raised_after_its_text() -> None:
    """What came before an error event is passed on, then the error is raised, by the vendor's code."""
    deltas, failure = streamed(recorded("stream_error_event"))
    assert ["你"] == [delta.text for delta in deltas]
    assert isinstance(failure, ContentRefused)
    assert ("18", "blocked") == (failure.vendor_code, failure.vendor_message)


@pytest.mark.parametrize("name", FAILURES)
def test_recorded_errors_have_their_class(name: str) -> None:
    """Each recorded error becomes its class, with the vendor's code."""
    error = classify(RESPONSES[name]["http"]["status"], {}, recorded(name))
    assert FAILURES[name] is type(error)
    assert name.rpartition("_")[2] == error.vendor_code


# What the vendor leaves open.


def test_knowledge_belongs_to_the_prompt() -> None:
    """Tokens of knowledge count as input, as the vendor's total has them; what it found travels beside the answer."""
    found = [{"know_id": "s1", "results": [{"score": 0.9, "result": "r", "extra_info": ""}]}]
    search = {"web_search": {"online_search_count": 1, "results": [{"index": 1}]}}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "knowledge_tokens": 7, "total_tokens": 20}
    data = choice(message="好", finish_reason="stop")
    body = {**data, "usage": usage, "knowledge_base_results": found, "plugins": search}
    fold, deltas = whole({"data": body})
    assert Usage(16, 4) == deltas[-1].usage
    assert {"knowledge_base_results": found, "plugins": search} == fold.extra
    del usage["completion_tokens"]
    assert Usage(16, 4) == whole({"data": body})[1][-1].usage


def test_repeated_findings_are_told_once() -> None:
    """Findings that each chunk repeats, or makes longer, are not doubled in the whole."""
    first, second = {"know_id": "a"}, {"know_id": "b"}
    deltas, _ = streamed(
        events(
            {**choice(delta="好"), "knowledge_base_results": [first]},
            {**choice(delta="吗"), "knowledge_base_results": [first]},
            {
                **choice(delta="", finish_reason="stop"),
                "knowledge_base_results": [first, second],
            },
        )
    )
    fold = Fold()
    fold.feed(deltas)
    assert [first, second] == fold.extra["knowledge_base_results"]
    assert "好吗" == only(fold).message.text


def test_thinking_is_read() -> None:
    """Thinking stands beside the text of its choice, whole and streamed."""
    body = choice(message="42", reasoning_content="想", finish_reason="stop")
    assert ("想", "42") == (
        only(whole({"data": body})[0]).message.reasoning,
        only(whole({"data": body})[0]).message.text,
    )
    deltas, _ = streamed(
        events(
            choice(delta="", reasoning_content="想"),
            choice(delta="42"),
            choice(delta="", finish_reason="stop"),
        )
    )
    assert (["想"], ["42"]) == (
        [d.reasoning for d in deltas if d.reasoning],
        [d.text for d in deltas if d.text],
    )


@pytest.mark.parametrize(
    "data",
    [
        {"message": "好", "finish_reason": "stop"},
        {"reply": "好", "choices": [{"message": "好", "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "text": "好", "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": None, "message": "好", "finish_reason": "stop"}]},
        {"reply": "好"},
    ],
)
def test_each_form_of_a_text_is_read(data: dict[str, Any]) -> None:
    """Conversations, characters and completions have their text elsewhere, and it is found once."""
    fold, _ = whole({"data": data})
    assert ("好", "stop") == (only(fold).message.text, only(fold).finish_reason)


def test_conversations_are_streamed_without_choices() -> None:
    """A turn of a session has its pieces under `data` itself."""
    deltas, failure = streamed(
        events({"delta": "你"}, {"delta": "好", "finish_reason": ""}, {"finish_reason": "stop"})
    )
    assert (["你", "好"], None) == ([d.text for d in deltas if d.text], failure)
    assert "stop" == deltas[-1].finish_reason


def test_empty_chunks_are_skipped() -> None:
    """A chunk without choices, and one without a text, say nothing."""
    deltas, _ = streamed(
        events(
            {"choices": []},
            choice(delta=None),
            {"choices": None, "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
            choice(delta="好", finish_reason="stop"),
        )
    )
    assert ["好", ""] == [delta.text for delta in deltas]
    assert Usage(1, 2) == deltas[-1].usage


def test_calls_are_joined_by_their_id() -> None:
    """A new id begins a call, the same id or none goes on with it."""

    def fragment(arguments: str, **more: Any) -> dict[str, Any]:
        return {"type": "function", "function": {"arguments": arguments, **more}}

    deltas, _ = streamed(
        events(
            choice(delta="", tool_calls=[{"id": "a", **fragment('{"x"', name="f")}]),
            choice(delta="", tool_calls=[{"id": "a", **fragment(":1}")}]),
            choice(delta="", tool_calls=[{"id": "b", **fragment("{", name="g")}]),
            choice(delta="", tool_calls=[fragment("}")]),
            choice(delta="", finish_reason="tool_calls"),
        )
    )
    fold = Fold()
    fold.feed(deltas)
    assert (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")) == only(
        fold
    ).message.tool_calls


def test_choices_take_turns() -> None:
    """Several choices that interleave are kept apart, and each ends."""
    deltas, _ = streamed(
        events(
            {"choices": [{"index": 1, "delta": "二"}]},
            {"choices": [{"index": 0, "delta": "一"}]},
            {"choices": [{"index": 1, "delta": "", "finish_reason": "length"}]},
            {"choices": [{"index": 0, "delta": "", "finish_reason": "stop"}]},
        )
    )
    fold = Fold()
    fold.feed(deltas)
    assert [("一", "stop"), ("二", "length")] == [
        (each.message.text, each.finish_reason) for each in fold.choices()
    ]


@pytest.mark.parametrize(
    ("reason", "finish", "notes"),
    [
        ("context", "length", 0),
        ("sensitive", "content_filter", 0),
        ("stop", "stop", 0),
        ("tired", "stop", 1),
    ],
)
def test_finish_reasons(reason: str, finish: str, notes: int) -> None:
    """Each known finish reason has its meaning; a new word ends the answer, and a note tells it."""
    fold, deltas = whole({"data": choice(message="好", finish_reason=reason)})
    assert finish == only(fold).finish_reason
    told: Any = fold.extra.get("notes", [])
    assert notes == len(told)
    assert all(reason in note for note in told)
    assert deltas


def test_notes_come_first() -> None:
    """What was adapted in the request is told with the first delta, once."""
    decoder = NativeDecoder(classify=classify, notes=["a note"])
    first = decoder.decode(SseParser().feed(events(choice(delta="好"))))
    second = decoder.decode(SseParser().feed(events(choice(delta="吗"))))
    assert {"notes": ["a note"]} == first[0].extra
    assert second[0].extra is None


# Nonsense.

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "index",
                    "delta",
                    "message",
                    "finish_reason",
                    "tool_calls",
                    "function",
                    "usage",
                    "x",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": {"choices": {}}}',
        b'{"data": {"choices": [1]}}',
        b'{"data": {"choices": [{"index": -1, "message": "x"}]}}',
        b'{"data": {"choices": [{"index": "0", "message": "x"}]}}',
        b'{"data": {"choices": [{"message": 1}]}}',
        b'{"data": {"choices": [{"message": "x", "reasoning_content": 1}]}}',
        b'{"data": {"choices": [{"message": "x", "tool_calls": "f"}]}}',
        b'{"data": {"choices": [{"message": "x", "finish_reason": 1}]}}',
    ],
)
def test_nonsense_is_a_protocol_error(body: bytes) -> None:
    """An answer under HTTP 200 that is not the vendor's is its nonsense, never a crash."""
    with pytest.raises(ProviderProtocolError):
        whole(body)


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    """Whatever JSON stands under `data`, it is read or refused with an error of the vendor's side."""
    for body in ({"data": value}, {"data": {"choices": [value]}}, value):
        try:
            whole(body)
        except ProviderError:
            continue


@given(st.data())
def test_any_split_gives_the_same(data: st.DataObject) -> None:
    """However the bytes of a recorded stream are cut, the deltas are the same."""
    name = data.draw(st.sampled_from(sorted(STREAMS)))
    body = recorded(name)
    chunks = data.draw(strategies.chunkings(body))
    assert streamed(body) == streamed(body, pieces=[chunk for chunk in chunks if chunk])


def test_a_stream_that_stops_short_is_no_answer() -> None:
    """A stream that ends before its finish reason is an error."""
    with pytest.raises(ProviderProtocolError):
        streamed(events({"choices": []}))
    with pytest.raises(ProviderProtocolError):
        streamed(b"data: nonsense\n\n")


# Errors.


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_documented_code_has_its_class(code: int) -> None:
    """Each code of the vendor's error page is in the table, as a number and as a text."""
    kind = ERRORS[str(code)]
    for written in (code, str(code)):
        body = orjson.dumps({"error": {"code": written, "message": "消息"}})
        error = classify(CODES[code][0], {}, body)
        assert kind is type(error)
        assert (str(code), "消息") == (error.vendor_code, error.vendor_message)


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (401, b'{"error":{"type":"authentication_error"}}', ProviderAuthFailed, False),
        (404, b'{"error":{"code":"5","type":"not_found_error"}}', RequestRejected, False),
        (429, b"", RateLimited, True),
        (402, b"{}", QuotaExhausted, False),
        (501, b"{}", RequestRejected, False),
        (502, b"<html>", ProviderUnavailable, True),
        (400, b'{"error":{"code":9}}', ProviderUnavailable, True),
        (409, b'{"error":{"code":6}}', RequestRejected, False),
        (409, b'{"error":{"code":10}}', ProviderUnavailable, True),
        (403, b'{"error":{"code":18}}', ContentRefused, False),
        (418, b'{"error":{"code":99}}', RequestRejected, False),
        (200, b'{"status":{"code":14,"message":"m"}}', ProviderOverloaded, True),
        (400, b'{"error":"text"}', RequestRejected, False),
    ],
)
def test_codes_and_statuses_have_their_class(
    status: int, body: bytes, kind: type[ProviderError], retryable: bool
) -> None:
    """The code decides, then the type, then the HTTP status; what is worth another try is told."""
    error = classify(status, {}, body)
    assert kind is type(error)
    assert retryable == error.retryable


def test_a_bad_status_beside_the_data_is_an_error() -> None:
    """A chunk whose status is not well is an error; one that is well is not."""
    bad = {"status": {"code": 8, "message": "slow down"}, "data": choice(delta="x")}
    _, failure = streamed(events(choice(delta="好")) + b"data:" + orjson.dumps(bad) + b"\n\n")
    assert isinstance(failure, RateLimited)
    assert "slow down" == failure.vendor_message
    with pytest.raises(RateLimited):
        whole(bad)


# Other answers.


def test_vectors_are_read() -> None:
    """Vectors come in the order of the inputs; one that failed, and nonsense, are errors."""
    result = embeddings.decode(recorded("embeddings"), 1, classify)
    assert ((0.5, -0.25), Usage(4)) == (tuple(result.vectors[0]), result.usage)
    swapped = {
        "embeddings": [
            {"index": 1, "embedding": [1], "status_code": 200},
            {"index": 0, "embedding": [0], "status_code": 0},
        ]
    }
    result = embeddings.decode(orjson.dumps(swapped), 2, classify)
    assert (([0.0], [1.0]), "none") == (result.vectors, result.usage.source)
    failed = {"embeddings": [{"index": 0, "status_code": 3, "status_message": "too long"}]}
    with pytest.raises(RequestRejected) as caught:
        embeddings.decode(orjson.dumps(failed), 1, classify)
    assert ("3", "too long") == (caught.value.vendor_code, caught.value.vendor_message)
    for nonsense in (b"", b"[]", b"{}", b'{"embeddings": 1}', orjson.dumps(swapped)):
        with pytest.raises(ProviderProtocolError):
            embeddings.decode(nonsense, 1, classify)
    with pytest.raises(RateLimited):
        embeddings.decode(b'{"error": {"code": 8}}', 1, classify)


@pytest.mark.parametrize(
    "body",
    [
        b'{"models": [{"id": "a"}, {"id": "b"}]}',
        b'{"data": [{"id": "a"}, {"id": "b"}]}',
        b'{"status": "success", "data": {"models": [{"id": "a"}, {"id": "b"}]}}',
    ],
)
def test_each_form_of_a_list_of_models_is_read(body: bytes) -> None:
    """The list of models has several forms, by who tells it; each is read."""
    assert ("a", "b") == catalogue.decode_models(body, classify)


def test_files_sessions_and_knowledge_bases_are_read() -> None:
    """Their ids are found at the top, under their name and under `data`."""
    for body in (b'{"id": "f"}', b'{"file": {"id": "f"}}', b'{"data": {"file": {"id": "f"}}}'):
        assert "f" == catalogue.decode_file(body, classify).id
    (file,) = catalogue.decode_files(b'{"files": [{"id": "f", "status": "VALID"}]}', classify)
    assert "VALID" == file.status
    base = catalogue.decode_knowledge_base(
        b'{"knowledge_base": {"id": "s", "files": ["f", {"id": "g"}]}}', classify
    )
    assert ("s", ("f", "g")) == (base.id, base.files)
    for body in (b'{"session_id": "5"}', b'{"data": {"session_id": "5"}}'):
        assert "5" == sessions.decode_session(body, classify)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models": [1]}', b'{"models": [{}]}'])
def test_nonsense_lists_are_protocol_errors(body: bytes) -> None:
    """Lists and things without an id are the vendor's nonsense; an error under HTTP 200 is that error."""
    with pytest.raises(ProviderProtocolError):
        catalogue.decode_models(body, classify)
    with pytest.raises(ProviderProtocolError):
        catalogue.decode_file(body, classify)
    with pytest.raises(ProviderProtocolError):
        sessions.decode_session(body, classify)
    with pytest.raises(ProviderAuthFailed):
        catalogue.decode_models(b'{"error": {"code": 7}}', classify)
