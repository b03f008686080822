"""From the HTTP byte to a vendor and back: the whole way, over a vendor that misbehaves, and with words filtered."""

import pytest

from fengchao_core.testing import Answer, Do, ScriptedVendor, json_answer, sse_answer

CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
HALF = {**CHUNK, "choices": [{"index": 0, "delta": {"content": "半"}, "finish_reason": None}]}
REST = {**CHUNK, "choices": [{"index": 0, "delta": {"content": "句"}, "finish_reason": None}]}
END = {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"data: [DONE]\n\n"
HTML = Answer((b"<html>Bad gateway</html>",), headers={"Content-Type": "text/html"})


@pytest.fixture
async def vendor():
    """A vendor to script."""
    async with ScriptedVendor() as server:
        yield server


@pytest.fixture
async def through(open_bench, vendor):
    """A function that starts a server whose only provider is that vendor."""

    async def start(**settings):
        provider = {"base_url": f"{vendor.base_url}/v1", "api_key": "sk-upstream", "models": ["m"]}
        return await open_bench(providers={"openai": provider}, **settings)

    return start


async def stream_of(bench, path, body):
    """The text of a stream."""
    async with bench.client.post(path, json=body, headers=bench.bearer) as response:
        return await response.text()


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(b"{"),
        json_answer({}),
        json_answer([1, 2]),
        json_answer({"choices": "none"}),
        json_answer(b"\xff\xfe\x00"),
        HTML,
        Answer((b"HTTP/1.1 200 OK\r\n\r\n\x00\x01\x02",), raw=True),
        Answer((b"what?",), raw=True),
        Answer((Do.CUT,)),
    ],
)
async def test_nonsense(through, vendor, answer):
    """A vendor that answers nonsense is a clear error on both APIs, without its key, and the server goes on."""
    bench = await through()
    vendor.answers(answer)
    status, said = await bench.chat(model="m")
    assert (502, "server_error") == (status, said["error"]["type"])
    status, product = await bench.ask(model="m")
    assert (200, 400) == (status, product["status"])
    assert product["msg"].startswith("访问异常")
    assert "sk-upstream" not in f"{said}{product}"
    async with bench.client.get("/healthz") as response:
        assert 200 == response.status


@pytest.mark.parametrize(
    "steps",
    [
        (HALF, Do.CUT),
        (HALF, b"data: {\n\n"),
        (HALF, b"data: 5\n\n"),
        (HALF,),
    ],
)
async def test_stream_that_breaks(through, vendor, steps):
    """A stream that breaks after its first event ends with an event that says so."""
    bench = await through()
    vendor.answers(sse_answer(*steps))
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    text = await stream_of(bench, "/v1/chat/completions", body)
    assert "半" in text
    assert '"type":"server_error"' in text
    assert "[DONE]" not in text
    text = await stream_of(bench, "/aigc/chat/", {"model": "m", "query": "x", "mode": "stream"})
    assert '"status":400' in text.split("\n\n")[-2]


async def test_blocked_words(through, vendor, tmp_path):
    """A listed word in the question costs nothing and is 6601 or content_filter; in an answer it never arrives."""
    words = tmp_path / "words.txt"
    words.write_text("半句\n", encoding="utf-8")
    bench = await through(sensitive={"wordlists": [str(words)]})
    status, answer = await bench.ask(model="m", query="说半句")
    assert (200, 6601) == (status, answer["status"])
    status, answer = await bench.chat(model="m", messages=[{"role": "user", "content": "说半句"}])
    assert (400, "content_filter") == (status, answer["error"]["code"])
    assert [] == vendor.requests
    vendor.answers(sse_answer(HALF, REST, END, DONE))
    body = {"model": "m", "query": "说", "mode": "stream"}
    text = await stream_of(bench, "/aigc/chat/", body)
    assert '"status":6601' in text.split("\n\n")[-2]
    assert "句" not in text
    assert ["sensitive"] * 3 == await bench.outcomes()
