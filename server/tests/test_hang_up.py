"""A caller that leaves: its vendor connection is closed at once, and what it used is booked."""

import asyncio

import pytest

from fengchao_core.types import Delta

CHATS = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, "stream"),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, "whole"),
    ("/aigc/chat/", {"query": "x"}, "stream"),
    ("/aigc/chat/", {"query": "x"}, "whole"),
]


@pytest.mark.parametrize(("path", "body", "kind"), CHATS)
async def test_hang_up(bench, path, body, kind):
    """Whole or streamed, the provider's generator is closed within a second and the row says cancelled."""
    bench.provider.will([Delta("说到一半")], asyncio.Event())
    wanted = {"stream": True} if path.startswith("/v1") else {"mode": "stream"}
    body = {"model": "online-1", **body, **(wanted if kind == "stream" else {})}
    request = asyncio.create_task(bench.client.post(path, json=body, headers=bench.bearer))
    if kind == "stream":
        response = await request
        await response.content.readany()
        response.close()
    else:
        await bench.provider.begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    async with asyncio.timeout(1):
        await bench.provider.closed.wait()
    await asyncio.sleep(0)
    assert ["cancelled"] == await bench.outcomes()
    (row,) = await bench.gateway.store.usage.rows()
    assert ("estimate", True) == (row.usage_source, row.completion_tokens > 0)


async def test_reader_that_stalls(bench, monkeypatch):
    """A caller that stops reading is waited for, and then counts as gone; memory does not fill."""
    monkeypatch.setattr("fengchao_server.answers.PATIENCE_S", 0.2)
    text = "字" * 50_000
    bench.provider.will(*([Delta(text)] for _ in range(400)))
    port = int(bench.url.rpartition(":")[2])
    body = b'{"model":"online-1","stream":true,"messages":[{"role":"user","content":"x"}]}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bench.key.token}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readline()
    async with asyncio.timeout(10):
        await bench.provider.closed.wait()
    writer.close()
    assert ["cancelled"] == await bench.outcomes()


async def test_silence_is_filled(open_bench):
    """A long silence is filled with comments, also before the first delta; clients see only the events."""
    bench = await open_bench(keep_alive_s=0.02)
    wait = asyncio.Event()
    bench.provider.will(wait, [Delta("spät", finish_reason="stop")])
    body = {"model": "online-1", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    async with bench.client.post(
        "/v1/chat/completions", json=body, headers=bench.bearer
    ) as response:
        first = await response.content.readuntil(b"\n\n")
        assert b": keep-alive\n\n" == first
        wait.set()
        rest = await response.text()
    events = [line for line in rest.split("\n\n") if line.startswith("data: ")]
    assert "data: [DONE]" == events[-1]
    assert '"content":"spät"' in events[1]


async def test_error_after_a_silence(open_bench):
    """Where a comment has opened the stream, an error can only be its last event."""
    bench = await open_bench(keep_alive_s=0.02)
    wait = asyncio.Event()
    bench.provider.will(wait, ZeroDivisionError())
    body = {"model": "online-1", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    async with bench.client.post(
        "/v1/chat/completions", json=body, headers=bench.bearer
    ) as response:
        assert 200 == response.status
        await response.content.readuntil(b"\n\n")
        wait.set()
        assert '"code":"internal_error"' in (await response.text()).split("\n\n")[-2]


async def test_http_1_0_stream(bench, raw):
    """A client of HTTP/1.0, which knows no chunks, gets the events plainly and then the end of the connection."""
    body = b'{"model":"online-1","stream":true,"messages":[{"role":"user","content":"x"}]}'
    head = f"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer {bench.key.token}\r\n"
    answer = await raw(bench, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.endswith(b"data: [DONE]\n\n")
    assert b"chunked" not in answer
    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    answer = await raw(bench, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b"Connection: close\r\n" in answer


async def test_connection_is_reused(bench):
    """Whole answers, streams and refusals leave the connection open for the next request."""
    port = int(bench.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    good = b'{"model":"online-1","messages":[{"role":"user","content":"x"}]}'
    for body, status in ((good, b"200"), (b"{", b"400"), (good, b"200"), (b"[]", b"400")):
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bench.key.token}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 " + status)
        length = next(
            int(line.split(b":")[1])
            for line in answered.split(b"\r\n")
            if line.startswith(b"Content-Length")
        )
        await reader.readexactly(length)
    writer.close()
