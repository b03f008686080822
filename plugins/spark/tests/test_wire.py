"""Frames as the vendor's SDK sends and reads them, and what is adapted, left out or refused on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import (
    ContentRefused,
    InvalidParameter,
    ProviderError,
    ProviderProtocolError,
)
from fengchao_core.fold import Fold
from fengchao_core.testing import strategies
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    Delta,
    FilePart,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
    VideoPart,
)
from fengchao_spark.codes import ERRORS
from fengchao_spark.endpoints import ENDPOINTS, endpoint_of
from fengchao_spark.frames import FrameDecoder
from fengchao_spark.sandbox.codes import CODES
from fengchao_spark.wire import encode

CASES: dict[str, dict[str, Any]] = {
    each["id"]: each
    for each in json.loads((Path(__file__).parent / "vectors" / "spark.json").read_text("utf-8"))[
        "cases"
    ]
}
# A handshake that was refused has no frames; `test_sandbox.py` has that one.
CHATS = [
    each
    for each in CASES.values()
    if each["kind"] == "chat_ws" and "client_frame" in each["expected"]
]
WEATHER = Tool(name="get_weather", description="查询天气", parameters={"type": "object"})
SEARCH = Tool("web_search", body={"web_search": {"enable": True}})


def asked(content: Any, model: str = "generalv3.5", **params: Any) -> ChatRequest:
    """A request of one message, or of the messages given."""
    messages = content if isinstance(content, list) else [Message("user", content)]
    return ChatRequest(
        model=model,
        messages=tuple(messages),
        params=ChatParams(**params),
        stream=True,
        request_id="conversation-1",
    )


def sent(request: ChatRequest) -> tuple[dict[str, Any], Sequence[str]]:
    """The frame of a request, and what was noted."""
    body, notes = encode(request, endpoint_of(request.model), "a1b2c3d4")
    return json.loads(body), notes


def chat_of(request: ChatRequest) -> dict[str, Any]:
    """The parameters of a request's frame."""
    chat: dict[str, Any] = sent(request)[0]["parameter"]["chat"]
    return chat


def turns_of(request: ChatRequest) -> list[dict[str, Any]]:
    """The messages of a request's frame."""
    turns: list[dict[str, Any]] = sent(request)[0]["payload"]["message"]["text"]
    return turns


# Recorded frames.


def recorded(inputs: dict[str, Any]) -> ChatRequest:
    """A recorded call as our request. Pictures are a message of their own at the vendor's."""
    messages, pictures = [], []
    for item in inputs["messages"]:
        if item.get("content_type") == "image":
            pictures.append(ImagePart(f"data:image/png;base64,{item['content']}"))
        elif pictures:
            messages.append(Message("user", (*pictures, TextPart(item["content"]))))
        else:
            messages.append(Message(item["role"], item["content"]))
    given_ = dict(inputs["params"])
    known = {
        name: given_.pop(name) for name in ("temperature", "max_tokens", "top_k") if name in given_
    }
    tools = tuple(Tool(**function) for function in inputs["functions"] or ())
    return asked(
        messages, inputs["domain"], **known, tools=tools, user=inputs["uid"], extra=given_
    )  # fmt: skip


@pytest.mark.parametrize("vector", CHATS, ids=lambda each: each["id"])
def test_frames_are_the_sdks(vector: dict[str, Any]) -> None:
    """The frame that asks is the SDK's, but for the values that the SDK sends although nobody gave them."""
    inputs, expected = vector["inputs"], vector["expected"]["client_frame"]
    expected = json.loads(json.dumps(expected))
    chat = expected["parameter"]["chat"]
    for name in ("temperature", "top_k", "max_tokens"):
        if name not in inputs["params"]:
            del chat[name]
    assert expected == sent(recorded(inputs))[0]


@pytest.mark.parametrize("vector", CHATS, ids=lambda each: each["id"])
def test_answers_are_read_as_the_sdk_reads_them(vector: dict[str, Any]) -> None:
    """Text, call, usage and error of the recorded frames are what the SDK made of them."""
    frames, expected = vector["inputs"]["server_frames"], vector["expected"]
    deltas, error = read(frames)
    said = expected["result_as_parsed_by_sdk"]
    if "error" in said:
        assert error is not None
        assert str(said["error"]["code"]) == error.vendor_code
        assert frames[-1]["header"]["sid"] == error.vendor_request_id
        return
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    assert said["text"] == choice.message.text
    if "text_chunks" in said:
        assert said["text_chunks"] == [delta.text for delta in deltas if delta.text]
    usage = said["usage"]
    assert Usage(usage["prompt_tokens"], usage["completion_tokens"]) == deltas[-1].usage
    called = [{"name": c.name, "arguments": c.arguments} for c in choice.message.tool_calls]
    assert ([said["function_call"]] if said["function_call"] else []) == called
    assert ("tool_calls" if called else "stop") == choice.finish_reason


def read(frames: Sequence[Any], **how: Any) -> tuple[list[Delta], ProviderError | None]:
    """The deltas of frames, and the error that ended them."""
    decoder, deltas = FrameDecoder(**how), []
    try:
        for frame in frames:
            deltas += decoder.decode(orjson.dumps(frame))
    except ProviderError as error:
        return deltas, error
    assert decoder.is_done
    return deltas, None


# Which model is asked where.


@pytest.mark.parametrize(
    ("model", "path", "domain"),
    [
        ("lite", "/v1.1/chat", "lite"),
        ("generalv2", "/v2.1/chat", "generalv2"),
        ("generalv3", "/v3.1/chat", "generalv3"),
        ("pro-128k", "/chat/pro-128k", "pro-128k"),
        ("generalv3.5", "/v3.5/chat", "generalv3.5"),
        ("max-32k", "/chat/max-32k", "max-32k"),
        ("4.0Ultra", "/v4.0/chat", "4.0Ultra"),
        ("x1", "/v1/x1", "x1"),
        ("kjwx", "/v1.1/chat_kjwx", "kjwx"),
        ("image", "/v2.1/image", "image"),
        ("imagev3", "/v2.1/image", "imagev3"),
        ("xsp123", "/v1.1/chat", "xsp123"),
    ],
)
def test_each_model_has_its_place(model: str, path: str, domain: str) -> None:
    """Each model goes to its own path with its own domain; one that the table lacks is a fine-tuned one."""
    assert (path, domain) == (endpoint_of(model).path, chat_of(asked("x", model))["domain"])
    assert (model == "xsp123") == (endpoint_of(model).host == "maas")


# Knobs: each reaches the wire, is adapted with a note, or is refused.

SENT = {
    "temperature": (0.5, {"temperature": 0.5}),
    "top_k": (3, {"top_k": 3}),
    "max_tokens": (100, {"max_tokens": 100}),
    "tools": ((SEARCH,), {"tools": [{"type": "web_search", "web_search": {"enable": True}}]}),
    "tool_choice": ("auto", {}),
    "user": ("bob", {}),  # in the header
    "extra": ({"chat_id": "c"}, {"chat_id": "c"}),
}
ADAPTED = {
    "temperature": (0, {"temperature": 0.01}),
    "top_k": (9, {"top_k": 6}),
    "max_tokens": (9000, {"max_tokens": 8192}),
    "do_sample": (False, {"temperature": 0.01, "top_k": 1}),
    "user": ("u" * 33, {}),
    "top_p": (0.5, {}),
    "stop": (("a",), {}),
    "seed": (1, {}),
    "presence_penalty": (0.5, {}),
    "frequency_penalty": (0.5, {}),
    "repetition_penalty": (1.1, {}),
    "logit_bias": ({"1": 1.0}, {}),
    "parallel_tool_calls": (True, {}),
    "reasoning_effort": ("high", {}),
    "extra": ({"domain": "x"}, {}),
}
REFUSED = {
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "response_format": ResponseFormat("json_object"),
    "tools": (Tool("retrieval"),),
    "tool_choice": "required",
}


def test_the_table_of_knobs_is_whole() -> None:
    """Every knob of a request has its place in the tables below."""
    knobs = {field.name for field in dataclasses.fields(ChatParams)}
    assert knobs == SENT.keys() | ADAPTED.keys() | REFUSED.keys()


@pytest.mark.parametrize("knob", SENT)
def test_knobs_that_are_sent(knob: str) -> None:
    """These knobs reach the wire as they are, with no note."""
    value, expected = SENT[knob]
    frame, notes = sent(asked("x", **{knob: value}))
    assert {"domain": "generalv3.5", **expected} == frame["parameter"]["chat"]
    assert () == notes
    assert ("bob" if knob == "user" else None) == frame["header"].get("uid")


@pytest.mark.parametrize("knob", ADAPTED)
def test_knobs_that_are_adapted(knob: str) -> None:
    """These are brought into the vendor's range or left out, and one note names each."""
    value, expected = ADAPTED[knob]
    frame, notes = sent(asked("x", **{knob: value}))
    assert {"domain": "generalv3.5", **expected} == frame["parameter"]["chat"]
    assert 1 == len(notes)
    assert ("domain" if knob == "extra" else knob) in notes[0]


@pytest.mark.parametrize("knob", REFUSED)
def test_knobs_that_are_refused(knob: str) -> None:
    """What would make another answer of it is refused, by name."""
    with pytest.raises(InvalidParameter) as caught:
        sent(asked("x", **{knob: REFUSED[knob]}))
    assert knob == caught.value.param


def test_values_that_say_nothing_need_no_note() -> None:
    """Values that mean what the vendor does anyway are neither sent nor noted nor refused."""
    nothing = ChatParams(
        n=1, parallel_tool_calls=False, logprobs=False, top_logprobs=0, do_sample=True, repetition_penalty=1.0,
        response_format=ResponseFormat(),
    )  # fmt: skip
    request = dataclasses.replace(asked("x"), params=nothing)
    assert ({"domain": "generalv3.5"}, ()) == (chat_of(request), sent(request)[1])


def test_long_users_stay_apart() -> None:
    """Users whose names are too long are told apart by 32 characters of hash."""
    uids = {sent(asked("x", user="u" * n))[0]["header"]["uid"] for n in (33, 34, 33)}
    assert 2 == len(uids)
    assert {32} == {len(uid) for uid in uids}


@pytest.mark.parametrize(
    ("model", "high", "limit"), [("x1", 2.0, 32768), ("lite", 1.0, 4096), ("xsp1", 1.0, 999_999)]
)
def test_ranges_are_the_models(model: str, high: float, limit: int) -> None:
    """The highest temperature and the longest answer are the model's; where nobody knows one, the caller's stands."""
    chat = chat_of(asked("x", model, temperature=2.5, max_tokens=999_999))
    assert (high, limit) == (chat["temperature"], chat["max_tokens"])


@given(strategies.chat_requests("4.0Ultra"))
def test_requests_are_written_whole(request_: ChatRequest) -> None:
    """Any request gives one frame with its domain, all its texts, and its last turn a user's."""
    frame, _ = sent(request_)
    turns = frame["payload"]["message"]["text"]
    assert ("4.0Ultra", "user") == (frame["parameter"]["chat"]["domain"], turns[-1]["role"])
    assert [m.text for m in request_.messages] == [turn["content"] for turn in turns]


# Functions.


def test_functions_are_plain_objects() -> None:
    """Functions are offered without the wrapping of tools, to the models that take them, unless none shall be called."""
    frame, _ = sent(asked("x", tools=(WEATHER, SEARCH)))
    function = {
        "name": "get_weather",
        "description": "查询天气",
        "parameters": {"type": "object"},
    }
    assert [function] == frame["payload"]["functions"]["text"]
    assert [{"type": "web_search", "web_search": {"enable": True}}] == frame["parameter"]["chat"][
        "tools"
    ]
    none, _ = sent(asked("x", tools=(WEATHER, SEARCH), tool_choice="none"))
    assert not none["payload"].keys() & {"functions"} | none["parameter"]["chat"].keys() & {"tools"}


@pytest.mark.parametrize("model", ENDPOINTS)
def test_models_without_functions_refuse_them(model: str) -> None:
    """Functions, searches and pictures are refused by the models that lack them."""
    endpoint = ENDPOINTS[model]
    picture = (ImagePart("data:image/png;base64,iVBORw0KGgo="),)
    for is_able, request in (
        (endpoint.takes_functions, asked("x", model, tools=(WEATHER,))),
        (endpoint.takes_search, asked("x", model, tools=(SEARCH,))),
        (endpoint.takes_pictures, asked(picture, model)),
    ):
        if is_able:
            sent(request)
        else:
            with pytest.raises(InvalidParameter):
                sent(request)


def test_results_of_functions_are_told_by_the_user() -> None:
    """Calls and results have no role at the vendor: they travel as text, in order, and that is noted."""
    calls = (ToolCall("1", "get_weather", '{"city":"北京"}'), ToolCall("2", "get_time", "{}"))
    request = asked(
        [
            Message("user", "天气？"),
            Message("assistant", tool_calls=calls),
            Message("tool", "晴", tool_call_id="1"),
            Message("tool", "九点", tool_call_id="2"),
        ]
    )
    user, assistant, results = turns_of(request)
    assert ("user", "assistant", "user") == (user["role"], assistant["role"], results["role"])
    assert 'get_weather，参数：{"city":"北京"}' in assistant["content"]
    assert "函数 get_weather 的返回结果：晴\n函数 get_time 的返回结果：九点" == results["content"]
    assert 1 == len(sent(request)[1])


# Messages.


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("4.0Ultra", [("system", "S\n\nD"), ("user", "U"), ("assistant", "A"), ("user", "V")]),
        ("lite", [("user", "S\n\nD\n\nU"), ("assistant", "A"), ("user", "V")]),
    ],
)
def test_system_texts_go_where_the_model_takes_them(
    model: str, expected: list[tuple[str, str]]
) -> None:
    """System texts come first as one, or within the first user text where the model has no such role, with a note."""
    messages = [
        Message("system", "S"),
        Message("developer", "D"),
        Message("user", "U"),
        Message("assistant", "A"),
        Message("user", (TextPart("V"),)),
    ]
    request = asked(messages, model)
    assert expected == [(turn["role"], turn["content"]) for turn in turns_of(request)]
    assert (model == "lite") == bool(sent(request)[1])


def test_a_late_system_text_is_a_users() -> None:
    """A system text after the first turn is sent as the user's, as the vendor's SDK does, and noted."""
    request = asked([Message("user", "U"), Message("system", "S"), Message("user", "V")])
    assert ["user"] * 3 == [turn["role"] for turn in turns_of(request)]
    assert 1 == len(sent(request)[1])


@pytest.mark.parametrize(
    "messages", [[], [Message("user", "x"), Message("assistant", "y")], [Message("system", "x")]]
)
def test_conversations_end_with_a_user(messages: list[Message]) -> None:
    """A conversation in which the user does not have the last word is refused."""
    with pytest.raises(InvalidParameter) as caught:
        sent(asked(messages))
    assert "messages" == caught.value.param


def test_pictures_come_first() -> None:
    """A picture goes before the conversation, as bare base64, and the questions are marked as texts."""
    picture = ImagePart("data:image/jpeg;base64,aGk=")
    messages = [
        Message("system", "S"),
        Message("user", (TextPart("这是"), picture)),
        Message("assistant", "A"),
        Message("user", "B"),
    ]
    assert [
        {"role": "user", "content": "aGk=", "content_type": "image"},
        {"role": "user", "content": "S\n\n这是", "content_type": "text"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "B", "content_type": "text"},
    ] == turns_of(asked(messages, "image"))
    assert 1 == len(turns_of(asked((picture,), "image")))


@pytest.mark.parametrize(
    "content",
    [
        (ImagePart("https://example.com/a.png"),),
        (ImagePart("data:image/png,aGk="),),
        (ImagePart("data:image/png;base64,aGk="), ImagePart("data:image/png;base64,aGk=")),
        (AudioPart("AAAA", "wav"),),
        (FilePart(file_id="f"),),
        (VideoPart("https://example.com/a.mp4"),),
    ],
)
def test_parts_the_vendor_lacks_are_refused(content: tuple[Any, ...]) -> None:
    """Addresses of pictures, a second picture, sounds, files and films are refused."""
    with pytest.raises(InvalidParameter):
        sent(asked(content, "image"))


def test_fine_tuned_models_name_their_resource() -> None:
    """The resource of a fine-tuned model goes into the header: the settings' or, before it, the call's own."""
    request = asked("x", "xsp1")
    for extra, expected in (({}, ["ours"]), ({"patch_id": "theirs"}, ["theirs"])):
        changed = dataclasses.replace(request, params=ChatParams(extra=extra))
        body, _ = encode(changed, endpoint_of("xsp1"), "a", patch_id="ours")
        assert expected == json.loads(body)["header"]["patch_id"]


def test_extras_of_messages_are_kept() -> None:
    """Vendor-only fields of a message are passed on; what has its own place is not replaced."""
    message = Message("user", "x", extra={"content_type": "text", "role": "y"})
    assert [{"role": "user", "content": "x", "content_type": "text"}] == turns_of(asked([message]))


# Answers.


def frame(
    *texts: dict[str, Any] | str, status: Any = 1, code: Any = 0, **payload: Any
) -> dict[str, Any]:
    """A frame that came."""
    items = [{"content": text} if isinstance(text, str) else text for text in texts]
    return {
        "header": {"code": code, "message": "说明", "sid": "cht@dx1"},
        "payload": {"choices": {"status": status, "text": items}, **payload},
    }


def used(prompt: int, completion: int) -> dict[str, Any]:
    """The usage of a last frame."""
    return {"text": {"prompt_tokens": prompt, "completion_tokens": completion}}


def test_thinking_and_references_are_told_apart() -> None:
    """Thinking comes as thinking; what else a payload holds travels beside the answer."""
    thought = {"content": "", "reasoning_content": "想"}
    refs = {"text": [{"name": "ifly_search", "content": "[]"}]}
    deltas, _ = read([frame(thought), frame("答", plugins=refs), frame(status=2, usage=used(1, 2))])
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    assert ("想", "答") == (choice.message.reasoning, choice.message.text)
    assert {"plugins": refs} == fold.extra


def test_calls_get_ids_of_their_own() -> None:
    """A call gets an id made of the answer's, unique in a conversation; pieces of its arguments are joined."""
    call = {"content": "", "function_call": {"name": "f", "arguments": '{"a"'}}
    more = {"content": "", "function_call": {"name": "", "arguments": ":1}"}}
    other = {"content": "", "function_call": {"name": "g", "arguments": {"b": 2}}}
    fold = Fold()
    fold.feed(read([frame(call), frame(more), frame(other, status=2)])[0])
    assert (
        ToolCall("call_chtdx1_0", "f", '{"a":1}'),
        ToolCall("call_chtdx1_1", "g", '{"b":2}'),
    ) == fold.choices()[0].message.tool_calls


@pytest.mark.parametrize(("asked_for", "expected"), [(9, "length"), (10, "stop"), (None, "stop")])
def test_a_used_up_limit_is_told(asked_for: int | None, expected: str) -> None:
    """The vendor tells no finish reason; an answer that used its limit up was cut by it."""
    deltas, _ = read([frame("x", status=2, usage=used(1, 9))], max_tokens=asked_for)
    assert expected == deltas[-1].finish_reason


def test_notes_travel_with_the_first_delta() -> None:
    """What was adapted is told once, with the first delta."""
    deltas, _ = read([frame(), frame("x"), frame("y", status=2)], notes=("a", "b"))
    assert [["a", "b"], None, None] == [(delta.extra or {}).get("notes") for delta in deltas]


def test_a_soft_refusal_keeps_the_answer() -> None:
    """10019 after an answer ends it with a warning; before any, it is a refusal."""
    warned = {**frame(status=2, code=10019), "payload": {"usage": used(1, 2)}}
    deltas, error = read([frame("答"), warned])
    assert error is None
    assert ("content_filter", Usage(1, 2)) == (deltas[-1].finish_reason, deltas[-1].usage)
    assert {"spark": {"code": 10019, "message": "说明"}} == deltas[-2].extra
    assert isinstance(read([warned])[1], ContentRefused)


@pytest.mark.parametrize("code", sorted({*map(str, CODES), *ERRORS}))
def test_every_code_has_its_class(code: str) -> None:
    """Each code of the vendor's table has a class, which decides alone; the vendor's words are kept."""
    assert code in ERRORS
    assert int(code) in CODES
    _, error = read([{"header": {"code": int(code), "message": "10013", "sid": "s"}}])
    assert ERRORS[code] is type(error)
    assert error is not None
    assert ("10013", "s") == (error.vendor_message, error.vendor_request_id)


def test_an_unknown_code_is_kept() -> None:
    """A code that nobody knows is a plain error of the provider, with the code."""
    _, error = read([{"header": {"code": 99999}}])
    assert ProviderError is type(error)
    assert error is not None
    assert "99999" == error.vendor_code


@pytest.mark.parametrize(
    "nonsense",
    [
        {"header": {}},
        {"header": {"code": "0"}},
        {"header": {"code": True}},
        {"header": {"code": 0}},
        {"header": {"code": 0}, "payload": {}},
        frame(status=3),
        frame(status=None),
        frame(status=True),
        frame({"content": 1}),
        frame({"function_call": {"arguments": "{}"}}),
        frame({"function_call": "f"}),
        frame({"function_call": {"name": "f", "arguments": 1}}),
        {**frame(), "payload": {"choices": {"status": 1, "text": "x"}}},
        {**frame(), "payload": {"choices": {"status": 1, "text": ["x"]}}},
    ],
)
def test_nonsense_is_a_protocol_error(nonsense: dict[str, Any]) -> None:
    """What does not follow the vendor's own protocol is told so."""
    assert isinstance(read([nonsense])[1], ProviderProtocolError)


@given(st.recursive(st.none() | st.booleans() | st.integers(-3, 10020) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["header", "code", "payload", "choices", "status", "text", "content", "usage", "function_call", "name"]), inner, max_size=4), max_leaves=20))  # fmt: skip
def test_any_json_is_read_or_refused(tree: object) -> None:
    """Whatever JSON comes, nothing but an error of the provider is raised."""
    with contextlib.suppress(ProviderError):
        FrameDecoder().decode(orjson.dumps(tree))


def test_a_recorded_answer_may_come_as_text_or_bytes() -> None:
    """Messages of both kinds are read, and an empty `text` is borne."""
    first = json.dumps(CASES["chat-stream"]["inputs"]["server_frames"][0])
    assert FrameDecoder().decode(first) == FrameDecoder().decode(first.encode())
    assert [] == FrameDecoder().decode(orjson.dumps(frame()))
