"""Asynchronous tasks over HTTP: submitted, asked for, listed and cancelled by their owner alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fengchao import FengChao, FengChaoAsync
from fengchao_core.errors import ProviderUnavailable
from fengchao_core.types import Delta

SOON_S = 10


@pytest.fixture
def hold(open_bench) -> Iterator[asyncio.Event]:
    """An event that a provider can wait for; it happens at the end of the test, if not before."""
    assert open_bench
    event = asyncio.Event()
    yield event
    event.set()


async def submit(bench: Any, **fields: Any) -> str:
    """Submit a chat; the id of its task."""
    status, said = await bench.ask(mode="async", **fields)
    assert (200, 200) == (status, said["status"]), said
    id_ = said["choices"][0]["message"]["content"]
    assert isinstance(id_, str)
    return id_


async def ask(bench: Any, id_: str, **more: Any) -> tuple[int, Any]:
    """Ask once for the result of a task."""
    return await bench.post("/aigc/chat/", {"mode": "async_result", "task_id": id_, **more})


async def ended(bench: Any, id_: str) -> tuple[int, Any]:
    """Ask for the result of a task until it has one."""
    async with asyncio.timeout(SOON_S):
        while True:
            status, said = await ask(bench, id_)
            if said.get("status") != 6602:
                return status, said
            await asyncio.sleep(0.01)


async def test_answer_of_a_task(bench):
    """A submitted chat is answered with an id, and the id with what invoke would have answered."""
    _, whole = await bench.ask(request_id="r-1")
    id_ = await submit(bench, request_id="r-1")
    status, said = await ended(bench, id_)
    assert 200 == status
    assert {**whole, "created": ""} == {**said, "created": ""}
    assert ["ok", "ok"] == await bench.outcomes()


async def test_result_is_not_ready(bench, hold):
    """A task that runs is 6602 under HTTP 200, in the shape of an answer; afterwards its answer can be asked for again and again."""
    bench.provider.will(hold, [Delta("好"), Delta(finish_reason="stop")])
    id_ = await submit(bench)
    status, said = await ask(bench, id_)
    assert (200, 6602, "异步结果未生成") == (status, said["status"], said["msg"])
    assert "" == said["choices"][0]["message"]["content"]
    hold.set()
    first, second = await ended(bench, id_), await ended(bench, id_)
    assert "好" == first[1]["choices"][0]["message"]["content"]
    assert first == second


@pytest.mark.parametrize(
    ("fields", "http", "status"),
    [
        ({"model": "none"}, 440, 440),
        ({"model": "local-1"}, 441, 441),
        ({"query": " "}, 443, 443),
        ({"knowledge": "none"}, 444, 444),
        ({"temperature": 9}, 445, 445),
    ],
)
async def test_what_is_refused_at_once(bench, fields, http, status):
    """What can be refused for free is refused when it is submitted, with invoke's codes."""
    assert (http, status) == (
        (said := await bench.ask(mode="async", **fields))[0],
        said[1]["status"],
    )


async def test_failure_of_a_task(bench):
    """What a task fails with has the code that invoke has for it."""
    bench.provider.will(ProviderUnavailable("gone", status=503))
    _, whole = await bench.ask()
    id_ = await submit(bench)
    status, said = await ended(bench, id_)
    assert (200, 503, whole["msg"]) == (status, said["status"], said["msg"])


@pytest.mark.parametrize("more", [{}, {"model": "online-1", "query": None, "history": []}])
async def test_unknown_task(bench, more):
    """An id that nobody has, or somebody else, is 445 either way, whatever else the body says."""
    id_ = await submit(bench)
    other = await bench.served.keyring.create("other")
    body = {"mode": "async_result", "task_id": id_, **more}
    async with bench.client.post(
        "/aigc/chat/", json=body, headers={"Authorization": f"Bearer {other.token}"}
    ) as response:
        theirs = (response.status, await response.json())
    assert theirs == await ask(bench, "0" * 32, **more)
    assert (445, 445) == (theirs[0], theirs[1]["status"])


@pytest.mark.parametrize("body", [{}, {"task_id": None}, {"task_id": ""}])
async def test_result_needs_an_id(bench, body):
    """Asking for a result without an id is 445 and names the field."""
    status, said = await bench.post("/aigc/local_chat/", {"mode": "async_result", **body})
    assert (445, True) == (status, "task_id" in said["msg"])


async def tasks(bench: Any, **headers: str) -> list[dict[str, Any]]:
    """The tasks that a key sees."""
    async with bench.client.get("/aigc/tasks/", headers=headers or bench.bearer) as response:
        assert 200 == response.status
        listed: list[dict[str, Any]] = (await response.json())["data"]
    return listed


async def test_owner_lists_and_cancels(bench, hold):
    """A key lists its own tasks, newest first, and cancels one that runs: its vendor connection closes, its usage is booked."""
    done = await submit(bench, request_id="r-1")
    await ended(bench, done)
    bench.provider.closed.clear()
    bench.provider.will([Delta("半")], hold)
    id_ = await submit(bench)
    async with asyncio.timeout(SOON_S):
        while len(bench.provider.requests) < 2:
            await asyncio.sleep(0.01)
    listed = await tasks(bench)
    assert [(id_, "running", "online-1"), (done, "done", "online-1")] == [
        (task["id"], task["state"], task["model"]) for task in listed
    ]
    assert ["r-1"] == [task["request_id"] for task in listed[1:]]
    async with bench.client.delete(f"/aigc/tasks/{id_}", headers=bench.bearer) as response:
        assert "cancelled" == (await response.json())["data"]["state"]
    async with asyncio.timeout(SOON_S):
        await bench.provider.closed.wait()
    status, said = await ask(bench, id_)
    assert (200, 400, "访问异常：任务已取消") == (status, said["status"], said["msg"])
    async with asyncio.timeout(SOON_S):
        while len(outcomes := await bench.outcomes()) < 2:
            await asyncio.sleep(0.01)
    assert ["ok", "cancelled"] == outcomes


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_nobody_else_sees_or_cancels(bench, hold, method):
    """To another key a task is one that does not exist, listed, looked at, cancelled or read."""
    bench.provider.will(hold)
    id_ = await submit(bench)
    other = await bench.served.keyring.create("other")
    theirs = {"Authorization": f"Bearer {other.token}"}
    assert [] == await tasks(bench, **theirs)
    for path in (f"/aigc/tasks/{id_}", f"/aigc/tasks/{'0' * 32}"):
        async with bench.client.request(method, path, headers=theirs) as response:
            assert (445, True) == (response.status, "task_id" in (await response.json())["msg"])
    async with bench.client.get(f"/aigc/stream/{id_}", headers=theirs) as response:
        assert 445 == response.status
    assert ["running"] == [task["state"] for task in await tasks(bench)]


async def test_too_many_tasks(open_bench, hold):
    """Beyond the tasks that a key may have unfinished, submitting is 429, until one of them has ended."""
    bench = await open_bench(jobs={"per_key": 2})
    bench.provider.will(hold)
    first, _ = await submit(bench), await submit(bench)
    status, said = await bench.ask(mode="async")
    assert (429, 429, True) == (status, said["status"], "2" in said["msg"])
    async with bench.client.delete(f"/aigc/tasks/{first}", headers=bench.bearer):
        await submit(bench)


async def test_revoked_key(bench, hold):
    """A task whose key is revoked before it runs asks no vendor and fails."""
    bench.provider.will(hold, [Delta("好"), Delta(finish_reason="stop")])
    other = await bench.served.keyring.create("other")
    caller = bench.served.keyring.caller(other.api_key)
    jobs = bench.gateway.jobs
    for _ in range(16):  # as many as run at the same time, so that the last one waits
        await submit(bench)
    payload = {"body": {"model": "online-1", "query": "你好"}, "channel": None}
    id_ = await jobs.submit("chat", payload, caller=caller)
    await bench.served.keyring.revoke("other")
    hold.set()
    async with asyncio.timeout(SOON_S):
        while not (record := await jobs.find(id_, caller=caller)).is_ended:
            await asyncio.sleep(0.01)
    assert "failed" == record.state
    assert b"AuthenticationFailed" in (record.failure or b"")
    assert 16 == len(bench.provider.requests)


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream."""
    return [json.loads(block[6:]) for block in text.split("\n\n") if block.startswith("data: ")]


def said_in(events: list[dict[str, Any]]) -> str:
    """The text of events."""
    return "".join(event["choices"][0]["message"]["content"] for event in events)


async def test_stream_goes_on_without_its_caller(bench, hold):
    """A resumable stream whose caller hangs up ends all the same; it is read again from any event on, and whole as a result."""
    bench.provider.will(
        [Delta("一"), Delta("二")], hold, [Delta("三")], [Delta(finish_reason="stop")]
    )
    body = {"model": "online-1", "query": "数", "mode": "stream", "resumable": True}
    response = await bench.client.post("/aigc/chat/", json=body, headers=bench.bearer)
    id_ = response.headers["X-Task-Id"]
    await response.content.readuntil(b"\n\n")
    response.close()
    status, said = await ask(bench, id_)
    assert (200, 6602) == (status, said["status"])
    async with bench.client.get(f"/aigc/stream/{id_}?from=1", headers=bench.bearer) as again:
        first = await again.content.readuntil(b"\n\n")
        hold.set()
        events = events_of(first.decode() + (await again.read()).decode())
    assert ([1, 2, 3], "二三") == (
        [event["choices"][0]["index"] for event in events],
        said_in(events),
    )
    assert "stop" == events[-1]["choices"][0]["finish_reason"]
    assert {id_} == {event["task_id"] for event in events}
    for start, text in ((0, "一二三"), (3, ""), (9, "")):
        path = f"/aigc/stream/{id_}?from={start}"
        async with bench.client.get(path, headers=bench.bearer) as again:
            assert text == said_in(events_of(await again.text()))
    _, whole = await ended(bench, id_)
    assert "一二三" == whole["choices"][0]["message"]["content"]
    assert ["ok"] == await bench.outcomes()


async def test_resumable_stream_is_the_plain_one(bench):
    """The events of a resumable stream are those of a plain one, with the id beside them."""
    bench.provider.will(
        [Delta("a\u2028b", reasoning="…")], [Delta("c"), Delta(finish_reason="stop")]
    )
    texts = []
    for resumable in (False, True):
        body = {"model": "online-1", "query": "q", "request_id": "r", "mode": "stream"}
        async with bench.client.post(
            "/aigc/chat/", json={**body, "resumable": resumable}, headers=bench.bearer
        ) as response:
            assert resumable == ("X-Task-Id" in response.headers)
            texts.append(await response.text())
    plain, resumed = map(events_of, texts)
    assert "\u2028" not in texts[1]
    for event in resumed:
        del event["task_id"]
    assert [{**event, "created": ""} for event in plain] == [
        {**event, "created": ""} for event in resumed
    ]


async def test_resumable_stream_that_fails(bench):
    """A failure is the last event of a resumable stream, as often as it is read, and the result of its task."""
    bench.provider.will([Delta("一")], ProviderUnavailable("gone", status=503))
    body = {"model": "online-1", "query": "数", "mode": "stream", "resumable": True}
    async with bench.client.post("/aigc/chat/", json=body, headers=bench.bearer) as response:
        id_ = response.headers["X-Task-Id"]
        first = events_of(await response.text())
    async with bench.client.get(f"/aigc/stream/{id_}", headers=bench.bearer) as response:
        again = events_of(await response.text())
    assert [200, 503] == [event["status"] for event in first]
    assert [200, 503] == [event["status"] for event in again]
    assert {id_} == {event["task_id"] for event in [*first, *again]}
    assert 503 == (await ended(bench, id_))[1]["status"]


async def test_resumable_stream_is_refused_like_any(bench):
    """A resumable stream of a model that does not exist is HTTP 440, and keeps no task."""
    body = {"model": "none", "query": "q", "mode": "stream", "resumable": True}
    status, _ = await bench.post("/aigc/chat/", body)
    assert 440 == status
    assert [] == await tasks(bench)


async def test_endless_stream_is_cut(open_bench):
    """A resumable stream that grows beyond what is kept fails instead of filling the memory."""
    bench = await open_bench(jobs={"stream_bytes": 5000})
    bench.provider.will(*([Delta("很长")] for _ in range(100)))
    body = {"model": "online-1", "query": "q", "mode": "stream", "resumable": True}
    async with bench.client.post("/aigc/chat/", json=body, headers=bench.bearer) as response:
        events = events_of(await response.text())
    assert (400, True) == (events[-1]["status"], "可保留的长度" in events[-1]["msg"])


@pytest.mark.parametrize("given", ["-1", "x", "1.5", "99999999999", "²", ""])
async def test_wrong_start_of_a_stream(bench, given):
    """A number that is none is 445 and names the parameter."""
    async with bench.client.get(f"/aigc/stream/x?from={given}", headers=bench.bearer) as response:
        assert (445, True) == (response.status, "from" in (await response.json())["msg"])


async def test_task_is_no_stream(bench):
    """A task that was not streamed has no events to read."""
    id_ = await submit(bench)
    async with bench.client.get(f"/aigc/stream/{id_}", headers=bench.bearer) as response:
        assert 445 == response.status


@pytest.fixture
async def sdk(bench) -> AsyncIterator[FengChaoAsync]:
    """The SDK with the key, at the server."""
    key = bench.key
    async with FengChaoAsync(key.api_key, key.secret_key, bench.url) as client:
        yield client


async def test_sdk(bench, sdk, hold):
    """The SDK submits, is told that it is too early, waits, lists and cancels."""
    bench.provider.will(hold, [Delta("好"), Delta(finish_reason="stop")])
    id_ = (await sdk.chat("online-1", query="你好", mode="async")).data
    assert 6602 == (await sdk.chat("online-1", mode="async_result", task_id=id_)).status
    other = (await sdk.chat("local-1", query="你好", mode="async")).data
    assert [other, id_] == [task.id for task in (await sdk.tasks()).data.data]
    assert "cancelled" == (await sdk.cancel_task(other)).data.state
    assert 445 == (await sdk.cancel_task("no/such task")).status
    hold.set()
    answer = await sdk.wait_for(id_, interval=0.01)
    assert "好" == answer.data.choices[0].message.content
    assert ["done"] == [task.state for task in (await sdk.tasks(limit=2)).data.data[1:]]


async def test_sdk_attaches(bench, sdk, hold):
    """The SDK leaves a resumable stream and reads it again from where it was."""
    bench.provider.will([Delta("一")], hold, [Delta("二")], [Delta(finish_reason="stop")])
    stream = await sdk.chat("online-1", query="数", mode="stream", resumable=True)
    await anext(stream)
    await stream.aclose()
    hold.set()
    async with sdk.attach(stream.task_id, start=1) as rest:
        texts = [event.data.choices[0].message.content async for event in rest]
    assert ["二", ""] == texts
    beyond = [event async for event in sdk.attach(stream.task_id, start=7)]
    assert [] == beyond
    (unknown,) = [event async for event in sdk.attach("none")]
    assert 445 == unknown.status


async def test_sync_sdk(bench):
    """The sync SDK does the same, as in the product's own example."""
    key = bench.key

    def talk() -> str:
        with FengChao(api_key=key.api_key, secret_key=key.secret_key, base_url=bench.url) as client:
            id_ = client.chat("online-1", query="介绍一下北京", mode="async").data
            client.wait_for(id_, interval=0.01)
            result = client.chat("online-1", mode="async_result", task_id=id_)
            text: str = result.data.choices[0].message.content
            return text

    assert "你好，世界" == await asyncio.to_thread(talk)
