"""The HTTP API and the signed HTTP services on the wire, as the vendor's clients speak them."""

from __future__ import annotations

import dataclasses
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import orjson
import pytest

from fengchao_core.errors import (
    InvalidParameter,
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
    QuotaExhausted,
    RequestRejected,
)
from fengchao_core.kit.openai_chat import build
from fengchao_core.testing import (
    ScriptedVendor,
    answer_of,
    deltas_of,
    json_answer,
    open_provider,
    sse_answer,
)
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    EmbeddingRequest,
    ImagePart,
    ImageRequest,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    Usage,
)
from fengchao_spark import SPEC, embeddings, images
from fengchao_spark.codes import classify
from fengchao_spark.endpoints import endpoint_of
from fengchao_spark.http_wire import base_of, dialect_of

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "spark.json").read_text("utf-8")
)["cases"]
CHATS = [case for case in CASES if case["kind"] == "chat_http"]
EMBEDDINGS = [case for case in CASES if case["kind"] == "embedding"]
TOOL = Tool(name="f", parameters={"type": "object"})


def asked(
    content: Any = "x", model: str = "4.0Ultra", *, stream: bool = False, **params: Any
) -> ChatRequest:
    """A request of one message, or of the messages given."""
    messages = content if isinstance(content, list) else [Message("user", content)]
    return ChatRequest(
        model=model, messages=tuple(messages), params=ChatParams(**params), stream=stream
    )


def sent(request: ChatRequest) -> tuple[dict[str, Any], list[str]]:
    """The body of a request, and what was noted."""
    return build(request, dialect_of(endpoint_of(request.model)))


# Chat.


def recorded(inputs: dict[str, Any]) -> ChatRequest:
    """A recorded call as our request."""
    params = {key: value for key, value in inputs["params"].items() if key != "extra_body"}
    tools = tuple(Tool(**tool["function"]) for tool in params.pop("tools", ()))
    messages = [Message(item["role"], item["content"]) for item in inputs["messages"]]
    return asked(messages, inputs["model"], stream=inputs["stream"], tools=tools, **params)


@pytest.mark.parametrize("vector", CHATS, ids=lambda case: case["id"])
async def test_calls_are_the_clients(vector: dict[str, Any]) -> None:
    """Path, authorization and body are what the vendor's recommended client sends, and its answer is read alike."""
    inputs, expected = vector["inputs"], vector["expected"]
    reply = inputs["server_reply"]
    error, said = None, None
    async with ScriptedVendor() as vendor:
        settings = {
            "api_password": inputs["api_password"],
            "http_base_url": f"{vendor.base_url}/v1",
        }
        async with open_provider(SPEC, settings) as provider:
            if inputs["stream"]:
                vendor.answers(sse_answer(*reply["body"], b"data: [DONE]\n\n"))
            else:
                vendor.answers(json_answer(reply["body"], status=reply["status"]))
            try:
                said = await answer_of(provider, recorded(inputs))
            except ProviderError as caught:
                error = caught
        (received,) = vendor.requests
    assert (expected["method"], expected["path"]) == (received.method, received.path)
    assert expected["headers"]["authorization"] == received.headers["Authorization"]
    assert expected["body"] == {"stream": False, **received.json()}
    result = expected["result_as_parsed_by_client"]
    if "error" in result:
        assert isinstance(error, ProviderAuthFailed)
        told = result["error"]
        assert (told["http_status"], told["body"]["message"]) == (
            error.status,
            error.vendor_message,
        )
        return
    assert said is not None
    (choice,), usage = said
    text = result.get("text", "".join(result.get("deltas", ())))
    assert text == choice.message.text
    counted = result.get("usage") or result["last_usage"]
    assert Usage(counted["prompt_tokens"], counted["completion_tokens"]) == usage
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in result.get("tool_calls") or ()]  # fmt: skip
    assert calls == [(c.id, c.name, c.arguments) for c in choice.message.tool_calls]


@pytest.mark.parametrize(
    ("base_url", "version", "expected"),
    [
        ("https://spark-api-open.xf-yun.com/v1", "v1", "https://spark-api-open.xf-yun.com/v1"),
        ("https://spark-api-open.xf-yun.com/v1/", "v2", "https://spark-api-open.xf-yun.com/v2"),
        ("http://127.0.0.1:9", "v1", "http://127.0.0.1:9/v1"),
        ("http://127.0.0.1:9/proxy/v2", "v1", "http://127.0.0.1:9/proxy/v1"),
    ],
)
def test_versions_share_one_setting(base_url: str, version: str, expected: str) -> None:
    """The setting may end with a version or not; each model goes to its own."""
    assert expected == base_of(base_url, version)


async def test_x1_has_its_own_version() -> None:
    """X1 answers under `/v2`; what the HTTP API lacks needs the credentials of the WebSocket."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(CHATS[0]["inputs"]["server_reply"]["body"]))
        settings = {"api_password": "pass", "http_base_url": vendor.base_url}
        async with open_provider(SPEC, settings) as provider:
            await deltas_of(provider, asked("x", "x1"))
            assert ["/v2/chat/completions"] == [each.path for each in vendor.requests]
            for model in ("generalv2", "image", "xsp1"):
                with pytest.raises(ProviderAuthFailed) as caught:
                    await deltas_of(provider, asked("x", model))
                assert "app_id" in caught.value.message
        assert 1 == len(vendor.requests)


SENT = {
    "temperature": (1.5, {"temperature": 1.5}),
    "top_p": (1.0, {"top_p": 1.0}),
    "top_k": (3, {"top_k": 3}),
    "max_tokens": (100, {"max_tokens": 100}),
    "presence_penalty": (1.0, {"presence_penalty": 1.0}),
    "frequency_penalty": (1.0, {"frequency_penalty": 1.0}),
    "response_format": (
        ResponseFormat("json_object"),
        {"response_format": {"type": "json_object"}},
    ),
    "tool_choice": ("required", {"tool_choice": "required"}),
    "user": ("bob", {"user": "bob"}),
    "extra": ({"meta": 1}, {"meta": 1}),
    "tools": (
        (TOOL,),
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
            ],
            "tool_calls_switch": True,
        },
    ),
}
ADAPTED = {
    "temperature": (0, {"temperature": 0.01}),
    "top_p": (0, {"top_p": 0.01}),
    "top_k": (9, {"top_k": 6}),
    "max_tokens": (9000, {"max_tokens": 8192}),
    "presence_penalty": (-1, {"presence_penalty": 0}),
    "frequency_penalty": (2, {"frequency_penalty": 1}),
    "do_sample": (False, {"temperature": 0.01, "top_k": 1}),
    "stop": (("a",), {}),
    "seed": (1, {}),
    "repetition_penalty": (1.1, {}),
    "logit_bias": ({"1": 1.0}, {}),
    "parallel_tool_calls": (True, {}),
    "reasoning_effort": ("high", {}),
    "extra": ({"model": "y"}, {}),
}
REFUSED = {
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "response_format": ResponseFormat("json_schema", schema={}),
}


def test_the_table_of_knobs_is_whole() -> None:
    """Every knob of a request has its place in the tables below."""
    knobs = {field.name for field in dataclasses.fields(ChatParams)}
    assert knobs == SENT.keys() | ADAPTED.keys() | REFUSED.keys()


@pytest.mark.parametrize("knob", SENT)
def test_knobs_that_are_sent(knob: str) -> None:
    """These knobs reach the wire as they are, with no note."""
    value, expected = SENT[knob]
    body, notes = sent(asked(**{knob: value}))
    assert ({"model": "4.0Ultra", "messages": [{"role": "user", "content": "x"}], **expected}, []) == (body, notes)  # fmt: skip


@pytest.mark.parametrize("knob", ADAPTED)
def test_knobs_that_are_adapted(knob: str) -> None:
    """These are brought into the vendor's range or left out, and one note names each."""
    value, expected = ADAPTED[knob]
    body, notes = sent(asked(**{knob: value}))
    assert {"model": "4.0Ultra", "messages": [{"role": "user", "content": "x"}], **expected} == body
    assert 1 == len(notes)
    assert ("model" if knob == "extra" else knob) in notes[0]


@pytest.mark.parametrize("knob", REFUSED)
def test_knobs_that_are_refused(knob: str) -> None:
    """What would make another answer of it is refused, by name."""
    with pytest.raises(InvalidParameter) as caught:
        sent(asked(**{knob: REFUSED[knob]}))
    assert knob == caught.value.param


def test_messages_are_plain_texts() -> None:
    """Parts are joined to one text, a missing one is empty, developers speak as the system, pictures are refused."""
    messages = [
        Message("developer", "S"),
        Message("user", (TextPart("a"), TextPart("b"))),
        Message("assistant"),
        Message("user", "c"),
    ]
    body, _ = sent(asked(messages))
    expected = [("system", "S"), ("user", "ab"), ("assistant", ""), ("user", "c")]
    assert expected == [(each["role"], each["content"]) for each in body["messages"]]
    with pytest.raises(InvalidParameter):
        sent(asked((ImagePart("data:image/png;base64,aGk="),)))


def test_no_tool_is_called_where_none_shall_be() -> None:
    """`tool_choice: none` leaves the tools out, since the vendor documents no such value."""
    body, _ = sent(asked(tools=(TOOL,), tool_choice="none"))
    assert not {"tools", "tool_choice", "tool_calls_switch"} & body.keys()


async def test_a_failed_chunk_is_raised_after_its_text() -> None:
    """A chunk with a code ends the stream with its error and `sid`, what came before it is passed on."""
    good = {"code": 0, "sid": "s1", "choices": [{"delta": {"content": "你"}, "index": 0}]}
    for bad in (
        {"code": 11200, "message": "no", "sid": "s1", "choices": []},
        {"message": "no", "sid": "s1", "choices": [{"delta": {}, "index": 0}], "code": 11200},
    ):
        async with ScriptedVendor() as vendor:
            settings = {"api_password": "pass", "http_base_url": vendor.base_url}
            async with open_provider(SPEC, settings) as provider:
                vendor.answers(sse_answer(good, bad, b"data:[DONE]\n\n"))
                texts: list[str] = []
                with pytest.raises(QuotaExhausted) as caught:
                    async for batch in provider.stream(asked(stream=True)):
                        texts += [delta.text for delta in batch]
        assert (["你"], "11200", "s1") == (
            texts,
            caught.value.vendor_code,
            caught.value.vendor_request_id,
        )


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "sid"),
    [
        (400, {"error": {"message": "m", "code": "10005"}}, RequestRejected, "10005", None),
        (401, {"message": "m"}, ProviderAuthFailed, None, None),
        (200, {"code": 11200, "message": "m", "sid": "s"}, QuotaExhausted, "11200", "s"),
        (200, {"header": {"code": 11200, "message": "m", "sid": "s"}}, QuotaExhausted, "11200", "s"),
        (500, {"header": {"code": 99999, "message": "m"}}, ProviderError, "99999", None),
    ],
)  # fmt: skip
def test_errors_have_four_shapes(
    status: int, body: object, kind: type[ProviderError], code: str | None, sid: str | None
) -> None:
    """Code, words and `sid` are found in each of the vendor's shapes; an unknown code leaves it to the status."""
    error = classify(status, {}, orjson.dumps(body))
    assert isinstance(error, kind)
    assert (code, "m", sid) == (error.vendor_code, error.vendor_message, error.vendor_request_id)


# Embeddings.


@pytest.mark.parametrize("vector", EMBEDDINGS, ids=lambda case: case["id"])
def test_embeddings_are_the_sdks(vector: dict[str, Any]) -> None:
    """Body and answer are what the vendor's SDK sends and reads."""
    inputs, expected = vector["inputs"], vector["expected"]
    model = f"spark-embedding-{inputs['domain']}"
    service = embeddings.service_of(model)
    request = EmbeddingRequest(model=model, inputs=(inputs["text"],), user="39769795890")
    body = json.loads(embeddings.encode(request, inputs["text"], service, inputs["app_id"]))
    text = body["payload"]["messages"].pop("text")
    assert expected["path"] == service.path
    assert expected["decoded_text"] == json.loads(b64decode(text))
    assert text
    expected["body"]["payload"]["messages"].pop("text", None)
    assert expected["body"] == body
    reply = orjson.dumps(inputs["server_reply"])
    if "error" in expected["result_as_parsed_by_sdk"]:
        with pytest.raises(QuotaExhausted) as caught:
            embeddings.decode(reply, classify)
        assert ("11200", "ase1") == (caught.value.vendor_code, caught.value.vendor_request_id)
    else:
        vector_ = expected["result_as_parsed_by_sdk"]["vector"]
        assert vector_ == embeddings.decode(reply, classify)


def test_private_services_take_no_domain() -> None:
    """The services with an address for each kind are told apart by it alone."""
    request = EmbeddingRequest(model="spark-embedding-p", inputs=("x",))
    service = embeddings.service_of(request.model)
    body = json.loads(embeddings.encode(request, "x", service, "a"))
    assert (True, {"feature": {"encoding": "utf8"}}) == (
        service.is_private,
        body["parameter"]["emb"],
    )
    with pytest.raises(InvalidParameter):
        embeddings.service_of("spark-embedding-z")
    with pytest.raises(InvalidParameter):
        embeddings.encode(dataclasses.replace(request, dimensions=5), "x", service, "a")


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"[]",
        b"{}",
        b'{"header":{"code":0}}',
        b'{"header":{"code":0},"payload":{"feature":{"text":""}}}',
        b'{"header":{"code":0},"payload":{"feature":{"text":"AAA"}}}',
        b'{"header":{"code":0},"payload":{"feature":{"text":"AAAA"}}}',
    ],
)
def test_nonsense_is_a_protocol_error(reply: bytes) -> None:
    """A reply that is not what the vendor documents is told so."""
    with pytest.raises(ProviderProtocolError):
        embeddings.decode(reply, classify)
    with pytest.raises(ProviderProtocolError):
        images.decode(reply, classify, created=1)


# Pictures.


def test_pictures_are_asked_for_by_size() -> None:
    """Width and height are numbers, the domain is the vendor's, and the picture comes as data."""
    request = ImageRequest(model="spark-tti", prompt="一只猫", size="1280x720", user="u")
    assert {
        "header": {"app_id": "a", "uid": "u"},
        "parameter": {"chat": {"domain": "general", "width": 1280, "height": 720}},
        "payload": {"message": {"text": [{"role": "user", "content": "一只猫"}]}},
    } == json.loads(images.encode(request, "a"))
    data = b64encode(b"png").decode()
    reply = {"header": {"code": 0}, "payload": {"choices": {"text": [{"content": data}]}}}
    result = images.decode(orjson.dumps(reply), classify, created=7)
    assert (data, 7) == (result.images[0].b64_json, result.created)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("size", "1x1"),
        ("quality", "hd"),
        ("style", "vivid"),
        ("negative_prompt", "x"),
        ("response_format", "url"),
    ],
)
def test_pictures_the_vendor_does_not_draw_are_refused(name: str, value: Any) -> None:
    """What the vendor lacks is refused, by name."""
    request = ImageRequest(model="spark-tti", prompt="x")
    with pytest.raises(InvalidParameter) as caught:
        images.encode(dataclasses.replace(request, **{name: value}), "a")
    assert name == caught.value.param
