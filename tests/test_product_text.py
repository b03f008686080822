"""
Every example of the product text against the vendors' sandboxes: over HTTP, and through the SDK, remote and embedded.

The SDK's examples are run as they stand but for the keys and where the service is. Models, times and words of the answers are
the sandboxes' own; their fields are the product text's.
"""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from tenacity import RetryCallState
from tests.served import served

from fengchao import FengChao, FengChaoAsync, Retry
from fengchao_core import Gateway, MemoryStore, Settings
from fengchao_server.sandboxes import sandboxed

LOCAL, ONLINE = "Qwen1.5-0.5B-Chat", "glm-4"
PRESETS = [
    "默认",
    "多译英",
    "多译中",
    "韩译中",
    "日译中",
    "英译中",
    "俄译中",
    "德译中",
    "法译中",
    "英文词典",
    "广告商",
    "讲故事的人",
    "担任编剧",
    "小说家",
    "词源学家",
    "标题生成器",
    "正则表达式生成器",
    "语言检测器",
    "文章摘要",
    "问题推荐",
    "知识库",
]
MODEL_FIELDS = {
    "id", "owned_by", "max_input_token", "max_output_token", "price", "unit", "mode", "created", "channel",
}  # fmt: skip
ANSWER_FIELDS = {"choices", "created", "model", "msg", "request_id", "status", "knowledge", "usage"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A service with every vendor."""
    with served(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(params=["remote", "embedded"])
def how(request, sandbox, tmp_path):
    """What an example's client is made with: keys and an address, or a gateway that it opens itself."""
    if request.param == "remote":
        return {
            "api_key": sandbox.api_key,
            "secret_key": sandbox.secret_key,
            "base_url": sandbox.url,
        }

    @asynccontextmanager
    async def opening():
        settings = Settings.model_validate({"store": {"url": "memory:"}, "home": tmp_path})
        async with (
            sandboxed(settings) as emulated,
            Gateway.open(emulated, store=MemoryStore()) as gateway,
        ):
            yield gateway

    return {"gateway": opening}


@pytest.fixture
def fengchao(how):
    """The client of an example."""
    with FengChao(**how) as client:
        yield client


@pytest.fixture
async def http(sandbox):
    """A plain HTTP session, with no credentials."""
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session


@pytest.fixture
async def token(http, sandbox):
    """A token, by the product text's own way."""
    path = f"/aigc/token?api_key={sandbox.api_key}&secret_key={sandbox.secret_key}"
    async with http.get(path) as response:
        body = await response.json()
    assert {"status", "msg", "token"} == set(body)
    assert (200, "执行成功") == (body["status"], body["msg"])
    return body["token"]


def answered(result):
    """The text of a good result, whose fields are the product text's."""
    assert (200, "执行成功") == (result.status, result.msg)
    answer = result.data
    assert (200, "执行成功", []) == (answer.status, answer.msg, answer.knowledge)
    (choice,) = answer.choices
    assert (0, "assistant") == (choice.index, choice.message.role)
    assert choice.finish_reason in {"stop", "length"}
    used = answer.usage
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens > 0
    assert time.strptime(answer.created, "%Y-%m-%d %H:%M:%S")
    return choice.message.content


def test_sdk_models(fengchao):
    """查看支持的模型."""
    result = fengchao.models()
    cards = {card.id: card for card in result.data.data}
    assert (200, "执行成功") == (result.status, result.msg)
    assert ("在线模型", "本地模型") == (cards[ONLINE].channel, cards[LOCAL].channel)
    assert ["invoke", "async_invoke", "stream"] == cards[ONLINE].mode
    assert (0.0, "CNY") == (cards[LOCAL].price, cards[LOCAL].unit)


def test_sdk_prompts(fengchao):
    """查看支持的指令: every preset of the table is there, and the default has a system text."""
    result = fengchao.prompts()
    cards = {card.id: card for card in result.data.data}
    assert (200, "执行成功") == (result.status, result.msg)
    assert set(PRESETS) <= set(cards)
    assert ("{{system}}", "{{query}}") == (cards["默认"].prefix, cards["默认"].prompt)
    assert cards["默认"].system
    assert "{{query}}" in cards["知识库"].prompt


def test_sdk_kgs(fengchao):
    """查看支持的知识库."""
    result = fengchao.kgs()
    assert (200, "执行成功") == (result.status, result.msg)
    assert isinstance(result.data.data, list)


def test_sdk_invoke(fengchao):
    """同步对话."""
    assert answered(fengchao.chat(LOCAL, query="介绍一下北京", mode="invoke"))


def test_sdk_async_and_its_result(fengchao):
    """异步对话, 异步对话结果: 6602 until it is there."""
    submitted = fengchao.chat(LOCAL, query="介绍一下北京", mode="async")
    assert (200, "执行成功") == (submitted.status, submitted.msg)
    deadline = time.monotonic() + 30
    while True:
        result = fengchao.chat(LOCAL, mode="async_result", task_id=submitted.data)
        if result.status != 6602:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert answered(result)


def test_sdk_stream(fengchao):
    """流式对话: pieces counted from 0; finish reason and usage with the last, which is empty."""
    events = [r.data for r in fengchao.chat(LOCAL, query="介绍一下北京", mode="stream")]
    choices = [event.choices[0] for event in events]
    assert list(range(len(events))) == [choice.index for choice in choices]
    assert {None} == {choice.finish_reason for choice in choices[:-1]}
    assert ("", True) == (choices[-1].message.content, bool(choices[-1].finish_reason))
    assert [0] * (len(events) - 1) == [event.usage.total_tokens for event in events[:-1]]
    assert events[-1].usage.total_tokens > 0
    assert 1 == len({event.request_id for event in events})


def test_sdk_coroutines(sandbox):
    """协程, remote: ten tasks on a loop run by hand."""
    f = FengChaoAsync(api_key=sandbox.api_key, secret_key=sandbox.secret_key, base_url=sandbox.url)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(f.chat(LOCAL, query="请以北京为主题写一篇文章")) for _ in range(10)]
    wait_coro = asyncio.wait(tasks)
    loop.run_until_complete(wait_coro)
    for task in tasks:
        assert answered(task.result())
    loop.close()


async def test_sdk_coroutines_embedded(tmp_path):
    """协程, embedded: ten tasks on one gateway."""
    settings = Settings.model_validate({"store": {"url": "memory:"}, "home": tmp_path})
    async with (
        sandboxed(settings) as emulated,
        Gateway.open(emulated, store=MemoryStore()) as gateway,
    ):
        f = FengChaoAsync(gateway=gateway)
        questions = (f.chat(LOCAL, query="请以北京为主题写一篇文章") for _ in range(10))
        for result in await asyncio.gather(*questions):
            assert answered(result)


def test_sdk_retry(fengchao, capsys):
    """重试机制: the hook of a subclass is called before each attempt."""

    class MyRetry(Retry):
        retry_num = 2

        def before(self, retry_status: RetryCallState) -> None:  # the hook's shape
            self.fun()

        def fun(self):
            print("测试效果")  # noqa: T201  # as the product text has it

    result = fengchao.chat(
        LOCAL, query="请以北京为主题写一篇文章", is_sensitive=False, retry_action=MyRetry()
    )
    assert answered(result)
    # Beside it may stand what the gateway logs, where nobody has configured that.
    assert ["测试效果"] == [x for x in capsys.readouterr().out.splitlines() if x == "测试效果"]


async def test_http_models(http):
    """GET /aigc/models/, with no token: an object whose `data` lists models with the fields of the table."""
    async with http.get("/aigc/models/") as response:
        body = await response.json()
    assert {"data"} == set(body)
    for card in body["data"]:
        assert set(card) >= MODEL_FIELDS


async def test_http_prompts(http):
    """GET /aigc/prompts/, with no token."""
    async with http.get("/aigc/prompts/") as response:
        body = await response.json()
    assert {"data"} == set(body)
    for card in body["data"]:
        assert {"id", "prefix", "prompt", "system", "created"} == set(card)


async def test_http_kgs(http):
    """GET /aigc/kgs/, with no token and with the slash or without."""
    for path in ("/aigc/kgs/", "/aigc/kgs"):
        async with http.get(path) as response:
            assert {"data"} == set(await response.json())


async def test_http_token(http, sandbox, token):
    """A token is a JWT of the product's kind, and opens the services that want one; a wrong pair gets none."""
    assert 3 == len(token.split("."))
    async with http.get(f"/aigc/token?api_key={sandbox.api_key}&secret_key=wrong") as response:
        assert (401, 401) == (response.status, (await response.json())["status"])


async def test_http_upload(http, token, tmp_path):
    """POST /aigc/uploadfiles/, two files under one name as `requests` sends them; their names are for `files`."""
    form = aiohttp.FormData()
    for name in ("a.json", "b.json"):
        form.add_field(
            "files", b'{"city": "Beijing"}', filename=name, content_type="application/json"
        )
    async with http.post("/aigc/uploadfiles/", data=form) as response:
        body = await response.json()
    assert {"files", "msg", "status"} <= set(body)
    assert (200, 2) == (body["status"], len(body["files"]))
    question = {"model": ONLINE, "query": "文件里是哪个城市？", "files": body["files"]}
    answer = await post(http, token, "chat", **question)
    assert 200 == answer["status"], answer


@pytest.mark.parametrize(("path", "model"), [("chat", ONLINE), ("local_chat", LOCAL)])
async def test_http_invoke(http, token, path, model):
    """对话服务: an answer with the fields of the table."""
    answer = await post(http, token, path, model=model, query="介绍一下北京")
    assert set(answer) >= ANSWER_FIELDS
    assert (200, "执行成功", model) == (answer["status"], answer["msg"], answer["model"])
    choice = answer["choices"][0]
    assert {"role", "content"} <= set(choice["message"])
    assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= set(answer["usage"])


@pytest.mark.parametrize(("path", "model"), [("chat", ONLINE), ("local_chat", LOCAL)])
async def test_http_stream(http, token, path, model):
    """Streamed: server-sent events, each with the fields of the table."""
    body = {"model": model, "query": "介绍一下北京", "mode": "stream"}
    headers = {"Authorization": token}
    async with http.post(f"/aigc/{path}/", json=body, headers=headers) as response:
        assert "text/event-stream" == response.content_type
        lines = (await response.text()).splitlines()
    events = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
    assert list(range(len(events))) == [event["choices"][0]["index"] for event in events]
    for event in events:
        assert set(event) >= ANSWER_FIELDS
    assert events[-1]["usage"]["total_tokens"] > 0


async def test_http_async(http, token):
    """Asynchronous: the task's id comes where an answer has its text, the result under `async_result`."""
    submitted = await post(http, token, "chat", model=ONLINE, query="介绍一下北京", mode="async")
    id_ = submitted["choices"][0]["message"]["content"]
    deadline = time.monotonic() + 30
    while True:
        answer = await post(http, token, "chat", model=ONLINE, mode="async_result", task_id=id_)
        if answer["status"] != 6602:
            break
        assert time.monotonic() < deadline
    assert set(answer) >= ANSWER_FIELDS
    assert 200 == answer["status"]


async def test_http_request_parameters(http, token):
    """请求参数说明: every field of the table at once, the history as the table writes it."""
    answer = await post(
        http,
        token,
        "chat",
        model=ONLINE,
        query="再来一个",
        request_id="4c3db114-c587-11ee-8294-80615f1e1c07",
        system="你是一名营销专家",
        prompt="请将以下句子{{query}}翻译为英文",
        is_sensitive=True,
        sensitive_replace=True,
        task_id=None,
        history=[
            {"role": "user", "content": "作为一名营销专家，请为我的产品创作一个吸引人的slogan"},
            {"role": "assistant", "content": "当然，为了创作一个吸引人的slogan"},
        ],
        do_sample=True,
        temperature=0.8,
        top_p=0.75,
        max_tokens=256,
        mode="invoke",
        knowledge=None,
        top_k=5,
        threshold=500,
        files=None,
    )
    assert (200, "4c3db114-c587-11ee-8294-80615f1e1c07") == (answer["status"], answer["request_id"])


async def post(http, token, path, **body):
    """A JSON body to a chat's path, the token as it is in the header."""
    headers = {"Authorization": token}
    async with http.post(f"/aigc/{path}/", json=body, headers=headers) as response:
        return await response.json()
