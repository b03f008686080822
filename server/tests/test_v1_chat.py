"""`POST /v1/chat/completions`, answered whole and as a stream, over a real connection."""

from typing import Any

import orjson
import pytest

from fengchao_core.types import Delta, TextPart, ToolCallFragment, Usage

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


async def events_of(bench: Any, **fields: Any) -> list[Any]:
    """The events of a stream, parsed; `[DONE]` as text."""
    body = {
        "model": "online-1",
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        **fields,
    }
    async with bench.client.post(
        "/v1/chat/completions", json=body, headers=bench.bearer
    ) as response:
        assert 200 == response.status
        assert "text/event-stream; charset=utf-8" == response.headers["Content-Type"]
        assert "no-cache" == response.headers["Cache-Control"]
        text = await response.text()
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else orjson.loads(line) for line in lines]


async def test_whole_answer(bench):
    """A whole answer has OpenAI's shape, the caller's model name and the usage."""
    status, answer = await bench.chat()
    assert 200 == status
    assert "chat.completion" == answer["object"]
    assert "online-1" == answer["model"]
    choice = answer["choices"][0]
    assert {"role": "assistant", "content": "你好，世界", "refusal": None} == choice["message"]
    assert ("stop", None, 0) == (choice["finish_reason"], choice["logprobs"], choice["index"])
    assert (3, 4, 7) == tuple(
        answer["usage"][k] for k in ("prompt_tokens", "completion_tokens", "total_tokens")
    )


async def test_stream_order(bench):
    """A stream begins with the role, then brings text, the finish reason alone, and [DONE]."""
    first, hello, world, last, done = await events_of(bench)
    assert {"role": "assistant", "content": ""} == first["choices"][0]["delta"]
    assert [{"content": "你好"}, {"content": "，世界"}] == [
        event["choices"][0]["delta"] for event in (hello, world)
    ]
    assert ({}, "stop") == (last["choices"][0]["delta"], last["choices"][0]["finish_reason"])
    assert "[DONE]" == done
    assert 1 == len({event["id"] for event in (first, hello, world, last)})
    assert not any("usage" in event for event in (first, hello, world, last))


async def test_stream_with_usage(bench):
    """With include_usage every chunk says usage null, and one more without choices holds it."""
    *chunks, usage, done = await events_of(bench, stream_options={"include_usage": True})
    assert "[DONE]" == done
    assert [None] * len(chunks) == [chunk["usage"] for chunk in chunks]
    assert ([], 7) == (usage["choices"], usage["usage"]["total_tokens"])


async def test_tool_calls_in_a_stream(bench):
    """Fragments of tool calls carry id and name once, and text that is JSON only when joined."""
    bench.provider.will(
        [Delta(tool_calls=(ToolCallFragment(0, "call_1", "weather", ""),))],
        [
            Delta(
                tool_calls=(
                    ToolCallFragment(0, arguments='{"city":'),
                    ToolCallFragment(1, "call_2", "weather"),
                )
            )
        ],
        [Delta(tool_calls=(ToolCallFragment(0, arguments='"北京"}'),))],
        [Delta(finish_reason="tool_calls")],
    )
    events = (await events_of(bench, tools=[WEATHER]))[:-1]
    fragments = [
        fragment
        for event in events
        for fragment in event["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert ["call_1", "call_2"] == [f["id"] for f in fragments if "id" in f]
    assert {"city": "北京"} == orjson.loads(
        "".join(f["function"]["arguments"] for f in fragments if f["index"] == 0)
    )
    assert "tool_calls" == events[-1]["choices"][0]["finish_reason"]


async def test_tool_calls_in_a_whole_answer(bench):
    """A whole answer that only calls tools has null content and the calls."""
    bench.provider.will(
        [Delta(tool_calls=(ToolCallFragment(0, "call_1", "weather", "{}"),))],
        [Delta(finish_reason="tool_calls")],
    )
    _, answer = await bench.chat(tools=[WEATHER], tool_choice="auto")
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    assert [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    ] == message["tool_calls"]
    assert "weather" == bench.provider.requests[0].params.tools[0].name


async def test_several_choices_do_not_mix(bench):
    """Choices that arrive interleaved keep their index, and each begins with its role."""
    bench.provider.will(
        [Delta("a"), Delta("b", index=1)],
        [Delta("A"), Delta("B", index=1)],
        [Delta(finish_reason="stop"), Delta(finish_reason="length", index=1)],
    )
    said = {0: "", 1: ""}
    roles = []
    for event in (await events_of(bench, n=2))[:-1]:
        choice = event["choices"][0]
        said[choice["index"]] += choice["delta"].get("content", "")
        roles += [choice["index"]] * ("role" in choice["delta"])
    assert {0: "aA", 1: "bB"} == said
    assert [0, 1] == roles


async def test_reasoning_and_logprobs(bench):
    """Thinking text and log-probabilities reach the caller, whole and streamed."""
    token = {"token": "x", "logprob": -0.1, "bytes": None, "top_logprobs": []}
    bench.provider.will(
        [Delta(reasoning="hm")], [Delta("x", logprobs=[token])], [Delta(finish_reason="stop")]
    )
    _, answer = await bench.chat(logprobs=True, top_logprobs=1)
    choice = answer["choices"][0]
    assert "hm" == choice["message"]["reasoning_content"]
    assert {"content": [token], "refusal": None} == choice["logprobs"]
    events = (await events_of(bench, logprobs=True))[:-1]
    assert "hm" == "".join(e["choices"][0]["delta"].get("reasoning_content", "") for e in events)
    assert [[token]] == [
        e["choices"][0]["logprobs"]["content"] for e in events if e["choices"][0]["logprobs"]
    ]


async def test_vendor_facts_never_hide_ours(bench):
    """What only the vendor knows is passed on beside our own fields, never over them."""
    bench.provider.will(
        [Delta("x", extra={"system_fingerprint": "fp_1", "id": "theirs", "model": "theirs"})],
        [Delta(finish_reason="stop")],
    )
    _, answer = await bench.chat()
    assert ("fp_1", "online-1") == (answer["system_fingerprint"], answer["model"])
    assert answer["id"].startswith("chatcmpl-")


async def test_what_the_provider_gets(bench):
    """Roles, parts, parameters and unknown fields arrive checked; explicit nulls count as absent."""
    status, _ = await bench.chat(
        messages=[
            {"role": "developer", "content": "be brief, in JSON"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ],
        temperature=0,
        max_completion_tokens=9,
        stop=["a", "b"],
        seed=None,
        top_p=None,
        stream_options=None,
        response_format={"type": "json_object"},
        prompt_cache_key="k",
        metadata={"a": "b"},
    )
    assert 200 == status
    request = bench.provider.requests[0]
    assert ["developer", "user", "assistant", "tool"] == [m.role for m in request.messages]
    assert (TextPart("hi"),) == request.messages[1].content
    assert "f" == request.messages[2].tool_calls[0].name
    params = request.params
    assert (0, 9, ("a", "b")) == (params.temperature, params.max_tokens, params.stop)
    assert (None, None) == (params.seed, params.top_p)
    assert "json_object" == params.response_format.type
    assert {"prompt_cache_key": "k", "metadata": {"a": "b"}} == dict(params.extra)


async def test_pictures_and_files(bench):
    """Pictures, sounds, films and files arrive as parts."""
    await bench.chat(
        messages=[
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "https://x.test/a.png", "detail": "low"},
                    },
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            }
        ]
    )
    kinds = [type(part).__name__ for part in bench.provider.requests[0].messages[0].content]
    assert ["ImagePart", "ImagePart", "AudioPart", "VideoPart", "FilePart"] == kinds


async def test_usage_is_booked_under_the_key(bench):
    """A request is booked with its key, model, provider and tokens."""
    await bench.chat()
    await bench.gateway.flush()
    (row,) = await bench.gateway.store.usage.rows()
    assert (bench.key.api_key, "online-1", "scripted", "ok", 3, 4) == (
        row.key, row.model, row.provider, row.outcome, row.prompt_tokens, row.completion_tokens,
    )  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/chat/completions/"])
async def test_trailing_slash(bench, path):
    """The path works with and without its trailing slash."""
    status, _ = await bench.post(
        path, {"model": "online-1", "messages": [{"role": "user", "content": "hi"}]}
    )
    assert 200 == status


async def test_finish_and_text_in_one_delta(bench):
    """A provider that says text and end at once is worded as two chunks, as clients expect."""
    bench.provider.will([Delta("all", finish_reason="stop", usage=Usage(1, 1))])
    events = (await events_of(bench))[:-1]
    assert [("", None), ("all", None), (None, "stop")] == [
        (e["choices"][0]["delta"].get("content"), e["choices"][0]["finish_reason"]) for e in events
    ]


async def test_line_ends_of_unicode(bench):
    """Characters at which careless clients split lines arrive whole, and never as themselves."""
    text = "a\u2028b\u2029c\x85d“e”"
    bench.provider.will([Delta(text)], [Delta(finish_reason="stop")])
    events = (await events_of(bench))[:-1]
    assert text == "".join(e["choices"][0]["delta"].get("content", "") for e in events)
    async with bench.client.post(
        "/v1/chat/completions",
        json={"model": "online-1", "stream": True, "messages": [{"role": "user", "content": "x"}]},
        headers=bench.bearer,
    ) as response:
        raw = await response.text()
    assert len(raw.split("\n")) == len(raw.splitlines()) + 1
