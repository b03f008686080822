"""What goes out: each parameter, the conversation in turns, pictures and files, and the generation that takes it."""

from __future__ import annotations

import base64
from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_anthropic import wire
from fengchao_anthropic.knobs import JSON_TEXT, JSON_TOOL, KNOBS
from fengchao_anthropic.sandbox.checks import check_body
from fengchao_anthropic.sandbox.codes import RefusedError
from fengchao_anthropic.turns import OPENING
from fengchao_anthropic.wire import NEWEST, OLDER, Version
from fengchao_core.errors import EmptyQuery, InvalidParameter
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    FilePart,
    ImagePart,
    Message,
    ModelCard,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    VideoPart,
)

OLD_MODEL, MIDDLE_MODEL, NEW_MODEL, ALWAYS = (
    "claude-3-opus-20240229",
    "claude-haiku-4-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
)
HI = (Message("user", "hi"),)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = Tool(name="get_weather", parameters=CITY)
CALL = ToolCall("toolu_1", "get_weather", '{"city": "Paris"}')
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def encode(
    *messages: Message,
    model: str = OLD_MODEL,
    version: Version | None = None,
    stream: bool = False,
    card: ModelCard | None = None,
    **params: Any,
) -> tuple[dict[str, Any], tuple[str, ...], Version]:
    """Body, notes and generation of a request."""
    request = ChatRequest(
        model=model,
        messages=messages or HI,
        params=ChatParams(**params),
        stream=stream,
        card=card,
    )
    encoded = wire.encode(request, version=version)
    return orjson.loads(encoded.body), encoded.notes, encoded.version


NAMED = {"type": "function", "function": {"name": "get_weather"}}
TOOLS = {"tools": (WEATHER,)}
SCHEMA = ResponseFormat("json_schema", schema=CITY)

TABLE: list[tuple[str, str, dict[str, Any], dict[str, Any] | None, str]] = [
    # knob, model, parameters, what the body holds (None: refused), what the notes hold
    ("temperature", OLD_MODEL, {"temperature": 0.3}, {"temperature": 0.3}, ""),
    ("temperature", OLD_MODEL, {"temperature": 0}, {"temperature": 0}, ""),
    ("temperature", OLD_MODEL, {"temperature": 1.7}, {"temperature": 1}, "sent as 1"),
    ("temperature", NEW_MODEL, {"temperature": 0.3}, {"temperature": ...}, "only its default"),
    ("top_p", OLD_MODEL, {"top_p": 0.9}, {"top_p": 0.9}, ""),
    ("top_p", OLD_MODEL, {"top_p": 2}, {"top_p": 1}, "sent as 1"),
    ("top_p", MIDDLE_MODEL, {"top_p": 0.5, "temperature": 0.5}, {"top_p": ...}, "not both"),
    ("top_p", MIDDLE_MODEL, {"top_p": 0.5}, {"top_p": 0.5}, ""),
    ("top_p", NEW_MODEL, {"top_p": 0.5}, {"top_p": ...}, "only its default"),
    ("top_k", OLD_MODEL, {"top_k": 40}, {"top_k": 40}, ""),
    ("top_k", OLD_MODEL, {"top_k": -1}, {"top_k": 0}, "sent as 0"),
    ("top_k", NEW_MODEL, {"top_k": 40}, {"top_k": ...}, "only its default"),
    ("do_sample", OLD_MODEL, {"do_sample": False}, {"temperature": 0}, "temperature 0"),
    ("do_sample", OLD_MODEL, {"do_sample": True}, {"temperature": ...}, ""),
    (
        "do_sample",
        OLD_MODEL,
        {"do_sample": False, "temperature": 0.2},
        {"temperature": 0.2},
        "",
    ),
    ("do_sample", NEW_MODEL, {"do_sample": False}, {"temperature": ...}, "its own sampling"),
    ("max_tokens", OLD_MODEL, {"max_tokens": 7}, {"max_tokens": 7}, ""),
    ("max_tokens", OLD_MODEL, {"max_tokens": 0}, {"max_tokens": 0}, ""),
    ("max_tokens", OLD_MODEL, {}, {"max_tokens": 4096}, ""),
    ("max_tokens", NEW_MODEL, {}, {"max_tokens": 21333}, ""),
    ("stop", OLD_MODEL, {"stop": ("a", "b")}, {"stop_sequences": ["a", "b"]}, ""),
    ("stop", OLD_MODEL, {"stop": ("\n", "b")}, {"stop_sequences": ["b"]}, "white space"),
    ("n", OLD_MODEL, {"n": 1}, {"n": ...}, ""),
    ("n", OLD_MODEL, {"n": 2}, None, ""),
    ("seed", OLD_MODEL, {"seed": 7}, {"seed": ...}, "seed was left out"),
    ("presence_penalty", OLD_MODEL, {"presence_penalty": 1}, {}, "presence_penalty was left out"),
    ("presence_penalty", OLD_MODEL, {"presence_penalty": 0}, {}, ""),
    ("frequency_penalty", OLD_MODEL, {"frequency_penalty": 1}, {}, "frequency_penalty was"),
    ("repetition_penalty", OLD_MODEL, {"repetition_penalty": 1.2}, {}, "repetition_penalty was"),
    ("repetition_penalty", OLD_MODEL, {"repetition_penalty": 1.0}, {}, ""),
    ("logit_bias", OLD_MODEL, {"logit_bias": {"1": 2}}, {}, "logit_bias was left out"),
    ("logprobs", OLD_MODEL, {"logprobs": True}, None, ""),
    ("logprobs", OLD_MODEL, {"logprobs": False}, {"logprobs": ...}, ""),
    ("top_logprobs", OLD_MODEL, {"top_logprobs": 2}, None, ""),
    (
        "tools",
        OLD_MODEL,
        TOOLS,
        {"tools": [{"name": "get_weather", "input_schema": CITY}]},
        "",
    ),
    (
        "tools",
        OLD_MODEL,
        {"tools": (Tool(name="f", description="d", strict=True),)},
        {
            "tools": [
                {
                    "name": "f",
                    "description": "d",
                    "strict": True,
                    "input_schema": {"type": "object", "properties": {}},
                }
            ]
        },
        "",
    ),
    (
        "tools",
        OLD_MODEL,
        {"tools": (Tool("web_search_20250305", body={"name": "web_search", "max_uses": 2}),)},
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]},
        "",
    ),
    ("tool_choice", OLD_MODEL, {**TOOLS, "tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}, ""),
    ("tool_choice", OLD_MODEL, {**TOOLS, "tool_choice": "none"}, {"tool_choice": {"type": "none"}}, ""),
    (
        "tool_choice",
        OLD_MODEL,
        {**TOOLS, "tool_choice": "required"},
        {"tool_choice": {"type": "any"}},
        "",
    ),
    (
        "tool_choice",
        OLD_MODEL,
        {**TOOLS, "tool_choice": NAMED},
        {"tool_choice": {"type": "tool", "name": "get_weather"}},
        "",
    ),
    (
        "tool_choice",
        OLD_MODEL,
        {**TOOLS, "tool_choice": {"type": "tool", "name": "get_weather"}},
        {"tool_choice": {"type": "tool", "name": "get_weather"}},
        "",
    ),
    ("tool_choice", OLD_MODEL, {"tool_choice": "auto"}, {"tool_choice": ...}, ""),
    ("tool_choice", OLD_MODEL, {"tool_choice": "required"}, None, ""),
    ("tool_choice", OLD_MODEL, {**TOOLS, "tool_choice": "whatever"}, None, ""),
    ("tool_choice", OLD_MODEL, {**TOOLS, "tool_choice": {"type": "allowed_tools"}}, None, ""),
    (
        "parallel_tool_calls",
        OLD_MODEL,
        {**TOOLS, "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        "",
    ),
    (
        "parallel_tool_calls",
        OLD_MODEL,
        {**TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        "",
    ),
    (
        "parallel_tool_calls",
        OLD_MODEL,
        {**TOOLS, "tool_choice": "none", "parallel_tool_calls": False},
        {"tool_choice": {"type": "none"}},
        "",
    ),
    ("parallel_tool_calls", OLD_MODEL, {**TOOLS, "parallel_tool_calls": True}, {"tool_choice": ...}, ""),
    ("parallel_tool_calls", OLD_MODEL, {"parallel_tool_calls": False}, {"tool_choice": ...}, ""),
    ("response_format", OLD_MODEL, {"response_format": ResponseFormat()}, {"tools": ...}, ""),
    (
        "response_format",
        NEW_MODEL,
        {"response_format": SCHEMA},
        {"output_config": {"format": {"type": "json_schema", "schema": CITY}}},
        "",
    ),
    (
        "response_format",
        NEW_MODEL,
        {"response_format": ResponseFormat("json_object")},
        {"system": JSON_TEXT},
        "system text",
    ),
    (
        "response_format",
        OLD_MODEL,
        {"response_format": SCHEMA},
        {"tool_choice": {"type": "tool", "name": JSON_TOOL}},
        "arguments of a function",
    ),
    (
        "response_format",
        OLD_MODEL,
        {"response_format": ResponseFormat("json_object")},
        {"tool_choice": {"type": "tool", "name": JSON_TOOL}},
        "arguments of a function",
    ),
    ("response_format", OLD_MODEL, {"response_format": SCHEMA, **TOOLS}, None, ""),
    ("response_format", NEW_MODEL, {"response_format": ResponseFormat("json_schema")}, None, ""),
    (
        "response_format",
        OLD_MODEL,
        {"response_format": ResponseFormat("json_schema", schema={"type": "array"})},
        None,
        "",
    ),
    ("reasoning_effort", OLD_MODEL, {"reasoning_effort": "low"}, {"thinking": ...}, "does not think"),
    ("reasoning_effort", OLD_MODEL, {"reasoning_effort": "none"}, {"thinking": ...}, ""),
    (
        "reasoning_effort",
        MIDDLE_MODEL,
        {"reasoning_effort": "high", "max_tokens": 40000},
        {"thinking": {"type": "enabled", "budget_tokens": 16384}},
        "budget of 16384",
    ),
    (
        "reasoning_effort",
        MIDDLE_MODEL,
        {"reasoning_effort": "high", "max_tokens": 1500},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "budget of 1024",
    ),
    (
        "reasoning_effort",
        MIDDLE_MODEL,
        {"reasoning_effort": "high", "max_tokens": 1024},
        {"thinking": ...},
        "more than 1024",
    ),
    ("reasoning_effort", MIDDLE_MODEL, {"reasoning_effort": "none"}, {"thinking": ...}, ""),
    (
        "reasoning_effort",
        NEW_MODEL,
        {"reasoning_effort": "xhigh"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        "",
    ),
    (
        "reasoning_effort",
        NEW_MODEL,
        {"reasoning_effort": "none"},
        {"thinking": {"type": "disabled"}, "output_config": ...},
        "",
    ),
    (
        "reasoning_effort",
        NEW_MODEL,
        {"reasoning_effort": "minimal"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        "sent as 'low'",
    ),
    (
        "reasoning_effort",
        ALWAYS,
        {"reasoning_effort": "none"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        "sent as 'low'",
    ),
    ("reasoning_effort", NEW_MODEL, {"reasoning_effort": "a lot"}, None, ""),
    ("user", OLD_MODEL, {"user": "u-1"}, {"metadata": {"user_id": "u-1"}}, ""),
    (
        "extra",
        OLD_MODEL,
        {"extra": {"service_tier": "auto", "model": "other", "stream": True}},
        {"service_tier": "auto", "model": OLD_MODEL, "stream": ...},
        "'model' was left out",
    ),
    (
        "extra",
        NEW_MODEL,
        {"extra": {"output_config": {"effort": "max"}}, "response_format": SCHEMA},
        {
            "output_config": {
                "effort": "max",
                "format": {"type": "json_schema", "schema": CITY},
            }
        },
        "",
    ),
    ("extra", OLD_MODEL, {"extra": {"system": "s"}}, {"system": "s"}, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("knob", "model", "params", "expected", "note"),
    TABLE,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(TABLE)],
)
def test_the_table_of_parameters(
    knob: str, model: str, params: dict[str, Any], expected: dict[str, Any] | None, note: str
) -> None:
    """Each parameter reaches the wire, is adapted with a note, or is refused; and the vendor takes what is sent."""
    if expected is None:
        with pytest.raises(InvalidParameter) as caught:
            encode(model=model, **params)
        assert knob == caught.value.param
        return
    body, notes, version = encode(model=model, **params)
    for name, value in expected.items():
        if value is ...:
            assert name not in body
        else:
            assert value == body[name]
    assert bool(note) == bool(notes)
    assert note in "; ".join(notes)
    check_body(body, version)


def test_the_table_holds_every_parameter() -> None:
    """No parameter of ours is forgotten, neither by the plugin nor by its table."""
    ours = {field.name for field in fields(ChatParams)}
    assert ours - {"extra"} == set(KNOBS)
    assert ours == {row[0] for row in TABLE}


def test_the_generation_follows_what_is_asked() -> None:
    """The newest generation is spoken, but for what only the older one takes; a fixed one is kept to."""
    document = FilePart(data="data:text/plain;base64,aGk=")
    cited = {"content_blocks": [{"type": "text", "text": "x", "citations": [{}]}]}
    assert NEWEST == encode()[2]
    assert OLDER == encode(temperature=0.1)[2]
    assert NEWEST == encode(temperature=0.1, model=NEW_MODEL)[2]
    assert OLDER == encode(*HI, Message("assistant", (document,)), *HI)[2]
    assert NEWEST == encode(Message("user", (document,)))[2]
    assert OLDER == encode(Message("user", "x", extra=cited))[2]
    assert OLDER == encode(version=OLDER)[2]
    body, notes, version = encode(version=NEWEST, temperature=0.1, do_sample=False)
    assert ("temperature" in body, NEWEST) == (False, version)
    assert "2023-06-01 does" in notes[0]


def test_thinking_and_sampling_do_not_mix() -> None:
    """A model that is told to think gets no temperature, and is not made to think where it must call."""
    body, notes, _ = encode(model=MIDDLE_MODEL, temperature=0.5, top_k=3, reasoning_effort="low")
    assert {"temperature", "top_k"}.isdisjoint(body)
    assert "temperature was left out: this provider takes none while it thinks" in notes
    body, notes, _ = encode(
        model="claude-3-7-sonnet-20250219", response_format=SCHEMA, reasoning_effort="low"
    )
    assert "thinking" not in body
    assert any("made to answer in JSON" in note for note in notes)


@pytest.mark.parametrize(
    ("expected", "stream", "card"),
    [
        (4096, True, None),
        (50, False, ModelCard(id="m", owned_by="x", max_output_tokens=50)),
        (64000, True, ModelCard(id="m", owned_by="x", max_output_tokens=64000)),
        (21333, False, ModelCard(id="m", owned_by="x", max_output_tokens=64000)),
    ],
)
def test_the_longest_answer_is_the_cards(
    expected: int, stream: bool, card: ModelCard | None
) -> None:
    """Where nobody says how long an answer may be, the card does; a whole answer stays below ten minutes."""
    assert expected == encode(stream=stream, card=card)[0]["max_tokens"]


def test_the_operator_may_set_the_longest_answer() -> None:
    """The setting counts where a call names none, and only there."""
    request = ChatRequest(model=NEW_MODEL, messages=HI)
    body = orjson.loads(wire.encode(request, default_max_tokens=99).body)
    assert 99 == body["max_tokens"]


# The conversation.


def turns(*messages: Message) -> list[dict[str, Any]]:
    """The turns of a conversation, which the vendor takes."""
    body, _, version = encode(*messages)
    check_body(body, version)
    return body["messages"]


def test_neighbours_of_one_role_are_one_turn() -> None:
    """What one side says in several messages becomes one turn, word for word."""
    assert [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": "d"},
    ] == turns(
        Message("user", "a"),
        Message("user", "b"),
        Message("assistant", "c"),
        Message("assistant", ""),
        Message("user", "d"),
        Message("user", (TextPart(" "),)),
    )


def test_an_assistant_that_opens_gets_a_turn_before_it() -> None:
    """A greeting of the assistant stays where it is, behind a turn that stands in for the user."""
    body, notes, _ = encode(Message("assistant", "Welcome!"), Message("user", "hi"))
    assert [OPENING, "Welcome!", "hi"] == [turn["content"] for turn in body["messages"]]
    assert any("put first" in note for note in notes)


def test_system_text_stands_apart() -> None:
    """System and developer texts become the system text; one from mid-conversation is moved there, with a note."""
    body, notes, _ = encode(Message("system", "a"), *HI)
    assert ("a", ()) == (body["system"], notes)
    body, notes, _ = encode(
        Message("system", "a"), Message("developer", ""), *HI, Message("developer", "b"), *HI
    )
    assert ["a", "b"] == [block["text"] for block in body["system"]]
    assert any("moved" in note for note in notes)
    assert 1 == len(body["messages"])
    with pytest.raises(InvalidParameter):
        encode(Message("system", (ImagePart("https://example.com/a.png"),)), *HI)
    with pytest.raises(InvalidParameter):
        encode(Message("system", "a"), *HI, extra={"system": "b"})


@pytest.mark.parametrize("messages", [(Message("system", "a"),), (Message("user", "  "),)])
def test_a_conversation_needs_a_word(messages: tuple[Message, ...]) -> None:
    """Where nothing is asked, nothing is sent."""
    with pytest.raises(EmptyQuery):
        encode(*messages)


def test_results_come_first_and_together() -> None:
    """Results of parallel calls become one turn, before what the user says besides, whatever the order was."""
    other = ToolCall("toolu_2", "get_weather", "")
    picture = ImagePart(f"data:image/png;base64,{PIXEL}")
    result = turns(
        *HI,
        Message("assistant", "Let me see.", tool_calls=(CALL, other)),
        Message("user", "quickly"),
        Message("tool", "21C", tool_call_id="toolu_1"),
        Message("tool", (picture,), tool_call_id="toolu_2", extra={"is_error": True}),
    )
    assert [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}},
    ] == result[1]["content"]
    first, second, text = result[2]["content"]
    assert {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21C"} == first
    assert ("image", True) == (second["content"][0]["type"], second["is_error"])
    assert {"type": "text", "text": "quickly"} == text


CALLED = (*HI, Message("assistant", tool_calls=(CALL,)))
ANSWERED = Message("tool", "21C", tool_call_id="toolu_1")


@pytest.mark.parametrize(
    "messages",
    [
        CALLED,
        (*CALLED, *HI),
        (*CALLED, Message("assistant", "never mind"), ANSWERED),
        (*CALLED, ANSWERED, Message("tool", "x", tool_call_id="toolu_9")),
        (*CALLED, ANSWERED, ANSWERED),
        (*CALLED, Message("tool", "21C")),
        (*HI, ANSWERED),
        (*HI, Message("assistant", tool_calls=(ToolCall("a", "f", "[1]"),)), ANSWERED),
        (*HI, Message("assistant", tool_calls=(ToolCall("a", "f", "{"),)), ANSWERED),
        (*HI, Message("assistant", tool_calls=(ToolCall("a", "f", "{}", "custom"),)), ANSWERED),
        (*HI, Message("assistant", (ImagePart("https://example.com/a.png"),))),
        (Message("user", (AudioPart("aGk=", "wav"),)),),
        (Message("user", (VideoPart("https://example.com/a.mp4"),)),),
        (Message("user", (ImagePart("ftp://example.com/a.png"),)),),
        (Message("user", (ImagePart("data:image/bmp;base64,aGk="),)),),
        (Message("user", (ImagePart("data:image/png;base64,a b"),)),),
        (Message("user", (FilePart(),)),),
        (Message("user", (FilePart(data="data:application/zip;base64,aGk="),)),),
        (Message("user", (FilePart(data="data:text/plain;base64,/w=="),)),),
        (Message("user", "x", extra={"content_blocks": "y"}),),
    ],
)
def test_what_would_lose_something_is_refused(messages: tuple[Message, ...]) -> None:
    """Calls without results, results without calls, and content that the vendor cannot take are refused here."""
    with pytest.raises(InvalidParameter) as caught:
        encode(*messages)
    assert "21C" not in str(caught.value)


def test_pictures_and_files_become_blocks() -> None:
    """A data URL is split into type and data, addresses stay, files become documents with their names as titles."""
    text = base64.b64encode("文本".encode()).decode()
    (turn,) = turns(
        Message(
            "user",
            (
                ImagePart(f"data:image/png;base64,{PIXEL}", "auto"),
                ImagePart("https://example.com/a.png"),
                FilePart(data="data:application/pdf;base64,JVBERi0=", filename="a.pdf"),
                FilePart(data=f"data:text/plain;charset=utf-8;base64,{text}"),
                FilePart(data="data:text/plain,a%20b"),
                FilePart(data="https://example.com/a.pdf"),
                FilePart(file_id="file_1"),
                FilePart(data=f"data:image/png;base64,{PIXEL}"),
            ),
        )
    )
    png = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert [
        {"type": "image", "source": png},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "文本"},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "a b"},
        },
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "image", "source": png},
    ] == turn["content"]
    _, notes, _ = encode(Message("user", (ImagePart("https://example.com/a.png", "low"),)))
    assert any("detail" in note for note in notes)


def test_cache_marks_stand_on_the_last_block() -> None:
    """A message's mark is set on its last block, system text and results included; one for all passes through."""
    mark = {"type": "ephemeral", "ttl": "1h"}
    body, notes, version = encode(
        Message("system", "long", extra={"cache_control": mark}),
        Message("user", (TextPart("a"), TextPart("b")), extra={"cache_control": mark}),
        Message("assistant", "c", tool_calls=(CALL,)),
        Message("tool", "21C", tool_call_id="toolu_1", extra={"cache_control": mark}),
        tools=(Tool(name="get_weather", parameters=CITY, body={"cache_control": mark}),),
        extra={"cache_control": {"type": "ephemeral"}},
    )
    check_body(body, version)
    assert () == notes
    assert [{"type": "text", "text": "long", "cache_control": mark}] == body["system"]
    assert [None, mark] == [b.get("cache_control") for b in body["messages"][0]["content"]]
    assert mark == body["messages"][2]["content"][0]["cache_control"]
    assert mark == body["tools"][0]["cache_control"]
    assert {"type": "ephemeral"} == body["cache_control"]


def test_what_messages_cannot_carry_is_told() -> None:
    """Names and fields of other vendors are left out with a note, once; a refusal stays as text."""
    body, notes, _ = encode(
        Message("user", "a", name="Ann"),
        Message("assistant", None, refusal="No.", extra={"annotations": []}),
        Message("user", "b", name="Bob"),
    )
    assert ["a", "No.", "b"] == [turn["content"] for turn in body["messages"]]
    assert 2 == len(notes)


def test_signed_thinking_goes_back_unchanged() -> None:
    """The reasoning is cut into the blocks that its signatures belong to; without signatures it is left out."""
    blocks = [
        {"type": "thinking", "chars": 3, "signature": "one"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "thinking", "chars": 2, "signature": "two"},
        {"type": "thinking", "thinking": "own", "signature": "three"},
    ]
    said = Message(
        "assistant",
        "text",
        reasoning="abcde",
        tool_calls=(CALL,),
        extra={"thinking_blocks": blocks},
    )
    body, _, _ = encode(*HI, said, ANSWERED, model=MIDDLE_MODEL, reasoning_effort="low")
    assert [
        {"type": "thinking", "thinking": "abc", "signature": "one"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "thinking", "thinking": "de", "signature": "two"},
        {"type": "thinking", "thinking": "own", "signature": "three"},
    ] == body["messages"][1]["content"][:4]
    assert "enabled" == body["thinking"]["type"]
    unsigned = Message("assistant", reasoning="abcde", tool_calls=(CALL,))
    body, notes, _ = encode(*HI, unsigned, ANSWERED, model=MIDDLE_MODEL, reasoning_effort="low")
    assert ["tool_use"] == [block["type"] for block in body["messages"][1]["content"]]
    assert "thinking" not in body
    assert any("did not come back" in note for note in notes)


@pytest.mark.parametrize(
    "blocks",
    [
        "text",
        [{"type": "thinking", "chars": 9, "signature": "s"}],
        [{"type": "thinking", "chars": -1, "signature": "s"}],
        [{"type": "thinking", "chars": 1}],
    ],
)
def test_thinking_that_does_not_fit_is_refused(blocks: object) -> None:
    """Signatures whose reasoning is gone are refused here, since the vendor would refuse them in its own words."""
    with pytest.raises(InvalidParameter):
        encode(*HI, Message("assistant", "x", reasoning="abc", extra={"thinking_blocks": blocks}))


def test_a_count_asks_for_the_same_prompt() -> None:
    """Counting tokens sends what matters to the count and nothing that the vendor refuses there."""
    request = ChatRequest(
        model=OLD_MODEL,
        messages=(Message("system", "s"), *HI),
        params=ChatParams(
            temperature=0.5,
            max_tokens=9,
            stop=("x",),
            user="u",
            tools=(WEATHER,),
            tool_choice="auto",
        ),
        stream=True,
    )
    body, version = wire.encode_count(request)
    sent = orjson.loads(body)
    assert {"model", "messages", "system", "tools", "tool_choice"} == set(sent)
    check_body(sent, version, counts=True)


words = st.text(max_size=4)
people = st.sampled_from(["system", "developer", "user", "assistant"])


@given(st.lists(st.builds(Message, people, words), max_size=8))
def test_any_plain_conversation_becomes_one_the_vendor_takes(messages: list[Message]) -> None:
    """However roles and empty texts follow each other, the turns keep to the vendor's rules and keep every word."""
    try:
        body, _, version = encode(*messages) if messages else (None, (), NEWEST)
    except EmptyQuery:
        assert not any(m.text.strip() for m in messages if m.role in ("user", "assistant"))
        return
    if body is None:
        return
    try:
        check_body(body, version)
    except RefusedError as refused:
        pytest.fail(refused.message)
    said = orjson.dumps(body).decode()
    for message in messages:
        if message.text.strip():
            assert orjson.dumps(message.text).decode()[1:-1] in said
