"""Bad input of every kind: a clear error in the API's own shape, no traceback, and the server goes on."""

import asyncio
import gzip
import io
from typing import Any

import orjson
import pytest

from fengchao_core.types import Delta
from fengchao_server.bodies import MAX_DEPTH

HELLO = [{"role": "user", "content": "hi"}]


async def still_serves(bench: Any) -> None:
    """A good request is answered."""
    status, _ = await bench.chat()
    assert 200 == status


async def send(bench: Any, path: str, data: Any, **headers: str) -> tuple[int, Any]:
    """POST bytes with the key."""
    async with bench.client.post(path, data=data, headers={**bench.bearer, **headers}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b'"text"', b"null", b"12", b'{"a": NaN}', b'{"a": 1e999}', b"\xff\xfe", b'{"a":"\xff"}',
        b'{"a":"\\ud800"}', b"a=1&b=2", b"\x00" * 100,
    ],
)  # fmt: skip
async def test_not_a_json_object(bench, data):
    """A body that is no JSON object is 400 on /v1 and 445 on /aigc."""
    status, answer = await send(bench, "/v1/chat/completions", data)
    assert (400, "invalid_json", "invalid_request_error") == (
        status, answer["error"]["code"], answer["error"]["type"],
    )  # fmt: skip
    status, answer = await send(bench, "/aigc/chat/", data)
    assert (445, 445) == (status, answer["status"])
    assert answer["msg"].startswith("参数错误")
    await still_serves(bench)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1000, 100_000])
async def test_deep_nesting(bench, depth):
    """A body that nests without end is refused, wherever it nests."""
    nest = b"[" * depth + b"]" * depth
    body = b'{"model":"online-1","messages":[{"role":"user","content":"hi"}],"metadata":%b}' % nest
    status, answer = await send(bench, "/v1/chat/completions", body)
    assert (400, "invalid_json") == (status, answer["error"]["code"])
    status, _ = await send(
        bench, "/aigc/chat/", b'{"model":"online-1","query":"hi","history":%b}' % nest
    )
    assert 445 == status
    await still_serves(bench)


async def test_bodies_made_to_stall(bench):
    """A body of millions of tiny values is refused before anybody walks through it."""
    body = b'{"model":"online-1","messages":[%b{}]}' % (b"[]," * 300_000)
    status, answer = await send(bench, "/v1/chat/completions", body)
    assert (400, "invalid_json") == (status, answer["error"]["code"])


async def test_nesting_below_the_limit_is_passed_on(bench):
    """A tool schema of ordinary depth, in a body of many brackets, is served."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}] * 5
    status, _ = await bench.chat(tools=tools)
    assert 200 == status


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "function", "name": "f", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "song"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": ["text"]}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"stop": [1]}, "stop[0]"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"logit_bias": {"5": 1000}}, "logit_bias.5"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"functions": []}, "functions"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"api_key": "sk-their-own"}, "api_key"),
    ],
)  # fmt: skip
async def test_wrong_fields(bench, fields, param):
    """A field of the wrong type, out of range, or harmful is refused by its path, before any vendor is asked."""
    status, answer = await bench.chat(**fields)
    assert (400, param) == (status, answer["error"]["param"])
    assert "invalid_request_error" == answer["error"]["type"]
    assert [] == bench.provider.requests


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": None}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"mode": "song"}, "mode"),
        ({"mode": "async_result", "task_id": "1"}, "task_id"),
        ({"history": [{"role": "robot", "content": "x"}]}, "history[0].role"),
        ({"temprature": 0.5}, "temperature"),
        ({"prompt": "no placeholder"}, "prompt"),
    ],
)
async def test_wrong_fields_of_the_product(bench, fields, words):
    """On /aigc a wrong field is 445 with a Chinese msg that names it; asynchronous modes say which are served."""
    status, answer = await bench.ask(**fields)
    assert (445, 445) == (status, answer["status"])
    assert answer["msg"].startswith("参数错误：")
    assert words in answer["msg"]
    assert [] == bench.provider.requests


async def test_body_too_large(open_bench):
    """A body beyond the limit is 413, by its declaration, in fact, chunked or once decompressed."""
    bench = await open_bench(server={"max_body_bytes": 2048})
    big = orjson.dumps({"model": "online-1", "messages": HELLO, "pad": "x" * 300_000})

    async def pieces():
        for at in range(0, len(big), 1000):
            yield big[at : at + 1000]

    for path, code in (("/v1/chat/completions", None), ("/aigc/chat/", 413)):
        for data, headers in (
            (big, {}),
            (pieces(), {}),
            (gzip.compress(big), {"Content-Encoding": "gzip"}),
            (big[:2049], {}),
        ):
            async with bench.client.post(
                path, data=data, headers={**bench.bearer, **headers}
            ) as response:
                answer = await response.json()
                assert 413 == response.status
                assert (
                    answer["status"] == code
                    if code
                    else answer["error"]["code"] == "request_too_large"
                )
        await still_serves(bench)


async def test_large_body_within_the_limit(bench):
    """A body of some megabytes, sent in pieces, is served."""
    message = {"role": "user", "content": "长" * 1_000_000}
    body = orjson.dumps({"model": "online-1", "messages": [message]})
    status, _ = await send(bench, "/v1/chat/completions", io.BytesIO(body))
    assert 200 == status
    assert 1_000_000 == len(bench.provider.requests[0].messages[0].content)


async def test_expect_continue(bench, raw):
    """A client that asks before it sends a body is told to go on, or refused without sending it."""
    body = orjson.dumps({"model": "online-1", "messages": HELLO})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
        f"Authorization: Bearer {bench.key.token}\r\n"
    )
    port = int(bench.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    assert b"HTTP/1.1 100 Continue\r\n" == await reader.readline()
    assert b"\r\n" == await reader.readline()
    writer.write(body)
    assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
    writer.close()
    answer = await raw(bench, f"{head}Content-Length: 99999999999\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_body_that_breaks_off(bench, raw):
    """A body that is cut, or whose coding is broken, ends the request and nothing else."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {bench.key.token}\r\n"
    answer = await raw(
        bench, f"{head}Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!".encode()
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    port = int(bench.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Content-Length: 5000\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await still_serves(bench)


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"b" * 100_000 + b"\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_not_http(bench, raw, data):
    """What is no HTTP gets 400 or a closed connection, without a traceback."""
    answer = await raw(bench, data)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"Traceback" not in answer
    await still_serves(bench)


async def test_unknown_paths_and_methods(bench):
    """An unknown path is 404, a wrong method 405 with Allow, in the shape of the API that was meant."""
    client = bench.client
    for path, shape in (("/v1/nope", "error"), ("/aigc/nope/", "status"), ("/nope", "error")):
        async with client.get(path) as response:
            assert 404 == response.status
            assert shape in await response.json()
    async with client.get("/v1/chat/completions") as response:
        assert (405, "POST, OPTIONS") == (response.status, response.headers["Allow"])
        assert "method_not_allowed" == (await response.json())["error"]["code"]
    async with client.delete("/aigc/models/") as response:
        assert (405, "GET, HEAD, OPTIONS") == (response.status, response.headers["Allow"])
        assert 405 == (await response.json())["status"]
    async with client.options("/v1/models") as response:
        assert (204, "GET, HEAD, OPTIONS") == (response.status, response.headers["Allow"])
    async with client.head("/healthz") as response:
        assert (200, b"") == (response.status, await response.read())
        assert 0 < int(response.headers["Content-Length"])


async def test_our_own_fault_is_an_incident(bench):
    """An error of ours is 500 with an opaque id, and not a word of its cause reaches the caller."""
    bench.provider.will(ZeroDivisionError("secret detail"))
    status, answer = await bench.chat()
    assert (500, "internal_error") == (status, answer["error"]["code"])
    status, product = await bench.ask()
    assert (500, 500) == (status, product["status"])
    for text in (str(answer), str(product)):
        assert "secret detail" not in text
        assert "ZeroDivision" not in text
    assert "事件编号" in product["msg"]
    bench.provider.will([Delta("ok", finish_reason="stop")])
    await still_serves(bench)
