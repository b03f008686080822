"""The SDK says the same whether its gateway is behind a server or in its own process: what goes well, and what does not."""

from contextlib import AsyncExitStack

import pytest

import fengchao_zhipu
from fengchao import FengChaoAsync
from fengchao_core import Gateway, MemoryStore, Settings
from fengchao_core.testing import run_app
from fengchao_server.listening import bind
from fengchao_server.serving import serving

UNKNOWN = "0" * 32


@pytest.fixture
async def clients(tmp_path):
    """A remote and an embedded client, of gateways alike."""
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(run_app(fengchao_zhipu.SANDBOX.build()))
        gateways = []
        for name in ("remote", "embedded"):
            tree = {
                "providers": {"zhipu": fengchao_zhipu.SANDBOX.settings(base)},
                "home": tmp_path / name,
                "store": {"url": "memory:"},
                "search": {"provider": "zhipu"},
            }
            settings = Settings.model_validate(tree)
            opening = Gateway.open(settings, store=MemoryStore())
            gateways.append(await stack.enter_async_context(opening))
        served = await stack.enter_async_context(
            serving(settings, bind("127.0.0.1", 0), gateway=gateways[0])
        )
        key = await served.keyring.create("sdk")
        remote = FengChaoAsync(key.api_key, key.secret_key, served.url)
        async with remote, FengChaoAsync(gateway=gateways[1]) as embedded:
            yield remote, embedded


CALLS = {
    "models": lambda c: c.models(),
    "prompts": lambda c: c.prompts(),
    "kgs": lambda c: c.kgs(),
    "usage": lambda c: c.usage(since="2026-11-01", until="2026-11-02"),
    "usage by week": lambda c: c.usage(by="week"),
    "usage since never": lambda c: c.usage(since="never"),
    "tasks": lambda c: c.tasks(),
    "no tasks": lambda c: c.tasks(limit=0),
    "too many tasks": lambda c: c.tasks(limit=100_000),
    "cancel": lambda c: c.cancel_task(UNKNOWN),
    "cancel an odd id": lambda c: c.cancel_task("a/../b?c"),
    "cancel nothing": lambda c: c.cancel_task(""),
    "cancel upwards": lambda c: c.cancel_task(".."),
    "delete nothing": lambda c: c.delete_file(""),
    "wait": lambda c: c.wait_for(UNKNOWN),
    "wait for nothing": lambda c: c.wait_for(""),
    "result": lambda c: c.chat("glm-4", mode="async_result", task_id=UNKNOWN),
    "result of nothing": lambda c: c.chat("glm-4", mode="async_result"),
    "files": lambda c: c.files(),
    "delete": lambda c: c.delete_file("file-" + UNKNOWN),
    "delete an odd id": lambda c: c.delete_file("a/../b"),
    "upload nothing": lambda c: c.upload_files([]),
    "upload nobody's": lambda c: c.upload_files("/nowhere/a.txt"),
    "no model": lambda c: c.chat("none", query="q"),
    "no query": lambda c: c.chat("glm-4"),
    "no mode": lambda c: c.chat("glm-4", query="q", mode="sync"),
    "hot": lambda c: c.chat("glm-4", query="q", temperature=9),
    "no placeholder": lambda c: c.chat("glm-4", query="q", prompt="{{query}}{{tone}}"),
    "no role": lambda c: c.chat("glm-4", query="q", history=[{"content": "q"}]),
    "no knowledge": lambda c: c.chat("glm-4", query="q", knowledge="none"),
    "no schema": lambda c: c.chat("glm-4", query="q", response_format="json_schema"),
    "no format": lambda c: c.chat("glm-4", query="q", response_format="xml"),
    "no sight": lambda c: c.chat("glm-4", query="q", image="aGVsbG8="),
    "no search": lambda c: c.chat("glm-4", query="q", search_param={"top_k": 0}),
    "no partner": lambda c: c.chat("glm-4", query="q", agg_models=["none"]),
    "no such file": lambda c: c.chat("glm-4", query="q", files=["file-" + UNKNOWN]),
    "draw nothing": lambda c: c.t2i("cogview-3-plus", ""),
    "draw too many": lambda c: c.t2i("cogview-3-plus", "猫", n=11),
    "draw with a talker": lambda c: c.t2i("glm-4", "猫"),
    "talk with a painter": lambda c: c.chat("cogview-3-plus", query="猫"),
    "draw in a stream": lambda c: c.t2i("cogview-3-plus", "猫", mode="stream"),
}


@pytest.mark.parametrize("name", CALLS)
async def test_remote_and_embedded_say_the_same(name, clients):
    """A call has the same status, the same words and the same kind of data both ways."""
    remote, embedded = [await CALLS[name](client) for client in clients]
    assert (remote.status, remote.msg) == (embedded.status, embedded.msg)
    assert type(remote.data) is type(embedded.data)


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
QUESTIONS = {
    "plain": {},
    "system": {"system": "你是诗人"},
    "preset": {"prompt": "文章摘要"},
    "filled": {"prompt": "{{query}}{{tone}}", "prompt_fill": {"tone": "正式"}},
    "history": {
        "history": [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "好"}]
    },
    "sampling": {"do_sample": False, "temperature": 0.2, "top_p": 0.5, "max_tokens": 20},
    "words": {"is_sensitive": False, "sensitive_replace": True},
    "json": {"response_format": "json"},
    "schema": {"json_schema": {"type": "object"}},
    "picture": {"model": "glm-4v-plus", "image": PIXEL},
    "aggregated": {"agg_models": ["glm-4-air"]},
    "searched": {"search_param": {"top_k": 2, "score": 0.1}},
    "named": {"request_id": "r-1", "timeout": 30, "try_num": 1},
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_every_parameter_works_in_every_mode_both_ways(name, clients):
    """Whole, streamed and as a task, remote and embedded, a question with a parameter is answered with the same parts."""
    question = {"model": "glm-4-plus", "query": "介绍一下北京", **QUESTIONS[name]}
    parts = set()
    for client in clients:
        whole = (await client.chat(**question)).unwrap()
        stream = await client.chat(**question, mode="stream")
        events = [event.unwrap() async for event in stream]
        task_id = (await client.chat(**question, mode="async")).unwrap()
        task = (await client.wait_for(task_id, timeout=20, interval=0.02)).unwrap()
        assert events[-1].choices[0].finish_reason in ("stop", "length")
        for answer in (whole, events[-1], task):
            assert QUESTIONS[name].get("request_id", answer.request_id) == answer.request_id
            assert answer.usage.total_tokens > 0
            parts.add((answer.model, len(answer.search or ()), len(answer.agg or ())))
    assert 1 == len(parts)


async def test_drawings_both_ways(clients):
    """A picture is drawn at once, and as a task."""
    for client in clients:
        at_once = (await client.t2i("cogview-3-plus", "猫")).unwrap()
        task_id = (await client.t2i("cogview-3-plus", "猫", mode="async")).unwrap()
        later = (await client.wait_for(task_id, timeout=20, interval=0.02)).unwrap()
        asked = await client.t2i("cogview-3-plus", mode="async_result", task_id=task_id)
        assert later == asked.unwrap()
        for answer in (at_once, later):
            assert answer.choices[0].message.content.startswith("http")


@pytest.mark.parametrize(
    ("task_id", "start"), [(UNKNOWN, 0), ("a/../b", 0), ("", 0), (UNKNOWN, -1)]
)
async def test_attaching_to_nothing_says_the_same(task_id, start, clients):
    """A stream that is none is one event, the same both ways."""
    remote, embedded = [[e async for e in c.attach(task_id, start)] for c in clients]
    assert [(event.status, event.msg) for event in remote] == [
        (event.status, event.msg) for event in embedded
    ]
