"""Asynchronous tasks over HTTP: submitted, asked for, listed and cancelled by their owner alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.types import Delta

SOON_S = 10


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


async def test_result_is_not_ready(bench):
    """A task that runs is 6602 under HTTP 200, in the shape of an answer; afterwards its answer can be asked for again and again."""
    go_on = asyncio.Event()
    bench.provider.will(go_on, [Delta("好"), Delta(finish_reason="stop")])
    id_ = await submit(bench)
    status, said = await ask(bench, id_)
    assert (200, 6602, "异步结果未生成", []) == (
        status,
        said["status"],
        said["msg"],
        said["choices"],
    )
    go_on.set()
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
