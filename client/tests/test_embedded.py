"""The clients on a gateway in this process: the same results and codes, with no service at all."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest
from tenacity import RetryCallState

from fengchao import (
    ClientSetupError,
    FengChao,
    FengChaoAsync,
    ModelNotFoundError,
    Retry,
)
from fengchao_core import (
    Delta,
    Gateway,
    MemoryStore,
    ModelCard,
    Price,
    Provider,
    ProviderSettings,
    ProviderSpec,
    Settings,
    Usage,
)
from fengchao_core.errors import ProviderUnavailable, RequestRejected
from fengchao_core.types import Image, ImageResult, SearchResult, WebPage


class Echo(Provider):
    """A local engine that says the question back, piece by piece."""

    def __init__(self):
        self.asked = []
        self.failures = []
        self.closed = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def stream(self, request):
        """Answer."""
        self.asked.append(request)
        if self.failures:
            raise self.failures.pop(0)
        try:
            for piece in f"你问：{request.messages[-1].text}":
                yield [Delta(piece)]
                await self.go_on.wait()
            yield [Delta(finish_reason="stop", usage=Usage(7, 9))]
        finally:
            self.closed.set()

    async def search_web(self, request):
        """Find a page."""
        return SearchResult((WebPage("一页", "https://example.com/"),))

    async def draw(self, request):
        """Draw a picture with an address, then those that are data."""
        images = [Image(url="https://example.com/0.png"), Image(b64_json="iVBORw0KGgo=")]
        return ImageResult(images=tuple(images[: request.n]))


def spec(provider):
    """The engine as a plugin would describe it."""
    price = Price(
        input=Decimal("0.05"),
        output=Decimal("0.1"),
        currency="CNY",
        since=date(2024, 1, 1),
        source="test",
    )
    cards = (
        ModelCard(id="echo", owned_by="Echo", prices=(price,)),
        ModelCard(id="echo-local", owned_by="Echo", is_local=True),
        ModelCard(id="painter", owned_by="Echo", kind="image"),
    )

    @asynccontextmanager
    async def open_echo(settings, context):
        yield provider

    return ProviderSpec("echo", "回声", ProviderSettings, lambda: cards, open_echo)


def opened(provider):
    """A gateway on the engine, to be entered."""
    settings = Settings.model_validate(
        {"providers": {"echo": {}}, "retry": {"base_wait_s": 0}, "search": {"provider": "echo"}}
    )
    return Gateway.open(settings, store=MemoryStore(), providers=[spec(provider)])


async def test_a_whole_answer_has_the_contracts_shape():
    """An embedded chat gives what a service would."""
    async with opened(Echo()) as gateway:
        result = await FengChaoAsync(gateway=gateway).chat("echo", query="你好")
    assert (200, "执行成功", "你问：你好") == (
        result.status,
        result.msg,
        result.data.choices[0].message.content,
    )
    assert (7, 9, 16, 0.00125) == tuple(result.data.usage.model_dump().values())


async def test_a_stream_has_the_contracts_shape():
    """Embedded events count from zero; the last one has the finish reason and the cost."""
    async with opened(Echo()) as gateway:
        stream = await FengChaoAsync(gateway=gateway).chat("echo", query="你好", mode="stream")
        events = [event async for event in stream]
    choices = [event.data.choices[0] for event in events]
    assert "你问：你好" == "".join(choice.message.content for choice in choices)
    assert list(range(6)) == [choice.index for choice in choices]
    assert [None] * 5 + ["stop"] == [choice.finish_reason for choice in choices]
    assert 0.00125 == events[-1].data.usage.cost


async def test_lists():
    """Embedded lists are the gateway's, local models included; their path does not matter here."""
    async with opened(Echo()) as gateway:
        client = FengChaoAsync(gateway=gateway)
        models, prompts, kgs = await client.models(), await client.prompts(), await client.kgs()
        assert 200 == (await client.chat("echo-local", query="q")).status
    assert [("echo", "在线模型"), ("echo-local", "本地模型"), ("painter", "在线模型")] == [
        (m.id, m.channel) for m in models.data.data
    ]
    assert "默认" == prompts.data.data[0].id
    assert [] == kgs.data.data


@pytest.mark.parametrize(
    ("arguments", "status", "msg"),
    [
        ({"model": "none", "query": "q"}, 440, "模型不存在"),
        ({"model": "echo", "query": " "}, 443, "问题为空"),
        ({"model": "echo", "query": "q", "knowledge": "none"}, 444, "知识库不存在"),
        (
            {"model": "echo", "query": "q", "temperature": 5},
            445,
            "参数错误：temperature 不能大于 2",
        ),
        ({"model": "echo", "query": " ", "mode": "async"}, 443, "问题为空"),
        ({"model": "", "mode": "async_result"}, 445, "参数错误：task_id 必填"),
        (
            {"model": "echo", "query": "q", "files": ["f"]},
            445,
            "参数错误：files 指向的文件无法读取",
        ),
    ],
)
async def test_refusals_have_their_codes(arguments, status, msg):
    """What is refused is refused with the product's codes, whole and streamed."""
    async with opened(Echo()) as gateway:
        client = FengChaoAsync(gateway=gateway)
        result = await client.chat(**arguments)
        assert (status, True) == (result.status, result.msg.startswith(msg)), result.msg
        if "mode" not in arguments:
            events = [event async for event in await client.chat(**arguments, mode="stream")]
            assert [(status, result.msg)] == [(event.status, event.msg) for event in events]


async def test_a_vendors_failure_is_a_body_status():
    """A vendor's own status comes through, with the shape of an answer around it."""
    echo = Echo()
    echo.failures = [RequestRejected("no", status=422, vendor_message="not so")]
    async with opened(echo) as gateway:
        result = await FengChaoAsync(gateway=gateway).chat("echo", query="q", request_id="rid")
    assert (422, "rid") == (result.status, result.data.request_id)
    assert "not so" in result.msg


async def test_failures_are_raised_where_asked_for():
    """With errors="raise" the core's error is the cause of the client's."""
    async with opened(Echo()) as gateway:
        with pytest.raises(ModelNotFoundError) as caught:
            await FengChaoAsync(gateway=gateway, errors="raise").chat("none", query="q")
    assert "UnknownModel" == type(caught.value.__cause__).__name__


async def test_a_users_retry_steers_the_gateway():
    """The same `Retry` class works embedded: its number counts and its hooks are called."""

    class Twice(Retry):
        retry_num = 2
        seen = 0

        def before(self, retry_status: RetryCallState) -> None:  # the hook's shape
            self.seen += 1

    echo, hooks = Echo(), Twice()
    echo.failures = [ProviderUnavailable("gone"), ProviderUnavailable("gone")]
    async with opened(echo) as gateway:
        client = FengChaoAsync(gateway=gateway)
        assert 400 == (await client.chat("echo", query="q", retry_action=hooks)).status
        echo.failures = [ProviderUnavailable("gone")]
        assert 400 == (await client.chat("echo", query="q", try_num=1)).status
    assert (2, 3) == (hooks.seen, len(echo.asked))


async def test_a_time_limit_is_a_408():
    """`timeout` limits a whole answer, and each wait of a stream."""
    echo = Echo()
    echo.go_on.clear()
    async with opened(echo) as gateway:
        client = FengChaoAsync(gateway=gateway)
        assert 408 == (await client.chat("echo", query="q", timeout=0.05)).status
        stream = await client.chat("echo", query="q", timeout=0.5, mode="stream")
        assert [200, 408] == [event.status async for event in stream]


async def test_leaving_a_stream_closes_the_provider():
    """Leaving the block ends the provider's generator, which is its connection."""
    echo = Echo()
    echo.go_on.clear()
    async with opened(echo) as gateway:
        async with await FengChaoAsync(gateway=gateway).chat(
            "echo", query="q", mode="stream"
        ) as stream:
            await anext(stream)
        assert echo.closed.is_set()


async def test_pictures():
    """An embedded drawing gives what a service would: a choice for each picture, its address as the content."""
    async with opened(Echo()) as gateway:
        client = FengChaoAsync(gateway=gateway)
        result = await client.t2i("painter", "一只猫", n=2)
        unknown, blank = await client.t2i("nobody", "一只猫"), await client.t2i("painter", "")
    assert (200, "image") == (result.status, result.data.result_type)
    assert ["https://example.com/0.png", "data:image/png;base64,iVBORw0KGgo="] == [
        choice.message.content for choice in result.data.choices
    ]
    assert (440, 443) == (unknown.status, blank.status)


async def test_pages_and_partial_answers_stand_in_the_answer():
    """`search` and `agg` of an embedded answer are typed, in the first and the last event of a stream too."""
    question = {
        "query": "你好",
        "agg_models": ["echo-local", "echo"],
        "search_param": {"top_k": 1, "score": 0},
    }
    async with opened(Echo()) as gateway:
        client = FengChaoAsync(gateway=gateway)
        whole = (await client.chat("echo", **question)).data
        stream = await client.chat("echo", mode="stream", **question)
        events = [event.data async for event in stream]
    for answer in (whole, events[0], events[-1]):
        assert [("一页", "https://example.com/", 1)] == [
            (page.title, page.url, page.index) for page in answer.search
        ]
        assert ["echo-local", "echo"] == [partial.model for partial in answer.agg]
        assert all(partial.content.startswith("你问：") for partial in answer.agg)
        assert [(200, 16)] * 2 == [(each.status, each.usage.total_tokens) for each in answer.agg]
    assert ([], []) == (events[1].search, events[1].agg)


async def test_json_is_typed_by_a_schema():
    """An answer that fits its schema is given as it is; one that does not, after two attempts, is `{}`."""
    echo = Echo()
    async with opened(echo) as gateway:
        client = FengChaoAsync(gateway=gateway)
        plain = await client.chat("echo", query="你好", response_format="json")
        schema = await client.chat("echo", query="你好", json_schema={"type": "object"})
        wrong = await client.chat("echo", query="你好", json_schema={"type": "nothing"})
        missing = await client.chat("echo", query="你好", response_format="json_schema")
    assert "{}" == plain.data.choices[0].message.content
    assert "{}" == schema.data.choices[0].message.content
    assert (445, 445) == (wrong.status, missing.status)
    assert 4 == len(echo.asked)


def test_the_sync_client_opens_a_gateway_of_its_own():
    """A sync client runs a gateway in its own thread, whole and streamed, and closes it with itself."""
    left = []

    @asynccontextmanager
    async def opening():
        async with opened(Echo()) as gateway:
            yield gateway
        left.append("closed")

    with FengChao(gateway=opening) as client:
        assert "你问：你好" == client.chat("echo", query="你好").data.choices[0].message.content
        events = list(client.chat("echo", query="你好", mode="stream"))
    assert "你问：你好" == "".join(event.data.choices[0].message.content for event in events)
    assert ["closed"] == left


def test_the_sync_client_opens_a_gateway_from_settings():
    """`settings=` is enough: the gateway is opened with the installed plugins."""
    settings = Settings.model_validate({"store": {"url": "memory:"}})
    with FengChao(settings=settings) as client:
        assert (200, []) == (client.models().status, client.models().data.data)
        assert 440 == client.chat("glm-4", query="q").status


def test_a_gateway_that_does_not_open_says_why():
    """A problem at start-up reaches the caller of the first call, as what it is, and of the next one too."""

    @asynccontextmanager
    async def broken():
        raise RuntimeError("no gateway today")
        yield

    with FengChao(gateway=broken) as client:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no gateway today"):
                client.models()


def test_one_way_only():
    """An address and settings together are refused."""
    with pytest.raises(ClientSetupError):
        FengChao(base_url="http://h", settings=Settings())


def test_the_sdk_needs_neither_core_nor_heavy_libraries_to_be_imported():
    """`import fengchao` works without the core, and leaves aiohttp, tenacity and jwt for the first call."""
    script = (
        "import sys\n"
        "class NoCore:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'fengchao_core':\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoCore())\n"
        "import fengchao, fengchao.wire\n"
        "heavy = {'aiohttp', 'tenacity', 'jwt', 'cryptography', 'fengchao_core'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ("[]\n", "") == (done.stdout, done.stderr)
