"""The wire, on the way out: what the vendor's SDK sends for the same call, and which knob becomes what."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import build
from fengchao_core.testing import strategies
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    VideoPart,
)
from fengchao_sensetime import catalogue, characters, completions, embeddings, sessions
from fengchao_sensetime.wire import NATIVE, TOKEN_PLAN, compatible_dialect

_FILE = json.loads((Path(__file__).parent / "vectors" / "sensetime.json").read_text("utf-8"))
REQUESTS = {vector["name"]: vector["expected"] for vector in _FILE["requests"]}

WEATHER = Tool(
    name="get_weather",
    description="查询天气",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
OTHER = Tool(name="get_time")
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def asked(
    text: str | tuple[Any, ...] = "x", model: str = "SenseChat-5", **more: Any
) -> ChatRequest:
    """A request of one user message; parameters by their names."""
    stream, before = more.pop("stream", False), more.pop("before", ())
    return ChatRequest(
        model=model,
        messages=(*before, Message("user", text)),
        stream=stream,
        params=ChatParams(**more),
    )


def sent(request: ChatRequest) -> dict[str, Any]:
    """The body of a native chat."""
    return build(request, NATIVE)[0]


def plain(value: Any) -> Any:
    """A body as JSON, without what says nothing: nulls, and `stream: false`."""
    if isinstance(value, dict):
        return {
            k: plain(v) for k, v in value.items() if v is not None and (k, v) != ("stream", False)
        }
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


# As the SDK.

KNOW_ID = "s76f9273aba56488ba8569a8134574b6b"
CHATS = {
    "chat_minimal": asked("你好"),
    "chat_full": asked(
        "hi",
        "nova-ptc-xl-v1",
        before=(Message("system", "你是助手"),),
        n=1,
        max_tokens=1024,
        repetition_penalty=1.05,
        temperature=0.8,
        top_p=0.7,
        user="u1",
    ),
    "chat_stream": asked("写诗", "SenseChat-Turbo", stream=True),
    "chat_knowledge_base": asked(
        "问题",
        "nova-ptc-xl-v1",
        extra={
            "know_ids": [KNOW_ID],
            "knowledge_config": {
                "control_level": "normal",
                "knowledge_base_result": True,
                "knowledge_base_configs": [{"know_id": KNOW_ID, "faq_threshold": 0.9}],
            },
            "plugins": {},
        },
    ),
    "chat_plugins": asked(
        "aasda是什么",
        "nova-ptc-xl-v1",
        extra={
            "plugins": {
                "associated_knowledge": {
                    "content": "aasda是一个大电影院。",
                    "mode": "concatenate",
                },
                "web_search": {"search_enable": True, "result_enable": True},
            }
        },
    ),
    "chat_function_tool": asked("北京天气?", tools=(WEATHER,), tool_choice="auto"),
    "chat_tool_result_turn": ChatRequest(
        model="SenseChat-5",
        messages=(
            Message("user", "北京天气?"),
            Message("assistant", tool_calls=(ToolCall("c1", "get_weather", '{"city":"北京"}'),)),
            Message("tool", '{"temp":21}', tool_call_id="c1"),
        ),
        params=ChatParams(tools=(WEATHER,)),
    ),
    "chat_image_url": asked(
        (ImagePart("https://example.invalid/cat.png"), TextPart("图里有什么")),
        "SenseChat-Vision",
    ),
    "chat_image_base64": asked(
        (ImagePart("data:image/png;base64,iVBORw0KGgo="), TextPart("描述")), "SenseChat-Vision"
    ),
}
CHARACTER = asked(
    "你好",
    "SenseChat-Character",
    n=1,
    max_tokens=300,
    extra={
        "character_settings": [{"name": "y", "gender": "男"}, {"name": "d", "gender": "男"}],
        "role_setting": {"user_name": "d", "primary_bot_name": "y"},
    },
)
TURN = asked("地球直径", "nova-ptc-xl-v1", extra={"know_ids": []})
COMPLETION = asked("今天天气", "nova-ptc-s-v1-codecompletion", n=2, max_tokens=16)
OTHERS = {
    "embeddings": embeddings.encode(
        EmbeddingRequest(model="nova-embedding-stable", inputs=("今天天气怎么样",))
    ),
    "session_create_default": sessions.encode_session(),
    "session_create_system": sessions.encode_session([Message("system", "你是翻译")]),
    "conversation": sessions.encode_turn("55b1f0815c76000", TURN).body,
    "completion": completions.encode(COMPLETION).body,
    "character_chat": characters.encode(CHARACTER).body,
    "knowledge_base_create": catalogue.encode_knowledge_base("测试库", ["file-1"]),
}
# Without a body; their paths are asked for in test_provider.
BODILESS = {
    "model_list",
    "model_retrieve",
    "knowledge_base_list",
    "file_upload",
    "file_list",
    "file_retrieve",
    "file_download",
    "file_delete",
}


def test_every_request_vector_is_covered() -> None:
    """No recorded request is left out."""
    assert set(REQUESTS) == {*CHATS, *OTHERS, *BODILESS}


@pytest.mark.parametrize("name", CHATS)
def test_chats_are_the_sdks(name: str) -> None:
    """What goes out is what the vendor's SDK sends for the same call."""
    assert plain(REQUESTS[name]["body"]) == plain(sent(CHATS[name]))


@pytest.mark.parametrize("name", OTHERS)
def test_other_requests_are_the_sdks(name: str) -> None:
    """Sessions, turns, completions, characters, embeddings and knowledge bases are asked for as the SDK does."""
    assert plain(REQUESTS[name]["body"]) == plain(orjson.loads(OTHERS[name]))


# The table of knobs.

SENT: dict[str, tuple[Any, dict[str, Any]]] = {
    "temperature": (0.5, {"temperature": 0.5}),
    "top_p": (0.5, {"top_p": 0.5}),
    "max_tokens": (64, {"max_new_tokens": 64}),
    "n": (4, {"n": 4}),
    "repetition_penalty": (1.05, {"repetition_penalty": 1.05}),
    "tool_choice": ("none", {"tool_choice": {"mode": "none", "tools": []}}),
    "user": ("bob", {"user": "bob"}),
    "tools": (
        (OTHER,),
        {"tools": [{"type": "function", "function": {"name": "get_time"}}]},
    ),
    "extra": ({"know_ids": ["a"]}, {"know_ids": ["a"]}),
}
ADAPTED: dict[str, tuple[Any, dict[str, Any]]] = {
    "do_sample": (False, {"temperature": 0.000001}),
    "top_k": (5, {}),
    "stop": (("a",), {}),
    "seed": (7, {}),
    "presence_penalty": (1.0, {}),
    "frequency_penalty": (1.0, {}),
    "logit_bias": ({"1": 1.0}, {}),
    "parallel_tool_calls": (False, {}),
    "reasoning_effort": ("high", {}),
}
REFUSED: dict[str, Any] = {
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": ResponseFormat("json_object"),
}


def test_the_table_of_knobs_is_whole() -> None:
    """Every knob of a request has its place in the tables."""
    knobs = {field.name for field in dataclasses.fields(ChatParams)}
    assert knobs == SENT.keys() | ADAPTED.keys() | REFUSED.keys()


@pytest.mark.parametrize("knob", SENT)
def test_knobs_that_are_sent(knob: str) -> None:
    """These knobs reach the wire, under the vendor's names, with no note."""
    value, expected = SENT[knob]
    body, notes = build(asked(**{knob: value}), NATIVE)
    assert {"model", "messages", *expected} == set(body)
    assert expected == {name: body[name] for name in expected}
    assert [] == notes


@pytest.mark.parametrize("knob", ADAPTED)
def test_knobs_that_are_adapted(knob: str) -> None:
    """These knobs are sent otherwise or not at all, and a note tells it."""
    value, expected = ADAPTED[knob]
    body, notes = build(asked(**{knob: value}), NATIVE)
    assert {"model", "messages", *expected} == set(body)
    assert expected == {name: body[name] for name in expected}
    (note,) = notes
    assert knob in note


@pytest.mark.parametrize("knob", REFUSED)
def test_knobs_that_are_refused(knob: str) -> None:
    """Features without which the answer would be another one are refused, by name."""
    with pytest.raises(InvalidParameter) as caught:
        sent(asked(**{knob: REFUSED[knob]}))
    assert knob == caught.value.param


@pytest.mark.parametrize(
    ("knob", "value", "expected"),
    [
        ("temperature", 0, 0.000001),
        ("temperature", 0.12345678, 0.123457),
        ("temperature", 2.5, 2.0),
        ("top_p", 0, 0.000001),
        ("top_p", 1, 0.999999),
        ("repetition_penalty", 0, 0.000001),
        ("repetition_penalty", 3.0, 2.0),
    ],
)
def test_values_out_of_range_are_moved_into_it(knob: str, value: float, expected: float) -> None:
    """A value that the vendor would refuse is sent as the nearest that it takes, with a note."""
    body, notes = build(asked(**{knob: value}), NATIVE)
    assert expected == body[knob]
    assert knob in notes[0]


@given(st.floats(-1, 3), st.floats(-1, 2))
def test_what_goes_out_is_always_in_range(temperature: float, top_p: float) -> None:
    """Whatever is asked, the vendor gets numbers in its open ranges, and a note where they differ."""
    body, notes = build(asked(temperature=temperature, top_p=top_p), NATIVE)
    assert 0 < body["temperature"] <= 2
    assert 0 < body["top_p"] < 1
    differ = (body["temperature"] != temperature) + (body["top_p"] != top_p)
    assert differ == len(notes)


@given(strategies.chat_requests())
def test_usual_requests_are_taken(request: ChatRequest) -> None:
    """A request within the usual ranges goes out in the vendor's shape, its texts as texts."""
    body, _ = build(request, NATIVE)
    assert len(request.messages) == len(body["messages"])
    assert all(isinstance(message["content"], str) for message in body["messages"])


# Tools, messages, pictures.


@pytest.mark.parametrize(
    ("choice", "tools", "expected"),
    [
        ("auto", (WEATHER,), {"mode": "auto", "tools": []}),
        (NAMED, (WEATHER, OTHER), {"mode": "manual", "tools": [{"type": "function", "name": "get_weather"}]}),
        ("required", (WEATHER,), {"mode": "manual", "tools": [{"type": "function", "name": "get_weather"}]}),
        ({"mode": "auto", "tools": []}, (WEATHER,), {"mode": "auto", "tools": []}),
    ],
)  # fmt: skip
def test_the_choice_of_a_tool_is_an_object(choice: Any, tools: Any, expected: object) -> None:
    """What tool to call is told in the vendor's way; one that must be called is named."""
    assert expected == sent(asked(tools=tools, tool_choice=choice))["tool_choice"]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"tools": (WEATHER, OTHER), "tool_choice": "required"}, "tool_choice"),
        ({"tools": (WEATHER,), "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": (Tool("web_search", body={"web_search": {}}),)}, "tools"),
        ({"n": 5}, "n"),
        ({"response_format": ResponseFormat("json_schema", schema={})}, "response_format"),
    ],
)
def test_what_the_vendor_lacks_is_refused(params: dict[str, Any], name: str) -> None:
    """A choice among tools, tools of other kinds, and more choices than four are refused, by name."""
    with pytest.raises(InvalidParameter) as caught:
        sent(asked(**params))
    assert name == caught.value.param


def test_messages_are_tidied() -> None:
    """Null is an empty text, texts in parts are joined, developers are the system, names are left out with a note."""
    request = asked(
        (TextPart("你"), TextPart("好")),
        before=(
            Message("developer", "简短"),
            Message("user", "a", name="bob"),
            Message("assistant", None, tool_calls=(ToolCall("1", "f", "{}"),), refusal="no"),
            Message("tool", None, tool_call_id="1", name="f"),
        ),
        tools=(dataclasses.replace(WEATHER, strict=True),),
    )
    body, notes = build(request, NATIVE)
    system, bob, calling, result, last = body["messages"]
    assert ("system", "你好") == (system["role"], last["content"])
    assert {"role": "user", "content": "a"} == bob
    assert {"role", "content", "tool_calls"} == set(calling)
    assert {"role": "tool", "content": "", "tool_call_id": "1"} == result
    assert "strict" not in body["tools"][0]["function"]
    assert ["strict", "names"] == [
        word for word in ("strict", "names") if any(word in note for note in notes)
    ]


def test_the_last_message_asks() -> None:
    """A conversation that ends with the assistant is refused before it is sent, as the vendor would."""
    request = ChatRequest(
        model="SenseChat-5", messages=(Message("user", "a"), Message("assistant", "b"))
    )
    with pytest.raises(InvalidParameter) as caught:
        sent(request)
    assert "messages" == caught.value.param


def test_uploaded_pictures_go_by_their_id() -> None:
    """A picture that was uploaded is named; a file that comes along, sounds and films are refused."""
    body = sent(asked((TextPart("看"), FilePart(file_id="f-1")), "SenseNova-V6-Pro"))
    assert {"type": "image_file_id", "image_file_id": "f-1"} == body["messages"][0]["content"][1]
    for part in (FilePart(data="data:x"), AudioPart("AAAA", "wav"), VideoPart("https://e.com/a")):
        with pytest.raises(InvalidParameter):
            sent(asked((part,)))


# The other dialects.

COMPATIBLE_KNOBS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_new_tokens",
    "n": "n",
    "frequency_penalty": "frequency_penalty",
    "tool_choice": "tool_choice",
    "user": "user",
}
TOKEN_PLAN_KNOBS = {
    name: name
    for name in (
        "temperature",
        "top_p",
        "max_tokens",
        "stop",
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning_effort",
    )
}
VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "max_tokens": 64,
    "stop": ("a",),
    "n": 2,
    "seed": 7,
    "presence_penalty": 1.0,
    "frequency_penalty": 1.0,
    "repetition_penalty": 1.1,
    "logit_bias": {"1": 1.0},
    "logprobs": True,
    "top_logprobs": 2,
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "response_format": ResponseFormat("json_object"),
    "reasoning_effort": "high",
    "user": "bob",
}


@pytest.mark.parametrize("knob", VALUES)
@pytest.mark.parametrize("name", ["compatible", "token plan"])
def test_which_knob_reaches_chat_completions(name: str, knob: str) -> None:
    """In each chat-completions dialect a knob is sent under its name, or left out with a note, or refused."""
    dialect, knobs = (
        (compatible_dialect("SenseChat-5"), COMPATIBLE_KNOBS)
        if name == "compatible"
        else (TOKEN_PLAN, TOKEN_PLAN_KNOBS)
    )
    request = asked(**{knob: VALUES[knob]})
    if knob in ("logprobs", "top_logprobs", "response_format"):
        with pytest.raises(InvalidParameter):
            build(request, dialect)
        return
    body, notes = build(request, dialect)
    if knob in knobs:
        value = list(VALUES[knob]) if knob == "stop" else VALUES[knob]
        assert value == body[knobs[knob]]
        assert [] == notes
    else:
        assert {"model", "messages"} == set(body)
        assert knob in notes[0]


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("SenseNova-V6-5-Pro", "high", {"enabled": True}),
        ("SenseNova-V6-5-Turbo", "none", {"enabled": False}),
        ("SenseNova-V6-Pro", "high", None),
    ],
)
def test_effort_switches_thinking_in_the_compatible_mode(
    model: str, effort: str, expected: object
) -> None:
    """How hard to think becomes on or off where the model has the switch; elsewhere it is left out. Both are noted."""
    body, notes = build(asked(model=model, reasoning_effort=effort), compatible_dialect(model))
    assert expected == body.get("thinking")
    assert "reasoning_effort" in notes[0]


def test_chat_completions_keep_their_tool_choice_and_their_pictures() -> None:
    """The token plan has pictures and choices as OpenAI has them; the compatible mode has the native pictures."""
    picture = ImagePart("https://example.invalid/a.png")
    request = asked((picture,), tools=(WEATHER,), tool_choice=NAMED, stream=True)
    token = build(request, TOKEN_PLAN)[0]
    compatible = build(request, compatible_dialect("SenseNova-V6-Pro"))[0]
    for body in (token, compatible):
        assert NAMED == body["tool_choice"]
        assert {"include_usage": True} == body["stream_options"]
    assert {"url": picture.url} == token["messages"][0]["content"][0]["image_url"]
    assert picture.url == compatible["messages"][0]["content"][0]["image_url"]


# Characters, turns, completions, embeddings.


def test_an_ordinary_chat_with_a_character() -> None:
    """Without descriptions user and assistant are named, the system text is set about the assistant, all with notes."""
    request = asked(
        "在吗",
        "SenseChat-Character",
        temperature=0.5,
        before=(
            Message("system", "温柔"),
            Message("user", "你好"),
            Message("assistant", "你好呀"),
        ),
    )
    encoded = characters.encode(request)
    body = orjson.loads(encoded.body)
    assert {"user_name": "用户", "primary_bot_name": "助手"} == body["role_setting"]
    assert ["用户", "助手", "用户"] == [message["name"] for message in body["messages"]]
    assert "温柔" == body["character_settings"][1]["other_setting"]
    assert "temperature" not in body
    assert 3 == len(encoded.notes)


def test_a_system_text_joins_the_description() -> None:
    """A system text is added to what is set about the character that answers; the caller's own object stays as it was."""
    setting = {"name": "y", "gender": "男", "other_setting": "爱钱"}
    extra = {
        "character_settings": [setting, {"name": "d", "gender": "男"}],
        "role_setting": {"user_name": "d", "primary_bot_name": "y"},
    }
    request = asked("喂", "SenseChat-Character", before=(Message("system", "简短"),), extra=extra)
    body = orjson.loads(characters.encode(request).body)
    assert "爱钱\n简短" == body["character_settings"][0]["other_setting"]
    assert "爱钱" == setting["other_setting"]


@pytest.mark.parametrize(
    "extra",
    [
        {"role_setting": "d"},
        {"role_setting": {"user_name": "d"}},
        {"character_settings": "y", "role_setting": {"user_name": "d", "primary_bot_name": "y"}},
    ],
)
def test_half_described_characters_are_refused(extra: dict[str, Any]) -> None:
    """Roles that are not described as the vendor has them are refused by name."""
    request = asked("x", "SenseChat-Character", before=(Message("system", "a"),), extra=extra)
    with pytest.raises(InvalidParameter) as caught:
        characters.encode(request)
    assert caught.value.param in extra


@pytest.mark.parametrize(
    "params", [{"tools": (WEATHER,)}, {"response_format": ResponseFormat("json_object")}]
)
def test_characters_and_completions_have_no_tools(params: dict[str, Any]) -> None:
    """Characters and completions take no tools and no formats."""
    for encode in (characters.encode, completions.encode):
        with pytest.raises(InvalidParameter):
            encode(asked("x", **params))


def test_completions_have_stop_texts() -> None:
    """A completion stops at texts: one goes as a text, several as a list."""
    one, two = (
        orjson.loads(completions.encode(asked("x", stop=stop)).body)["stop"]
        for stop in (("\n",), ("a", "b"))
    )
    assert ("\n", ["a", "b"]) == (one, two)


def test_turns_take_the_parameters_of_a_chat() -> None:
    """A turn of a session is streamed and sampled as a chat is."""
    request = asked("喂", stream=True, temperature=0, extra={"know_ids": ["a"]})
    encoded = sessions.encode_turn("5", request)
    body = orjson.loads(encoded.body)
    assert ("喂", "next", "5", True, ["a"], 0.000001) == tuple(
        body[name]
        for name in ("content", "action", "session_id", "stream", "know_ids", "temperature")
    )
    assert "messages" not in body
    assert 1 == len(encoded.notes)


def test_vectors_have_one_length() -> None:
    """Vectors of another length than the vendor's are refused; the vendor's own may be asked for."""
    request = EmbeddingRequest(model="nova-embedding-stable", inputs=("a",), dimensions=1536)
    assert "dimensions" not in orjson.loads(embeddings.encode(request))
    with pytest.raises(InvalidParameter) as caught:
        embeddings.encode(dataclasses.replace(request, dimensions=256))
    assert "dimensions" == caught.value.param
