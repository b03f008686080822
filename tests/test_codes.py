"""Each code of the product's two tables, brought about as a user would: over HTTP, and through the SDK."""

import time

import aiohttp
import pytest
from tests.served import served

from fengchao import FengChao

ONLINE, LOCAL = "glm-4", "Qwen1.5-0.5B-Chat"
SETTINGS = {
    "FENGCHAO__LIMITS__FIRST_DELTA_S": "1",
    "FENGCHAO__RETRY__ATTEMPTS": "1",
    "FENGCHAO__ROUTING__FAILURES": "1000",
}
GOOD = {"model": ONLINE, "query": "你好"}

HTTP_CODES = {
    200: ("chat", {}),
    440: ("chat", {"model": "没有这个模型"}),
    441: ("chat", {"model": LOCAL}),
    442: ("local_chat", {}),
    443: ("chat", {"query": "  "}),
    444: ("chat", {"knowledge": "没有这个知识库"}),
    445: ("chat", {"temperature": "热"}),
}
"""HTTP status -> the path, and what of a good request is different."""

SERVER_CODES = {
    200: {},
    6601: {"query": "这里有敏感词"},
    400: {"query": "[[fault:cut]]"},
    408: {"query": "[[fault:silence]]"},
    429: {"query": "[[fault:429]]"},
    503: {"query": "[[fault:503]]"},
}
"""Body status under HTTP 200 -> what of a good request is different; the last two are a vendor's own."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A service with every vendor, one listed word, little patience and no second attempts."""
    home = tmp_path_factory.mktemp("home")
    words = home / "words.txt"
    words.write_text("敏感词\n", "utf-8")
    with served(home, env={**SETTINGS, "FENGCHAO__SENSITIVE__WORDLISTS": f'["{words}"]'}) as server:
        yield server


@pytest.fixture
async def post(sandbox):
    """A function that posts a body: the HTTP status, and the parsed answer."""
    async with aiohttp.ClientSession(sandbox.url) as session:

        async def ask(path, body, token=sandbox.token):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"/aigc/{path}/", json=body, headers=headers) as response:
                return response.status, await response.json()

        yield ask


@pytest.fixture
def sdk(sandbox):
    """The SDK with good keys."""
    with FengChao(sandbox.api_key, sandbox.secret_key, base_url=sandbox.url) as client:
        yield client


@pytest.mark.parametrize("code", HTTP_CODES)
async def test_response_codes(post, code):
    """What the caller did wrong is the status of the response, and of its body."""
    path, change = HTTP_CODES[code]
    status, body = await post(path, GOOD | change)
    assert (code, code) == (status, body["status"])
    assert body["msg"]


async def test_401(post, sandbox):
    """A token that nobody gave out."""
    for token in ("sk-forged", f"{sandbox.token[:-4]}AAAA", ""):
        status, body = await post("chat", GOOD, token)
        assert (401, 401) == (status, body["status"])
        assert body["msg"].startswith("鉴权失败")


@pytest.mark.parametrize("code", SERVER_CODES)
async def test_server_codes(post, code):
    """What happened while a good request was served is the status of the body, under 200."""
    status, body = await post("chat", GOOD | SERVER_CODES[code])
    assert (200, code) == (status, body["status"])
    assert body["msg"]


async def test_6602(post):
    """A task that still runs has no result yet; later it has."""
    _, submitted = await post(
        "chat", GOOD | {"query": "你好 [[fault:latency=0.4]]", "mode": "async"}
    )
    wanted = {
        "model": ONLINE,
        "mode": "async_result",
        "task_id": submitted["choices"][0]["message"]["content"],
    }
    status, early = await post("chat", wanted)
    assert (200, 6602) == (status, early["status"])
    assert early["msg"].startswith("异步结果未生成")
    deadline = time.monotonic() + 20
    while (late := (await post("chat", wanted))[1])["status"] == 6602:
        assert time.monotonic() < deadline
    assert 200 == late["status"]


@pytest.mark.parametrize("code", sorted(set(HTTP_CODES) - {441, 442}))
def test_the_sdk_tells_response_codes(sdk, code):
    """SDK 调用统一集成在 code 字段: the SDK's one status is that of the response."""
    result = sdk.chat(**(GOOD | HTTP_CODES[code][1]))
    assert code == result.status


def test_the_sdk_finds_the_path_itself(sdk):
    """441 and 442 cannot happen to a user of the SDK, who names no path."""
    assert (200, 200) == (
        sdk.chat(ONLINE, query="你好").status,
        sdk.chat(LOCAL, query="你好").status,
    )


def test_the_sdk_tells_401(sandbox):
    """A wrong secret."""
    with FengChao(sandbox.api_key, "not-the-secret-of-this-key" * 2, base_url=sandbox.url) as sdk:
        assert 401 == sdk.chat(**GOOD).status


@pytest.mark.parametrize("code", SERVER_CODES)
def test_the_sdk_tells_server_codes(sdk, code):
    """The SDK's one status is that of the body where the response is good; in a stream, that of its last event."""
    question = GOOD | SERVER_CODES[code]
    assert code == sdk.chat(**question, try_num=1).status
    *_, last = sdk.chat(**question, try_num=1, mode="stream")
    assert code == last.status


def test_the_sdk_tells_6602(sdk):
    """A task that still runs."""
    task = sdk.chat(ONLINE, query="你好 [[fault:latency=0.4]]", mode="async")
    assert 6602 == sdk.chat(ONLINE, mode="async_result", task_id=task.data).status
