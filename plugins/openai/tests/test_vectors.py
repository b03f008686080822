"""What the official SDK sent and got, in `vectors/openai.json`: we send the same, and read the same out of it."""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Any

import orjson
import pytest

from fengchao_core.errors import ProviderError, RateLimited, RequestRejected
from fengchao_core.fold import Fold
from fengchao_core.kit.openai_chat import Decoder, encode
from fengchao_core.kit.sse import SseParser
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    Choice,
    EmbeddingRequest,
    ImagePart,
    ImageRequest,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)
from fengchao_openai import catalogue, embeddings, images, wire
from fengchao_openai.settings import OpenAISettings

CASES: dict[str, Any] = {
    case["name"]: case
    for case in orjson.loads((Path(__file__).parent / "vectors" / "openai.json").read_bytes())[
        "cases"
    ]
}
TEXT = "你好，mock reply 🙂"
USAGE = Usage(prompt_tokens=9, completion_tokens=6)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="Weather of a city", parameters=CITY)
ANSWER = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["answer", "score"],
    "additionalProperties": False,
}


def ask(*messages: Message, stream: bool = False, **params: Any) -> ChatRequest:
    """A request as the gateway seals it."""
    return ChatRequest(
        model="gpt-test", messages=messages, params=ChatParams(**params), stream=stream
    )


SAME: dict[str, ChatRequest] = {
    "chat_basic": ask(Message("user", "Say hello")),
    "chat_full_params": ask(
        Message("system", "Be terse."),
        Message("user", "hi"),
        temperature=0.3,
        top_p=0.9,
        max_tokens=256,
        n=2,
        stop=("###",),
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        seed=7,
        user="u-1",
        logprobs=True,
        top_logprobs=1,
    ),
    "chat_stream_usage": ask(Message("user", "Say hello"), stream=True),
    "tools_parallel": ask(
        Message("user", "Weather in Paris"),
        tools=(WEATHER, Tool(name="get_time", parameters=CITY)),
        tool_choice="auto",
        parallel_tool_calls=True,
    ),
    "tools_stream": ask(
        Message("user", "Weather in Paris"), stream=True, tools=(WEATHER,), tool_choice="required"
    ),
    "tools_result_turn": ask(
        Message("user", "Weather?"),
        Message("assistant", tool_calls=(ToolCall("call_a", "get_weather", '{"city":"Paris"}'),)),
        Message("tool", "21C", tool_call_id="call_a"),
        tools=(WEATHER,),
    ),
    "image_url": ask(
        Message(
            "user",
            (
                TextPart("Describe"),
                ImagePart(
                    CASES["image_url"]["call"]["args"]["messages"][0]["content"][1]["image_url"][
                        "url"
                    ],
                    "low",
                ),
            ),
        )
    ),
    "json_object": ask(
        Message("user", "JSON please"), response_format=ResponseFormat("json_object")
    ),
    "json_schema": ask(
        Message("user", "Answer"),
        response_format=ResponseFormat("json_schema", name="ans", strict=True, schema=ANSWER),
    ),
    "reasoning": ask(Message("user", "2+2?"), reasoning_effort="low"),
    "error_404_model": ChatRequest(model="no-such", messages=(Message("user", "hi"),)),
    "error_429_retried": ask(Message("user", "hi")),
    "error_429_should_retry_false": ask(Message("user", "hi")),
    "error_429_retry_after_too_long": ask(Message("user", "hi")),
    "error_400_should_retry_true": ask(Message("user", "hi")),
}


def settings_for(case: str) -> OpenAISettings:
    """OpenAI's own; one stream was recorded without asking for its usage."""
    return OpenAISettings(include_usage=case != "tools_stream")


def answer_in(case: dict[str, Any]) -> tuple[tuple[Choice, ...], Usage | None]:
    """What our decoder reads in a case's answer, whole or streamed."""
    response = case["response"]
    decoder = Decoder(wire.dialect_of(OpenAISettings()), classify=wire.classify)
    if "stream" in response:
        deltas = decoder.decode(SseParser().feed(response["stream"].encode()))
        deltas += decoder.close()
    else:
        deltas = decoder.whole(orjson.dumps(response["body"]))
    fold = Fold()
    fold.feed(deltas)
    return fold.choices(), next((delta.usage for delta in reversed(deltas) if delta.usage), None)


@pytest.mark.parametrize("name", sorted(SAME))
def test_the_request_is_the_sdks(name: str) -> None:
    """For the same question we send the body that the official SDK sends."""
    body = orjson.loads(encode(SAME[name], wire.dialect_of(settings_for(name))).body)
    assert CASES[name]["request"]["body"] == body


def test_every_chat_vector_is_looked_at() -> None:
    """No recorded chat is left out."""
    chats = {
        name for name, case in CASES.items() if case["call"]["method"] == "chat.completions.create"
    }
    assert chats == set(SAME)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in sorted(SAME)
        if not n.startswith(("error", "tools_parallel", "tools_stream", "json"))
    ],
)
def test_the_text_is_what_the_sdk_saw(name: str) -> None:
    """Text, finish reason and usage of whole and streamed answers."""
    choices, usage = answer_in(CASES[name])
    assert TEXT == choices[0].message.content
    assert "stop" == choices[0].finish_reason
    assert usage is not None
    assert (USAGE.prompt_tokens, USAGE.completion_tokens) == (
        usage.prompt_tokens,
        usage.completion_tokens,
    )


def test_several_choices_with_log_probabilities() -> None:
    """Two choices, each with the log-probabilities of its tokens."""
    choices, _ = answer_in(CASES["chat_full_params"])
    recorded = CASES["chat_full_params"]["response"]["body"]["choices"]
    assert [0, 1] == [choice.index for choice in choices]
    assert [tuple(c["logprobs"]["content"]) for c in recorded] == [c.logprobs for c in choices]


@pytest.mark.parametrize("name", ["json_object", "json_schema"])
def test_json_answers(name: str) -> None:
    """The text of a JSON mode is passed on as it is."""
    choices, _ = answer_in(CASES[name])
    assert (
        CASES[name]["response"]["body"]["choices"][0]["message"]["content"]
        == choices[0].message.text
    )


def test_parallel_tool_calls() -> None:
    """Two calls of one whole answer; the content stays null."""
    choices, _ = answer_in(CASES["tools_parallel"])
    message = choices[0].message
    assert message.content is None
    assert (
        ToolCall("call_0", "get_weather", '{"city": "text"}'),
        ToolCall("call_1", "get_time", '{"city": "text"}'),
    ) == message.tool_calls
    assert "tool_calls" == choices[0].finish_reason


def test_streamed_tool_calls() -> None:
    """Calls that come in fragments join, in order, and no usage was asked for."""
    choices, usage = answer_in(CASES["tools_stream"])
    assert (
        ToolCall("call_0", "get_weather", '{"city": "text"}'),
        ToolCall("call_1", "get_weather", '{"city": "text"}'),
    ) == choices[0].message.tool_calls
    assert "tool_calls" == choices[0].finish_reason
    assert usage is None


def test_reasoning() -> None:
    """What an endpoint shows of the thinking, and the tokens it spent on it."""
    choices, usage = answer_in(CASES["reasoning"])
    assert "think…" == choices[0].message.reasoning
    assert Usage(9, 6, reasoning_tokens=2) == usage


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("error_404_model", RequestRejected, "model_not_found"),
        ("models_retrieve_404", RequestRejected, "model_not_found"),
        ("error_429_retried", RateLimited, "rate_limit_exceeded"),
        ("error_429_should_retry_false", RateLimited, "rate_limit_exceeded"),
        ("error_429_retry_after_too_long", RateLimited, "rate_limit_exceeded"),
        ("error_400_should_retry_true", RequestRejected, "mock_code"),
    ],
)
def test_errors(name: str, kind: type[ProviderError], code: str) -> None:
    """Recorded errors become their classes and keep their codes."""
    response = CASES[name]["response"]
    error = wire.classify(response["status"], {}, orjson.dumps(response["body"]))
    assert kind is type(error)
    assert code == error.vendor_code
    assert response["body"]["error"]["message"] == error.vendor_message


def test_embeddings_as_base64() -> None:
    """One text, asked for as the SDK asks by default, decoded as it decodes."""
    case = CASES["embeddings_default"]
    request = EmbeddingRequest(model="text-embedding-3-small", inputs=("hello",))
    assert case["request"]["body"] == orjson.loads(embeddings.encode_embeddings(request, "base64"))
    result = embeddings.decode_embeddings(orjson.dumps(case["response"]["body"]), 1, wire.classify)
    raw = base64.b64decode(case["response"]["body"]["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == list(result.vectors[0])
    assert Usage(prompt_tokens=5) == result.usage


def test_embeddings_as_floats() -> None:
    """Several texts with chosen dimensions, as lists of floats."""
    case = CASES["embeddings_float"]
    request = EmbeddingRequest(model="text-embedding-3-small", inputs=("a", "b"), dimensions=3)
    assert case["request"]["body"] == orjson.loads(embeddings.encode_embeddings(request, "float"))
    result = embeddings.decode_embeddings(orjson.dumps(case["response"]["body"]), 2, wire.classify)
    assert ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) == result.vectors


def test_models() -> None:
    """The ids of a list of models."""
    assert ("mock-model",) == catalogue.decode_models(
        orjson.dumps(CASES["models_list"]["response"]["body"]), wire.classify
    )


def test_images() -> None:
    """A picture is asked for as the SDK asks, and read with its usage."""
    case = CASES["images_generate"]
    request = ImageRequest(
        model="gpt-image-2", prompt="a red dot", n=1, size="1024x1024", quality="low"
    )
    assert case["request"]["body"] == orjson.loads(images.encode_image(request))
    result = images.decode_images(orjson.dumps(case["response"]["body"]), wire.classify)
    assert ["aGk="] == [image.b64_json for image in result.images]
    assert Usage(1, 2) == result.usage
    assert 1_700_000_000 == result.created


def test_file_upload() -> None:
    """A file goes out in the form the SDK sends, field by field."""
    content_type, body = catalogue.encode_file("data.jsonl", b"{}\n", "batch")
    boundary = content_type.partition("boundary=")[2]
    recorded = CASES["files_create"]["request"]["body"]["multipart_text"]
    assert recorded == body.decode().replace(boundary, "BOUNDARY")
