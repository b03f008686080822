"""Requests in the chat-completions dialect."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    PARTS,
    Dialect,
    at_most,
    build,
    clamp,
    dump,
    encode,
)
from fengchao_core.testing import strategies
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    VideoPart,
)


def body_of(
    *messages: Message, dialect: Dialect = CHAT_COMPLETIONS, stream: bool = False, **params: Any
) -> dict[str, Any]:
    """The body of a request, as it is read on the other side."""
    request = ChatRequest(model="m", messages=messages, params=ChatParams(**params), stream=stream)
    body: dict[str, Any] = orjson.loads(encode(request, dialect).body)
    return body


def notes_of(dialect: Dialect = CHAT_COMPLETIONS, **params: Any) -> tuple[str, ...]:
    """What was adapted."""
    return encode(ChatRequest(model="m", messages=(), params=ChatParams(**params)), dialect).notes


def wire_of(message: Message, dialect: Dialect = CHAT_COMPLETIONS) -> dict[str, Any]:
    """One message on the wire."""
    wire: dict[str, Any] = body_of(message, dialect=dialect)["messages"][0]
    return wire


def test_the_plainest_request() -> None:
    """Model and messages, and nothing else."""
    assert {"model": "m", "messages": [{"role": "user", "content": "hi"}]} == body_of(
        Message("user", "hi")
    )


def test_parts_of_every_kind() -> None:
    """Text, pictures with and without detail, films, sounds and files."""
    content = (
        TextPart("t"),
        ImagePart("https://x/i.png"),
        ImagePart("data:image/png;base64,AA==", "low"),
        VideoPart("https://x/v.mp4"),
        AudioPart("AA==", "wav"),
        FilePart(file_id="f"),
        FilePart(filename="n.pdf", data="data:application/pdf;base64,AA=="),
    )
    assert [
        {"type": "text", "text": "t"},
        {"type": "image_url", "image_url": {"url": "https://x/i.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "video_url", "video_url": {"url": "https://x/v.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {
            "type": "file",
            "file": {"filename": "n.pdf", "file_data": "data:application/pdf;base64,AA=="},
        },
    ] == wire_of(Message("user", content))["content"]


def test_an_assistant_turn_that_only_calls() -> None:
    """The content stays null beside tool calls; custom calls keep their own shape."""
    message = Message(
        "assistant",
        tool_calls=(ToolCall("a", "f", "{bad json"), ToolCall("b", "g", "input", type="custom")),
    )
    assert {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{bad json"}},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "input"}},
        ],
    } == wire_of(message)


def test_names_answers_refusals_and_extra_fields() -> None:
    """What else a message may carry; its `extra` is passed on and replaces nothing."""
    assert {"role": "tool", "content": "21", "tool_call_id": "a"} == wire_of(
        Message("tool", "21", tool_call_id="a")
    )
    assert {"role": "assistant", "content": None, "refusal": "no"} == wire_of(
        Message("assistant", refusal="no")
    )
    extra = MappingProxyType({"partial": True, "role": "user", "deep": MappingProxyType({"x": 1})})
    assert {
        "role": "assistant",
        "content": "a",
        "name": "n",
        "partial": True,
        "deep": {"x": 1},
    } == wire_of(Message("assistant", "a", name="n", extra=extra))


def test_reasoning_goes_back_under_the_vendors_name() -> None:
    """Left out unless the dialect names a field for it."""
    message = Message("assistant", "a", reasoning="because")
    assert {"role": "assistant", "content": "a"} == wire_of(message)
    assert (
        "because"
        == wire_of(message, replace(CHAT_COMPLETIONS, reasoning_back="reasoning_content"))[
            "reasoning_content"
        ]
    )


def test_tools_and_their_choice() -> None:
    """Functions with all they may have; other kinds of tools are passed on as they are."""
    search = Tool("web_search", body={"web_search": {"enable": True}})
    function = Tool(name="f", description="d", parameters={"type": "object"}, strict=True)
    body = body_of(
        tools=(function, Tool(name="g"), search),
        tool_choice={"type": "function", "function": {"name": "f"}},
    )
    assert [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "g"}},
        {"type": "web_search", "web_search": {"enable": True}},
    ] == body["tools"]
    assert {"type": "function", "function": {"name": "f"}} == body["tool_choice"]


def test_response_formats() -> None:
    """Text, any object, or a schema, which gets a name if it has none."""
    assert {"type": "json_object"} == body_of(response_format=ResponseFormat("json_object"))[
        "response_format"
    ]
    schema = ResponseFormat("json_schema", schema={"type": "object"})
    assert {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    } == body_of(response_format=schema)["response_format"]


def test_streams_ask_for_their_usage() -> None:
    """By `stream_options`, kept together with what the caller put there; never without a stream."""
    options = {"include_usage": False, "include_obfuscation": False}
    assert {"include_usage": True} == body_of(stream=True)["stream_options"]
    assert {"include_usage": True, "include_obfuscation": False} == body_of(
        stream=True, extra={"stream_options": options}
    )["stream_options"]
    assert "stream_options" not in body_of(extra={"stream_options": options})
    silent = replace(CHAT_COMPLETIONS, include_usage=False)
    assert "stream_options" not in body_of(stream=True, dialect=silent)


def test_extra_is_passed_on_and_never_replaces_ours() -> None:
    """Vendor-only parameters stand at the top level; model, messages and stream stay ours, and a note tells."""
    extra = {
        "thinking": {"type": "enabled"},
        "model": "other",
        "messages": [],
        "stream": True,
        "temperature": 2,
    }
    body = body_of(Message("user", "hi"), temperature=0.5, extra=extra)
    assert {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 2,
        "thinking": {"type": "enabled"},
    } == body
    assert 3 == len(notes_of(extra=extra))


def test_knobs_that_a_vendor_lacks_are_dropped_with_a_note() -> None:
    """A sampling knob is no reason to refuse."""
    assert "top_k" not in body_of(top_k=5)
    assert ("top_k was left out: this provider has no such parameter",) == notes_of(top_k=5)


@pytest.mark.parametrize(
    "params",
    [
        {"tools": (Tool(name="f"),)},
        {"tool_choice": "required"},
        {"n": 2},
        {"logprobs": True},
        {"response_format": ResponseFormat("json_object")},
    ],
)
def test_features_that_a_vendor_lacks_are_refused(params: dict[str, Any]) -> None:
    """Dropping them would give another answer than was asked for; the error names the parameter."""
    bare = replace(CHAT_COMPLETIONS, knobs={})
    with pytest.raises(InvalidParameter) as caught:
        body_of(dialect=bare, **params)
    assert next(iter(params)) == caught.value.param


@pytest.mark.parametrize(
    "params",
    [
        {"tool_choice": "auto"},
        {"n": 1},
        {"logprobs": False},
        {"response_format": ResponseFormat()},
        {"do_sample": True},
        {"repetition_penalty": 1.0},
    ],
)
def test_values_that_mean_nothing_are_dropped_silently(params: dict[str, Any]) -> None:
    """A vendor that lacks a knob does by itself what such a value asks for."""
    bare = replace(CHAT_COMPLETIONS, knobs={})
    assert {"model", "messages"} == set(body_of(dialect=bare, **params))
    assert () == notes_of(bare, **params)


def test_greedy_decoding_where_there_is_no_such_knob() -> None:
    """`do_sample` false becomes temperature 0, and a note tells; false flags are sent where there is one."""
    assert 0 == body_of(do_sample=False, temperature=0.9)["temperature"]
    assert 1 == len(notes_of(do_sample=False))
    own = replace(CHAT_COMPLETIONS, knobs={**CHAT_COMPLETIONS.knobs, "do_sample": "do_sample"})
    assert body_of(dialect=own, do_sample=False)["do_sample"] is False


def test_values_are_adapted_by_table() -> None:
    """A clamp and a limit on lists, with notes only where something changed; names are mapped."""
    dialect = replace(
        CHAT_COMPLETIONS,
        knobs={"temperature": "temp", "stop": "stop"},
        adapt={"temperature": clamp(0.1, 1), "stop": at_most(1)},
    )
    assert 1 == body_of(dialect=dialect, temperature=1.5)["temp"]
    assert 0.1 == body_of(dialect=dialect, temperature=0)["temp"]
    assert ["a"] == body_of(dialect=dialect, stop=("a", "b"))["stop"]
    assert ("temperature 1.5 is outside 0.1 to 1 and was sent as 1",) == notes_of(
        dialect, temperature=1.5
    )
    assert () == notes_of(dialect, temperature=0.5, stop=("a",))
    assert 1 == len(notes_of(dialect, stop=("a", "b")))


def test_roles_parts_and_formats_that_a_vendor_lacks_are_refused() -> None:
    """By the tables of the dialect; mapped roles are sent under their other name."""
    dialect = replace(
        CHAT_COMPLETIONS,
        roles={"developer": "system", "user": "user"},
        parts={TextPart: PARTS[TextPart]},
        response_formats=frozenset({"text"}),
    )
    assert "system" == wire_of(Message("developer", "d"), dialect)["role"]
    with pytest.raises(InvalidParameter, match="'tool'"):
        wire_of(Message("tool", "x", tool_call_id="a"), dialect)
    with pytest.raises(InvalidParameter, match="no image"):
        wire_of(Message("user", (ImagePart("https://x"),)), dialect)
    with pytest.raises(InvalidParameter, match="json_schema"):
        body_of(dialect=dialect, response_format=ResponseFormat("json_schema", schema={}))


def test_the_last_word_is_the_vendors() -> None:
    """`amend` sees the whole body and the request, and may add notes."""

    def amend(body: dict[str, Any], request: ChatRequest, notes: list[str]) -> None:
        body["request_id"] = request.request_id
        notes.append("amended")

    encoded = encode(
        ChatRequest(model="m", messages=(), request_id="r"), replace(CHAT_COMPLETIONS, amend=amend)
    )
    assert "r" == orjson.loads(encoded.body)["request_id"]
    assert ("amended",) == encoded.notes


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), {1: 2}, {"x": {1, 2}}])
def test_what_json_cannot_carry_is_the_callers_mistake(value: object) -> None:
    """Half characters, huge integers, keys that are no text and objects are refused without a traceback."""
    with pytest.raises(InvalidParameter, match="JSON cannot carry"):
        dump({"x": value})


@given(strategies.conversations())
def test_any_conversation_can_be_written(messages: tuple[Message, ...]) -> None:
    """Whatever messages there are, the body is JSON, and texts are in it untouched."""
    request = ChatRequest(model="m", messages=messages)
    body, notes = build(request)
    assert [] == notes
    assert [message.role for message in messages] == [
        wire["role"] for wire in orjson.loads(dump(body))["messages"]
    ]
    for message, wire in zip(messages, orjson.loads(dump(body))["messages"], strict=True):
        if isinstance(message.content, str):
            assert message.content == wire["content"]
