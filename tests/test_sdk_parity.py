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


@pytest.mark.parametrize(
    ("task_id", "start"), [(UNKNOWN, 0), ("a/../b", 0), ("", 0), (UNKNOWN, -1)]
)
async def test_attaching_to_nothing_says_the_same(task_id, start, clients):
    """A stream that is none is one event, the same both ways."""
    remote, embedded = [[e async for e in c.attach(task_id, start)] for c in clients]
    assert [(event.status, event.msg) for event in remote] == [
        (event.status, event.msg) for event in embedded
    ]
