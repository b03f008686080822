"""What the official SDK sent and got, in `vectors/moonshot.json`: we send the same, and read the same out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fengchao_core.fold import Fold
from fengchao_core.kit.openai_chat import Decoder, encode
from fengchao_core.kit.sse import SseParser
from fengchao_core.testing import ScriptedVendor, json_answer, open_provider
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    Choice,
    Delta,
    Message,
    Tool,
    ToolCall,
    Usage,
)
from fengchao_moonshot import SPEC, account, files, wire
from fengchao_moonshot.provider import MoonshotProvider

CASES: dict[str, Any] = {
    case["name"]: case
    for case in orjson.loads((Path(__file__).parent / "vectors" / "moonshot.json").read_bytes())[
        "cases"
    ]
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool(name="get_weather", description="Weather of a city", parameters=CITY)


def ask(model: str, *messages: Message, stream: bool = False, **params: Any) -> ChatRequest:
    """A request as the gateway seals it."""
    return ChatRequest(model=model, messages=messages, params=ChatParams(**params), stream=stream)


CHATS: dict[str, ChatRequest] = {
    "chat": ask("kimi-k2.6", Message("system", "你是 Kimi"), Message("user", "你好")),
    "stream": ask("moonshot-v1-8k", Message("user", "你好"), stream=True, temperature=0.3),
    "thinking_disabled": ask(
        "kimi-k2.6", Message("user", "1+1"), extra={"thinking": {"type": "disabled"}}
    ),
    "tools": ask("kimi-k2.6", Message("user", "天气"), tools=(WEATHER,)),
}


def answer_in(name: str) -> tuple[Choice, Usage | None]:
    """What our decoder reads in a case's answer, whole or streamed."""
    response = CASES[name]["response"]
    decoder = Decoder(wire.dialect_for(CHATS[name].model), classify=wire.classify)
    deltas: list[Delta]
    if "stream" in response:
        deltas = decoder.decode(SseParser().feed(response["stream"].encode())) + decoder.close()
    else:
        deltas = decoder.whole(orjson.dumps(response["body"]))
    fold = Fold()
    fold.feed(deltas)
    (choice,) = fold.choices()
    return choice, next((delta.usage for delta in reversed(deltas) if delta.usage), None)


def test_every_vector_is_looked_at() -> None:
    """No recording is left out."""
    others = {"file_extract_upload", "file_content", "file_delete", "estimate_tokens"}
    assert set(CASES) == set(CHATS) | others


@pytest.mark.parametrize("name", sorted(CHATS))
def test_the_request_is_the_sdks(name: str) -> None:
    """For the same question we send the body that the official SDK sends."""
    body = encode(CHATS[name], wire.dialect_for(CHATS[name].model)).body
    assert CASES[name]["request"]["body"] == orjson.loads(body)


@pytest.mark.parametrize("name", ["chat", "stream", "thinking_disabled"])
def test_the_text_is_what_the_sdk_saw(name: str) -> None:
    """Text, finish reason and usage of whole and streamed answers."""
    choice, usage = answer_in(name)
    assert "你好，mock reply 🙂" == choice.message.content
    assert "stop" == choice.finish_reason
    assert Usage(9, 6) == usage


def test_tool_calls() -> None:
    """Two calls of one answer, with the ids that the vendor gave them."""
    choice, _ = answer_in("tools")
    assert "tool_calls" == choice.finish_reason
    assert (
        ToolCall("call_0", "get_weather", '{"city": "text"}'),
        ToolCall("call_1", "get_weather", '{"city": "text"}'),
    ) == choice.message.tool_calls


def test_file_upload() -> None:
    """A file goes out in the form the SDK sends, field by field."""
    content_type, body = files.encode_file("xlnet.pdf", b"%PDF-1.4 test", files.EXTRACT)
    boundary = content_type.partition("boundary=")[2]
    recorded = CASES["file_extract_upload"]["request"]["body"]["multipart_text"]
    assert recorded == body.decode().replace(boundary, "BOUNDARY")


def test_estimate() -> None:
    """The prompt alone goes out, and its tokens come back."""
    case = CASES["estimate_tokens"]
    request = ask("kimi-k2.6", Message("user", "你好"), max_tokens=5)
    assert case["request"]["body"] == orjson.loads(wire.encode_estimate(request))
    answer = orjson.dumps(case["response"]["body"])
    assert 80 == account.decode_estimate(answer, wire.classify)


async def test_method_path_and_key() -> None:
    """Each call goes where the SDK's goes, with the key as it sends it."""
    name = "file-2ee6ef28"
    async with ScriptedVendor() as vendor:
        vendor.answers(
            *(
                json_answer(CASES[case]["response"]["body"])
                for case in ("file_content", "file_delete", "estimate_tokens", "chat")
            )
        )
        settings = {"base_url": f"{vendor.base_url}/v1", "api_key": "sk-moon"}
        async with open_provider(SPEC, settings) as provider:
            assert isinstance(provider, MoonshotProvider)
            extracted = await provider.read_file(name)
            await provider.delete(name)
            assert 80 == await provider.count_tokens(ask("kimi-k2.6", Message("user", "你好")))
            _ = [batch async for batch in provider.stream(CHATS["chat"])]
        sent = [(each.method, each.path) for each in vendor.requests]
        keys = {each.headers["Authorization"] for each in vendor.requests}
    recorded = [
        CASES[case]["request"]
        for case in ("file_content", "file_delete", "estimate_tokens", "chat")
    ]
    assert [(each["method"], each["path"]) for each in recorded] == sent
    assert {each["headers"]["authorization"] for each in recorded} == keys
    assert ("hello", "a.txt", "text/plain") == (
        extracted.content,
        extracted.filename,
        extracted.file_type,
    )
    assert CASES["file_content"]["response"]["body"] == orjson.loads(extracted.text)
