"""Asynchronous tasks of real server processes over one SQLite file: killed, restarted, taken over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fengchao import FengChaoAsync
from fengchao_core.testing import Answer, ScriptedVendor, json_answer
from fengchao_core.testing.vendor import Received
from fengchao_core.usage import UsageRecord
from fengchao_sql.store import open_store

TASKS = 100
FEWER = 40
QUICK = 15
SOON_S = 60

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")


class House:
    """
    A data folder, a key, and server processes on it.

    Args:
        home: the data folder.
        base_url: of the vendor.
    """

    def __init__(self, home: Path, base_url: str) -> None:
        self.home = home
        self.env = {
            **os.environ,
            "FENGCHAO_HOME": str(home),
            "FENGCHAO__PROVIDERS__OPENAI__BASE_URL": base_url,
            "FENGCHAO__PROVIDERS__OPENAI__API_KEY": "sk-upstream",
            "FENGCHAO__PROVIDERS__OPENAI__MODELS": '["m"]',
            "FENGCHAO__JOBS__CONCURRENCY": str(TASKS),
            "FENGCHAO__JOBS__LEASE_S": "2",
            "FENGCHAO__JOBS__POLL_S": "0.1",
        }
        self.key: dict[str, str] = {}

    async def run(self, *command: str) -> Any:
        """What a command answers, as JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fengchao_server", *command, "--json",
            env=self.env, stdout=subprocess.PIPE,
        )  # fmt: skip
        return json.loads((await process.communicate())[0])

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, FengChaoAsync]]:
        """A server process, and a client of it."""
        with (self.home.parent / "err").open("ab") as err:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fengchao_server", "serve", "--port", "0", "--json",
                env=self.env, stdout=subprocess.PIPE, stderr=err,
            )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(SOON_S):
                url = json.loads(await process.stdout.readline())["url"]
            key = self.key
            async with FengChaoAsync(key["api_key"], key["secret_key"], url) as client:
                yield process, client
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def rows(self) -> tuple[UsageRecord, ...]:
        """Every usage row."""
        async with open_store("sqlite:///fengchao.db", self.home) as store:
            return await store.usage.rows(limit=10_000)


@pytest.fixture
async def vendor() -> AsyncIterator[ScriptedVendor]:
    """A vendor on loopback."""
    async with ScriptedVendor() as opened:
        yield opened


@pytest.fixture
async def house(tmp_path: Path, vendor: ScriptedVendor) -> House:
    """A data folder with a key, in front of the vendor."""
    made = House(tmp_path / "home", f"{vendor.base_url}/v1")
    made.key = await made.run("keys", "create", "--name", "t")
    return made


def number_of(request: Received) -> int:
    """Which question was asked."""
    return int(request.json()["messages"][-1]["content"].rpartition(" ")[2])


def says(request: Received) -> Answer:
    """The vendor's answer, which tells which question it is for."""
    message = {"role": "assistant", "content": f"answer {number_of(request)}"}
    return json_answer(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
    )


def held(hold: asyncio.Event) -> Callable[[Received], Answer]:
    """Answers the first questions at once, and the others when the event has happened."""

    def answer(request: Received) -> Answer:
        whole = says(request)
        if number_of(request) < QUICK:
            return whole
        return Answer((hold, *whole.steps), whole.status, whole.headers)

    return answer


async def submitted(client: FengChaoAsync, count: int) -> dict[int, str]:
    """So many tasks, by the number of their question."""

    async def submit(number: int) -> str:
        answer = await client.chat("m", f"question {number}", f"task-{number}", mode="async")
        assert 200 == answer.status, answer
        assert isinstance(answer.data, str)
        return answer.data

    ids = await asyncio.gather(*(submit(number) for number in range(count)))
    return dict(enumerate(ids))


async def answers(client: FengChaoAsync, ids: dict[int, str]) -> dict[int, str]:
    """What each task answered."""

    async def answer(id_: str) -> str:
        whole: Any = await client.wait_for(id_, interval=0.2, timeout=SOON_S)
        assert 200 == whole.status, whole
        return str(whole.data.choices[0].message.content)

    return dict(zip(ids, await asyncio.gather(*map(answer, ids.values())), strict=True))


async def booked(house: House, vendor: ScriptedVendor) -> Counter[tuple[str, str]]:
    """How often each request id has each outcome, once every question that reached the vendor is booked."""
    async with asyncio.timeout(SOON_S):
        while len(rows := await house.rows()) < len(vendor.requests):
            await asyncio.sleep(0.1)
    return Counter((row.request_id, row.outcome) for row in rows)


async def test_kill_during_a_hundred_tasks(house, vendor):
    """Kill -9 during a hundred running tasks loses none: after a restart each ends once and is booked once, with one more row for each that was cut."""
    hold = asyncio.Event()
    vendor.answers(held(hold))
    async with house.serving() as (process, client):
        ids = await submitted(client, TASKS)
        await vendor.request(TASKS)
        quick = {number: ids[number] for number in range(QUICK)}
        assert {number: f"answer {number}" for number in quick} == await answers(client, quick)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    hold.set()
    vendor.answers(says)
    async with house.serving() as (_, client):
        assert {number: f"answer {number}" for number in ids} == await answers(client, ids)
        listed = {task.id: task for task in (await client.tasks(limit=1000)).data.data}
    assert set(ids.values()) == set(listed)
    assert {"done"} == {task.state for task in listed.values()}
    assert {1: QUICK, 2: TASKS - QUICK} == Counter(task.attempts for task in listed.values())
    found = await booked(house, vendor)
    assert {f"task-{number}": 1 for number in ids} == {
        request_id: times for (request_id, outcome), times in found.items() if outcome == "ok"
    }
    assert {f"task-{number}": 1 for number in range(QUICK, TASKS)} == {
        request_id: times for (request_id, outcome), times in found.items() if outcome == "unknown"
    }
    assert 2 * TASKS - QUICK == found.total()


async def test_kill_while_tasks_end(house, vendor):
    """Killed at the very moment when tasks are ending, the answers and usage of each are there together or not at all."""
    hold = asyncio.Event()
    vendor.answers(held(hold))
    async with house.serving() as (process, client):
        ids = await submitted(client, FEWER)
        await vendor.request(FEWER)
        hold.set()
        last = client.wait_for(ids[FEWER // 2], interval=0.01)
        await last  # some have ended, and others are about to
        process.send_signal(signal.SIGKILL)
        await process.wait()
    vendor.answers(says)
    async with house.serving() as (_, client):
        assert {number: f"answer {number}" for number in ids} == await answers(client, ids)
    found = await booked(house, vendor)
    oks = {r: times for (r, outcome), times in found.items() if outcome == "ok"}
    assert {f"task-{number}": 1 for number in ids} == oks
    assert {"ok", "unknown"} >= {outcome for _, outcome in found}


async def test_other_process_takes_over(house, vendor):
    """The tasks of a killed process are run by another one on the same database, without a restart."""
    hold = asyncio.Event()
    vendor.answers(held(hold))
    async with AsyncExitStack() as stack:
        first, client = await stack.enter_async_context(house.serving())
        ids = await submitted(client, FEWER)
        await vendor.request(FEWER)
        _, other = await stack.enter_async_context(house.serving())
        first.send_signal(signal.SIGKILL)
        await first.wait()
        hold.set()
        vendor.answers(says)
        assert {number: f"answer {number}" for number in ids} == await answers(other, ids)
        oks = Counter(row.request_id for row in await house.rows() if row.outcome == "ok")
    assert {f"task-{number}": 1 for number in ids} == oks
