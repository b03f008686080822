"""What comes back: odd but possible answers, blocks of the vendor's own tools, and nonsense."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fengchao_anthropic import wire
from fengchao_anthropic.decode import FINISH, Decoder
from fengchao_core.errors import (
    ProviderError,
    ProviderOverloaded,
    ProviderProtocolError,
    RateLimited,
)
from fengchao_core.fold import Fold
from fengchao_core.types import Choice, Delta, ToolCall, Usage

STOP: dict[str, Any] = {"type": "message_stop"}


def start(index: int, **block: Any) -> dict[str, Any]:
    """The start of a content block."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def change(index: int, **delta: Any) -> dict[str, Any]:
    """A piece of a content block."""
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(index: int) -> dict[str, Any]:
    """The end of a content block."""
    return {"type": "content_block_stop", "index": index}


def stopping(reason: str | None, **more: Any) -> dict[str, Any]:
    """The event that says why the answer ended."""
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": {}}


def decode(*events: Any, **how: Any) -> list[Delta]:
    """The deltas of a stream."""
    decoder = Decoder(classify=wire.classify, **how)
    deltas = decoder.decode(
        event if isinstance(event, bytes) else orjson.dumps(event) for event in events
    )
    if decoder.failure is not None:
        raise decoder.failure
    return deltas + decoder.close()


def whole(content: list[Any], reason: str = "end_turn", **more: Any) -> list[Delta]:
    """The deltas of an answer in one piece."""
    how = {"answers_by_tool": more.pop("answers_by_tool", False)}
    body = {"type": "message", "content": content, "stop_reason": reason, **more}
    return Decoder(classify=wire.classify, **how).whole(orjson.dumps(body))


def folded(deltas: list[Delta]) -> tuple[Choice, Any]:
    """The one choice, and the facts beside it."""
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    return choice, fold.extra


@pytest.mark.parametrize(("reason", "finish"), sorted(FINISH.items()))
def test_the_table_of_stop_reasons(reason: str, finish: str) -> None:
    """Each stop reason becomes its finish reason, whole and streamed."""
    text = {"type": "text", "text": "x"}
    assert finish == folded(whole([text], reason))[0].finish_reason
    events = (start(0, **text), end(0), stopping(reason), STOP)
    assert finish == folded(decode(*events))[0].finish_reason


def test_a_refusal_tells_why() -> None:
    """What the vendor's safety says travels beside the finish reason."""
    details = {"type": "refusal", "category": "bio", "explanation": None}
    choice, extra = folded(decode(stopping("refusal", stop_details=details), STOP))
    assert ("content_filter", "") == (choice.finish_reason, choice.message.text)
    assert {"stop_reason": "refusal", "stop_details": details} == extra


def test_calls_come_in_every_shape() -> None:
    """A call without pieces has no arguments, one may bring them at its start, and pieces join."""
    choice, _ = folded(
        decode(
            start(0, type="text", text="I "),
            change(0, type="text_delta", text="call"),
            end(0),
            start(1, type="tool_use", id="a", name="f", input={}),
            end(1),
            start(2, type="tool_use", id="b", name="g", input={"x": 1}),
            end(2),
            start(3, type="tool_use", id="c", name="h", input={}),
            change(3, type="input_json_delta", partial_json=""),
            change(3, type="input_json_delta", partial_json='{"y"'),
            change(3, type="input_json_delta", partial_json=": 2}"),
            end(3),
            stopping("tool_use"),
            STOP,
        )
    )
    assert "I call" == choice.message.text
    assert (
        ToolCall("a", "f", "{}"),
        ToolCall("b", "g", '{"x":1}'),
        ToolCall("c", "h", '{"y": 2}'),
    ) == choice.message.tool_calls


def test_an_answer_by_tool_is_text() -> None:
    """Where JSON was asked for as arguments, the arguments are the text, and nobody sees a call."""
    streamed = decode(
        start(0, type="tool_use", id="a", name="answer_in_json", input={}),
        change(0, type="input_json_delta", partial_json='{"a":1}'),
        end(0),
        stopping("tool_use"),
        STOP,
        answers_by_tool=True,
    )
    block = {"type": "tool_use", "id": "a", "name": "answer_in_json", "input": {"a": 1}}
    for deltas in (streamed, whole([block], "tool_use", answers_by_tool=True)):
        choice, _ = folded(deltas)
        assert ('{"a":1}', "stop", ()) == (
            choice.message.text,
            choice.finish_reason,
            choice.message.tool_calls,
        )


def test_thinking_keeps_its_signatures() -> None:
    """Each block of thinking leaves its length and its signature; a hidden one stays whole; unsigned ones leave nothing."""
    choice, extra = folded(
        decode(
            start(0, type="thinking", thinking="", signature=""),
            change(0, type="thinking_delta", thinking="ab"),
            change(0, type="thinking_delta", thinking="c"),
            change(0, type="signature_delta", signature="one"),
            end(0),
            start(1, type="redacted_thinking", data="hidden"),
            end(1),
            start(2, type="thinking", thinking="de", signature=""),
            end(2),
            start(3, type="thinking", thinking="", signature="two"),
            end(3),
            start(4, type="text", text="x"),
            end(4),
            stopping("end_turn"),
            STOP,
        )
    )
    assert "abcde" == choice.message.reasoning
    assert [
        {"type": "thinking", "chars": 3, "signature": "one"},
        {"type": "redacted_thinking", "data": "hidden"},
        {"type": "thinking", "chars": 0, "signature": "two"},
    ] == extra["thinking_blocks"]


def test_the_vendors_own_tools_and_citations_are_passed_on() -> None:
    """Calls of the vendor's own tools, what they found, and citations travel beside the text, whole and streamed."""
    call = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    cited = {"type": "web_search_result_location", "url": "https://example.com"}
    expected = {
        "content_blocks": [call, found],
        "citations": [cited],
        "stop_reason": "pause_turn",
        "container": {"id": "c"},
    }
    streamed = decode(
        start(0, **{**call, "input": {}}),
        change(0, type="input_json_delta", partial_json='{"query": "q"}'),
        end(0),
        start(1, **found),
        end(1),
        start(2, type="text", text=""),
        change(2, type="citations_delta", citation=cited),
        change(2, type="text_delta", text="x"),
        end(2),
        stopping("pause_turn", container={"id": "c"}),
        STOP,
    )
    said = {"type": "text", "text": "x", "citations": [cited]}
    at_once = whole([call, found, said], "pause_turn", container={"id": "c"})
    for deltas in (streamed, at_once):
        choice, extra = folded(deltas)
        assert ("x", expected) == (choice.message.text, extra)


def test_usage_adds_the_cache() -> None:
    """Input from and for the cache belongs to the prompt; counts at the end stand for those of the start."""
    begin = {
        "type": "message_start",
        "message": {
            "usage": {
                "input_tokens": 5,
                "cache_creation_input_tokens": 7,
                "cache_read_input_tokens": 11,
                "output_tokens": 1,
            }
        },
    }
    finish = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {
            "input_tokens": 6,
            "output_tokens": 20,
            "cache_read_input_tokens": None,
            "output_tokens_details": {"thinking_tokens": 8},
        },
    }
    deltas = decode(begin, start(0, type="text", text="x"), end(0), finish, STOP)
    assert Usage(24, 20, 11, 8, cache_write_tokens=7) == deltas[-1].usage
    assert {"cache_creation_input_tokens": 7} == deltas[-1].extra
    assert whole([], usage={"input_tokens": "many"})[-1].usage == Usage(0, 0)
    assert whole([])[-1].usage is None


def test_what_is_new_does_no_harm() -> None:
    """Events, blocks and pieces that nobody knew yet pass; what the vendor means for people is not lost."""
    choice, extra = folded(
        decode(
            {"type": "ping"},
            {"type": "weather_report"},
            start(0, type="hologram", data="?"),
            change(0, type="hologram_delta", data="?"),
            end(0),
            start(1, type="text", text="x"),
            end(1),
            stopping(None),
            stopping("end_turn"),
            STOP,
            b"nothing after the end is read",
        )
    )
    assert "x" == choice.message.text
    assert [{"type": "hologram", "data": "?"}] == extra["content_blocks"]


def test_an_end_without_its_formality_is_an_end() -> None:
    """A stream that said why it ended is whole, even where its very last event is missing."""
    deltas = decode(start(0, type="text", text="x"), end(0), stopping("end_turn"))
    assert "stop" == deltas[-1].finish_reason


@pytest.mark.parametrize(
    "events",
    [
        (b"{",),
        (b"[]",),
        (b"{}",),
        ({"type": 7},),
        (start(0),),
        (start(0, type="tool_use", id="a"),),
        (start(0, type="tool_use", name="f"),),
        ({"type": "content_block_start", "content_block": {"type": "text"}},),
        (change(0, type="thinking_delta", thinking="x"),),
        (start(0, type="text", text=7),),
        ({"type": "content_block_delta", "index": 0, "delta": "x"},),
        (end(3),),
        (STOP,),
        (stopping("whatever"), STOP),
        (start(0, type="text", text="x"), end(0)),
        (),
    ],
)
def test_nonsense_is_a_protocol_error(events: tuple[Any, ...]) -> None:
    """What cannot be an answer is the vendor's nonsense, never a crash and never a whole answer."""
    with pytest.raises(ProviderProtocolError):
        decode(*events)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, ProviderOverloaded),
        ({"type": "error", "error": {"type": "rate_limit_error"}}, RateLimited),
        ({"error": {"message": "no"}}, ProviderError),
        ({"error": "no"}, ProviderError),
        ({"type": "message", "content": "x", "stop_reason": "end_turn"}, ProviderProtocolError),
        ({"type": "message", "content": [], "stop_reason": None}, ProviderProtocolError),
        ({"type": "message", "content": [7], "stop_reason": "end_turn"}, ProviderProtocolError),
    ],
)
def test_errors_under_http_200(body: dict[str, Any], kind: type[ProviderError]) -> None:
    """Errors that come as an answer or as an event become their classes; anything else is nonsense."""
    with pytest.raises(ProviderError) as caught:
        Decoder(classify=wire.classify).whole(orjson.dumps(body))
    assert kind is type(caught.value)
    if "error" in body:
        with pytest.raises(ProviderError) as caught:
            decode(body)
        assert kind is type(caught.value)


def test_what_came_before_an_error_comes_out() -> None:
    """Text that came in one read with an error is passed on first."""
    decoder = Decoder(classify=wire.classify, notes=("a note",))
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    deltas = decoder.decode(
        [orjson.dumps(start(0, type="text", text="so far")), orjson.dumps(error)]
    )
    assert [("so far", {"notes": ["a note"]})] == [(d.text, d.extra) for d in deltas]
    assert isinstance(decoder.failure, ProviderOverloaded)
