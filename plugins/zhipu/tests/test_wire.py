"""The wire: requests as the vendor's SDK sends them, answers as the vendor gives them."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    InvalidParameter,
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
from fengchao_core.kit.openai_chat import Decoder, build
from fengchao_core.kit.sse import SseParser
from fengchao_core.testing import strategies
from fengchao_core.types import (
    AudioPart,
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    ImageRequest,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
    VideoPart,
)
from fengchao_zhipu import embeddings, images
from fengchao_zhipu.sandbox.codes import CODES
from fengchao_zhipu.wire import ERRORS, classify, dialect_for

_FILE = json.loads((Path(__file__).parent / "vectors" / "zhipu.json").read_text("utf-8"))
REQUESTS = {vector["name"]: vector for vector in _FILE["requests"]}
RESPONSES = {vector["name"]: vector for vector in _FILE["responses"]}
USAGE = Usage(prompt_tokens=9, completion_tokens=4)


def asked(text: str | tuple[Any, ...], model: str = "glm-4", **more: Any) -> ChatRequest:
    """A request of one user message; parameters by their names."""
    stream, request_id = more.pop("stream", False), more.pop("request_id", "")
    before = more.pop("before", ())
    return ChatRequest(
        model=model,
        messages=(*before, Message("user", text)),
        stream=stream,
        request_id=request_id,
        params=ChatParams(**more),
    )


def sent(request: ChatRequest) -> dict[str, Any]:
    """The body of a request."""
    return build(request, dialect_for(request.model))[0]


def plain(value: Any) -> Any:
    """A body as JSON, without what says nothing: the nulls that the SDK always sends, and `stream: false`."""
    if isinstance(value, dict):
        return {
            k: plain(v) for k, v in value.items() if v is not None and (k, v) != ("stream", False)
        }
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


WEATHER = Tool(
    name="get_weather",
    description="查询天气",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
SEARCH = {"web_search": {"enable": True, "search_engine": "search_std", "search_result": True}}
TEMPLATE = '从文档\n"""\n{{knowledge}}\n"""\n中找问题\n"""\n{{question}}\n"""\n的答案'
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

CASES = {
    "chat_minimal_jwt": asked("你好"),
    "chat_minimal_raw_key": asked("你好"),
    "chat_full_params": asked(
        "hi",
        "glm-4-plus",
        before=(Message("system", "你是助手"),),
        temperature=0.95,
        top_p=0.7,
        max_tokens=1024,
        seed=7,
        stop=("\n\n",),
        do_sample=True,
        request_id="req-0001",
        user="user-123456",
        extra={"sensitive_word_check": {"type": "ALL", "status": "ENABLE"}},
    ),
    "chat_stream": asked("写首诗", "glm-4-flash", stream=True),
    "chat_temperature_zero_clamped": asked("x", temperature=0, top_p=0),
    "chat_temperature_one_clamped": asked("x", temperature=1.0, top_p=1.0),
    "chat_function_tool": asked("北京天气?", tools=(WEATHER,), tool_choice="auto"),
    "chat_tool_result_turn": ChatRequest(
        model="glm-4",
        messages=(
            Message("user", "北京天气?"),
            Message(
                "assistant", tool_calls=(ToolCall("call_1", "get_weather", '{"city": "北京"}'),)
            ),
            Message("tool", '{"temp": 21}', tool_call_id="call_1"),
        ),
    ),
    "chat_web_search_tool": asked(
        "今天新闻", "glm-4-air", tools=(Tool("web_search", body=SEARCH),)
    ),
    "chat_retrieval_tool": asked(
        "公司制度",
        tools=(
            Tool(
                "retrieval",
                body={
                    "retrieval": {
                        "knowledge_id": "1794000000000000000",
                        "prompt_template": TEMPLATE,
                    }
                },
            ),
        ),
    ),
    "chat_image_url": asked(
        (TextPart("图里有什么"), ImagePart("https://example.invalid/cat.png")), "glm-4v-plus"
    ),
    "chat_image_data_url_prefix_stripped": asked(
        (ImagePart(PICTURE), TextPart("描述")), "glm-4v-plus"
    ),
    "chat_json_mode": asked("返回JSON", response_format=ResponseFormat("json_object")),
    "chat_thinking_disabled": asked("hi", "glm-4.5", reasoning_effort="none"),
    "custom_source_channel": asked("hi"),
}


@pytest.mark.parametrize("name", CASES)
def test_chat_requests_are_the_sdks(name: str) -> None:
    """What goes out is what the vendor's SDK sends for the same call."""
    assert plain(REQUESTS[name]["expected"]["body"]) == plain(sent(CASES[name]))


def test_every_chat_vector_is_covered() -> None:
    """No recorded chat request is left out."""
    recorded = {
        n for n, v in REQUESTS.items() if v["input"]["sdk_call"] == "chat.completions.create"
    }
    assert recorded == set(CASES)


def test_every_vector_is_covered() -> None:
    """No recorded request or answer of another kind is left out: each has its test here or beside."""
    others = {"async_create", "async_result", "file_upload", "file_list"}
    searches = {"web_search_api", "legacy_web_search_pro_tool_api"}
    here = {"embeddings_single", "embeddings_batch_dims", "image_generation"}
    assert set(REQUESTS) == set(CASES) | others | searches | here
    assert {"async_processing", "async_success", "async_fail"} == {
        name for name, vector in RESPONSES.items() if vector["operation"] == "async_result"
    }


def test_other_requests_are_the_sdks() -> None:
    """Embeddings and pictures are asked for as the vendor's SDK does."""
    single = EmbeddingRequest(model="embedding-2", inputs=("你好世界",))
    several = EmbeddingRequest(model="embedding-3", inputs=("a", "b"), dimensions=512)
    picture = ImageRequest(
        model="cogview-3-plus", prompt="一只猫", size="1024x1024", user="user-123456"
    )
    for name, body in (
        ("embeddings_single", embeddings.encode(single)),
        ("embeddings_batch_dims", embeddings.encode(several)),
        ("image_generation", images.encode(picture)),
    ):
        assert REQUESTS[name]["expected"]["body"] == orjson.loads(body)


# Answers.


def whole(name: str) -> Fold:
    """The recorded whole answer of this name, folded."""
    decoder = Decoder(dialect_for("glm-4"), classify=classify)
    fold = Fold()
    fold.feed(decoder.whole(RESPONSES[name]["http"]["body"].encode()))
    return fold


def test_a_text_is_read() -> None:
    """A whole answer's text, end and usage are the vendor's."""
    decoder = Decoder(dialect_for("glm-4"), classify=classify)
    deltas = decoder.whole(RESPONSES["chat_text"]["http"]["body"].encode())
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    assert ("你好！", "stop") == (choice.message.text, choice.finish_reason)
    assert USAGE == deltas[-1].usage


def test_calls_thinking_and_cut_answers_are_read() -> None:
    """Calls, thinking and an answer cut by its length are understood."""
    (called,) = whole("chat_tool_call").choices()
    assert (ToolCall("call_86540", "get_weather", '{"city": "北京"}'),) == called.message.tool_calls
    assert "tool_calls" == called.finish_reason
    (thought,) = whole("chat_reasoning").choices()
    assert ("想一想", "42") == (thought.message.reasoning, thought.message.text)
    (cut,) = whole("chat_length").choices()
    assert "length" == cut.finish_reason


def test_what_only_this_vendor_says_is_kept() -> None:
    """Search results and the verdict of the safety filter travel beside the answer."""
    found: Any = whole("chat_web_search_results").extra["web_search"]
    assert "https://example.invalid/" == found[0]["link"]
    sensitive = whole("chat_sensitive_finish")
    assert [{"role": "assistant", "level": 0}] == sensitive.extra["content_filter"]
    assert "content_filter" == sensitive.choices()[0].finish_reason


def streamed(name: str) -> tuple[list[Any], ProviderError | None]:
    """The deltas of a recorded stream, and the error that ended it."""
    parser, decoder = SseParser(), Decoder(dialect_for("glm-4"), classify=classify)
    body = RESPONSES[name]["http"]["body"].encode()
    deltas = decoder.decode(parser.feed(body) + parser.close())
    if decoder.failure is None:
        deltas += decoder.close()
    return deltas, decoder.failure


def test_streams_are_read() -> None:
    """The recorded streams give the text piece by piece, calls whole, and the usage of the last chunk."""
    deltas, failure = streamed("stream_text")
    assert (["你", "好"], None) == ([d.text for d in deltas if d.text], failure)
    assert (USAGE, "stop") == (deltas[-1].usage, deltas[-1].finish_reason)
    deltas, _ = streamed("stream_tool_call")
    fold = Fold()
    fold.feed(deltas)
    assert '{"city": "上海"}' == fold.choices()[0].message.tool_calls[0].arguments
    assert USAGE == deltas[-1].usage


def test_an_error_in_a_stream_is_raised_after_its_text() -> None:
    """What came before an error event is passed on, then the error is raised, by the vendor's code."""
    deltas, failure = streamed("stream_error_event")
    assert ["你"] == [delta.text for delta in deltas]
    assert isinstance(failure, ContentRefused)
    assert ("1301", "敏感内容") == (failure.vendor_code, failure.vendor_message)


def test_a_failed_inference_is_no_answer() -> None:
    """`network_error` as the finish reason is an error that is worth another try."""
    body = orjson.dumps(
        {"choices": [{"index": 0, "finish_reason": "network_error", "message": {"content": ""}}]}
    )
    with pytest.raises(ProviderUnavailable) as caught:
        Decoder(dialect_for("glm-4"), classify=classify).whole(body)
    assert "network_error" == caught.value.vendor_code
    assert caught.value.retryable


def test_thinking_in_the_text_is_taken_out() -> None:
    """glm-z1 writes its thinking into the text; it comes out as thinking."""
    body = orjson.dumps(
        {
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"content": "<think>\n想</think>\n答"},
                }
            ]
        }
    )
    fold = Fold()
    fold.feed(Decoder(dialect_for("glm-z1-air"), classify=classify).whole(body))
    message = fold.choices()[0].message
    assert ("想", "答") == (message.reasoning, message.text)


def test_other_answers_are_read() -> None:
    """Vectors come in the order of the inputs, pictures with their URL; nonsense is a protocol error."""
    result = embeddings.decode(RESPONSES["embeddings"]["http"]["body"].encode(), 1, classify)
    assert ((0.5, -0.25), Usage(4)) == (tuple(result.vectors[0]), result.usage)
    swapped = {"data": [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]}
    assert ([0.0], [1.0]) == embeddings.decode(orjson.dumps(swapped), 2, classify).vectors
    pictures = images.decode(RESPONSES["image"]["http"]["body"].encode(), classify)
    assert "https://example.invalid/i.png" == pictures.images[0].url
    assert 1712345678 == pictures.created
    for nonsense in (b"", b"[]", b"{}", b'{"data": []}', b'{"data": 1}', orjson.dumps(swapped)):
        with pytest.raises(ProviderProtocolError):
            embeddings.decode(nonsense, 1, classify)
    for nonsense in (b"", b"[]", b"{}", b'{"data": []}', b'{"data": [1]}'):
        with pytest.raises(ProviderProtocolError):
            images.decode(nonsense, classify)


# What is adapted, left out and refused.

KNOBS: dict[str, tuple[object, dict[str, object] | type[InvalidParameter] | None]] = {
    "temperature": (0.5, {"temperature": 0.5}),
    "top_p": (0.9, {"top_p": 0.9}),
    "top_k": (5, None),
    "max_tokens": (7, {"max_tokens": 7}),
    "stop": (("a",), {"stop": ["a"]}),
    "n": (2, InvalidParameter),
    "seed": (1, {"seed": 1}),
    "do_sample": (False, {"do_sample": False}),
    "presence_penalty": (0.1, None),
    "frequency_penalty": (0.2, None),
    "repetition_penalty": (1.1, None),
    "logit_bias": ({"1": 2.0}, None),
    "logprobs": (True, InvalidParameter),
    "top_logprobs": (3, InvalidParameter),
    "tools": (
        (Tool(name="f"),),
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ),
    "tool_choice": ("auto", {"tool_choice": "auto"}),
    "parallel_tool_calls": (False, None),
    "response_format": (
        ResponseFormat("json_object"),
        {"response_format": {"type": "json_object"}},
    ),
    "reasoning_effort": ("high", None),
    "user": ("user-123456", {"user_id": "user-123456"}),
    "extra": ({"meta": {"a": "b"}}, {"meta": {"a": "b"}}),
}
"""Each knob of `ChatParams` with a usual value, and what it becomes: sent, left out with a note (None), or refused."""

ADAPTED: dict[str, tuple[object, dict[str, object] | type[InvalidParameter]]] = {
    "temperature": (0, {"temperature": 0.01, "do_sample": False}),
    "top_p": (1, {"top_p": 0.99}),
    "stop": (("a", "b"), {"stop": ["a"]}),
    "tool_choice": ("required", InvalidParameter),
    "response_format": (ResponseFormat("json_schema", schema={}), InvalidParameter),
    "user": ("bob", {}),
}
"""Values beyond what the vendor takes: sent otherwise with a note, or refused."""


def added(knob: str, value: object, model: str = "glm-4") -> tuple[dict[str, Any], list[str]]:
    """What a knob adds to a body, and the notes."""
    body, notes = build(asked("x", model, **{knob: value}), dialect_for(model))
    return {name: body[name] for name in body if name not in ("model", "messages")}, notes


def test_the_table_of_knobs_is_complete() -> None:
    """No field of `ChatParams` is missing in the table."""
    assert {field.name for field in fields(ChatParams)} == set(KNOBS)


@pytest.mark.parametrize("knob", KNOBS)
def test_which_knob_reaches_the_wire(knob: str) -> None:
    """Each knob is sent, left out with a note that names it, or refused by its name."""
    value, expected = KNOBS[knob]
    if expected is InvalidParameter:
        with pytest.raises(InvalidParameter) as caught:
            added(knob, value)
        assert knob == caught.value.param
        return
    sent_, notes = added(knob, value)
    assert (expected or {}) == sent_
    assert ([knob] if expected is None else []) == [note.split()[0] for note in notes]


@pytest.mark.parametrize("knob", ADAPTED)
def test_which_values_are_adapted(knob: str) -> None:
    """A value beyond what the vendor takes is sent as the nearest with a note that names it, or refused."""
    value, expected = ADAPTED[knob]
    if expected is InvalidParameter:
        with pytest.raises(InvalidParameter) as caught:
            added(knob, value)
        assert knob == caught.value.param
        return
    sent_, notes = added(knob, value)
    assert expected == sent_
    (note,) = notes
    assert knob in note


@pytest.mark.parametrize("model", ["glm-4.5", "glm-4.6", "glm-4.7"])
def test_the_thinking_models_have_one_more_knob(model: str) -> None:
    """How hard to think reaches the models that can be told, as on or off, with a note."""
    sent_, notes = added("reasoning_effort", "high", model)
    assert {"thinking": {"type": "enabled"}} == sent_
    assert ["reasoning_effort"] == [note.split()[0] for note in notes]


def test_adapted_values_are_noted() -> None:
    """Each value that is sent otherwise than asked is told in a note."""
    request = asked(
        "x", temperature=0, top_p=1, stop=("a", "b"), user="bob", presence_penalty=1.0, top_k=5
    )
    body, notes = build(request, dialect_for("glm-4"))
    assert (0.01, 0.99, False, ["a"]) == (
        body["temperature"],
        body["top_p"],
        body["do_sample"],
        body["stop"],
    )
    assert not {"user", "user_id", "presence_penalty", "top_k"} & body.keys()
    told = " ".join(notes)
    for name in ("temperature", "top_p", "stop", "user", "presence_penalty", "top_k"):
        assert name in told


@given(strategies.chat_requests())
def test_usual_requests_need_no_note(request: ChatRequest) -> None:
    """A request within the usual ranges goes out as it was asked."""
    body, notes = build(request, dialect_for("glm-4"))
    assert [] == notes
    assert request.params.temperature == body.get("temperature")
    assert request.request_id == body["request_id"]


def test_developers_speak_as_the_system() -> None:
    """The role `developer` is sent as `system`, which is the vendor's word."""
    request = asked("x", before=(Message("developer", "be brief"),))
    assert "system" == sent(request)["messages"][0]["role"]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": (WEATHER,), "tool_choice": "required"}, "tool_choice"),
        ({"response_format": ResponseFormat("json_schema", schema={})}, "response_format"),
    ],
)
def test_features_the_vendor_lacks_are_refused(params: dict[str, Any], name: str) -> None:
    """A feature without which the answer would be another one is refused, by name."""
    with pytest.raises(InvalidParameter) as caught:
        sent(asked("x", **params))
    assert name == caught.value.param


@pytest.mark.parametrize("part", [AudioPart("AAAA", "wav"), FilePart(file_id="f")])
def test_parts_the_vendor_lacks_are_refused(part: AudioPart | FilePart) -> None:
    """Sounds and files in messages are refused; films are not."""
    with pytest.raises(InvalidParameter):
        sent(asked((part,)))
    body = sent(asked((VideoPart("https://example.com/a.mp4"),), "glm-4v-plus"))
    assert "video_url" == body["messages"][0]["content"][0]["type"]


def test_no_tool_is_called_where_none_shall_be() -> None:
    """`tool_choice: none` leaves the tools out, since the vendor documents no such value."""
    body = sent(asked("x", tools=(WEATHER,), tool_choice="none"))
    assert not {"tools", "tool_choice"} & body.keys()


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("glm-4.5", "high", {"type": "enabled"}),
        ("glm-4.6", "minimal", {"type": "disabled"}),
        ("glm-4", "high", None),
    ],
)
def test_effort_switches_thinking(model: str, effort: str, expected: object) -> None:
    """How hard to think becomes on or off, where the model has the switch; elsewhere it is left out. Both are noted."""
    body, notes = build(asked("x", model, reasoning_effort=effort), dialect_for(model))
    assert expected == body.get("thinking")
    assert "reasoning_effort" not in body
    assert 1 == len(notes)


def test_extra_parameters_win() -> None:
    """What the caller passes for this vendor only is sent untouched, an id of the request of its own included."""
    body = sent(asked("x", request_id="ours", extra={"request_id": "theirs", "meta": {"a": "b"}}))
    assert ("theirs", {"a": "b"}) == (body["request_id"], body["meta"])


# Errors.


@pytest.mark.parametrize("name", sorted(name for name in RESPONSES if name.startswith("error_")))
def test_recorded_errors_are_read(name: str) -> None:
    """Each recorded error has the class of its code, and keeps the code and the vendor's words."""
    http = RESPONSES[name]["http"]
    error = classify(http["status"], http["headers"], http["body"].encode())
    told = orjson.loads(http["body"])["error"]
    assert (ERRORS[told["code"]], told["code"], told["message"], http["status"]) == (
        type(error),
        error.vendor_code,
        error.vendor_message,
        error.status,
    )


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_documented_code_has_its_class(code: str) -> None:
    """Each code of the vendor's error page has a class of its own choosing."""
    assert code in ERRORS or code in ("435", "503")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "1003", ProviderAuthFailed),
        (429, "1113", QuotaExhausted),
        (429, "1302", RateLimited),
        (429, "1305", ProviderOverloaded),
        (429, "1308", QuotaExhausted),
        (429, "1321", QuotaExhausted),
        (400, "1261", ContextTooLong),
        (400, "1301", ContentRefused),
        (400, "1211", RequestRejected),
        (500, "1234", ProviderUnavailable),
        (500, "500", ProviderUnavailable),
        (434, "", ProviderAuthFailed),
        (435, "", RequestRejected),
        (429, "9999", RateLimited),
        (503, "9999", ProviderOverloaded),
    ],
)
def test_codes_come_before_statuses(status: int, code: str, kind: type[ProviderError]) -> None:
    """The code decides, as text or as a number; where it is not known, the status does, and the code is kept."""
    for written in {code, int(code or 0)}:
        body = orjson.dumps({"error": {"code": written, "message": "消息"}} if written else {})
        error = classify(status, {}, body)
        assert kind is type(error)
        assert (code or None) == error.vendor_code
