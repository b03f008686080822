"""A submit whose answer is lost on its way is tried again by the SDK, and makes one task."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fengchao import FengChao, FengChaoAsync


class Cutter:
    """
    A way to the server that loses the answers to the first submits.

    Attributes:
        url: where it listens.
        keys: the idempotency keys of the submits that came by.
        early: set to cut as soon as this happened, instead of when the server has answered.
        cuts: how many connections are still to be cut.
    """

    def __init__(self, to: str) -> None:
        self.url = ""
        self.keys: list[str] = []
        self.early: asyncio.Event | None = None
        self.cuts = 1
        self._port = int(to.rpartition(":")[2])

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        up, down = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(self._answers(up, writer))
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(_header(head, b"Content-Length") or 0)
                body = await reader.readexactly(length)
                if b'"mode":"async"' in body:
                    self.keys.append(_header(head, b"Idempotency-Key").decode())
                    if self.cuts:
                        answers.cancel()
                        await asyncio.wait([answers])
                        down.write(head + body)
                        await (self.early.wait() if self.early else up.readuntil(b'"usage"'))
                        self.cuts -= 1
                        break
                down.write(head + body)
        except asyncio.IncompleteReadError:
            pass
        finally:
            answers.cancel()
            down.close()
            writer.close()

    @staticmethod
    async def _answers(up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await up.read(65536):
                writer.write(data)


def _header(head: bytes, name: bytes) -> bytes:
    lines = [line.partition(b": ") for line in head.split(b"\r\n")]
    return next((value for key, _, value in lines if key.lower() == name.lower()), b"")


@pytest.fixture
async def cutter(bench) -> AsyncIterator[Cutter]:
    """A way to the server that cuts."""
    made = Cutter(bench.url)
    server = await asyncio.start_server(made.pass_on, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


async def submit(bench: Any, cutter: Cutter, client: str) -> str:
    """Submit a chat with one of the clients; the id that the SDK comes back with."""
    keys = (bench.key.api_key, bench.key.secret_key, cutter.url)

    def talk() -> Any:
        with FengChao(*keys) as sync:
            return sync.chat("online-1", query="你好", mode="async")

    if client == "sync":
        said = await asyncio.to_thread(talk)
    else:
        async with FengChaoAsync(*keys) as there:
            said = await there.chat("online-1", query="你好", mode="async")
    assert 200 == said.status, said
    return str(said.data)


async def tasks(bench: Any) -> list[str]:
    """The ids of the tasks that the key has."""
    async with bench.client.get("/aigc/tasks/", headers=bench.bearer) as response:
        return [task["id"] for task in (await response.json())["data"]]


@pytest.mark.parametrize("client", ["sync", "async"])
async def test_a_lost_answer_makes_no_second_task(bench, cutter, client):
    """The connection is cut when the server has answered: the second attempt gets the id of the first task."""
    id_ = await submit(bench, cutter, client)
    assert [id_] == await tasks(bench)
    assert 2 == len(cutter.keys)
    assert 1 == len(set(cutter.keys))


async def test_a_caller_who_left_too_early(bench, cutter, monkeypatch):
    """The connection is cut when the task is kept and the answer is not made yet: the submit goes on to its end all the same."""
    cutter.early = asyncio.Event()
    jobs = bench.gateway.store.jobs
    add = jobs.add

    async def slow(*given: Any) -> None:
        await add(*given)
        cutter.early.set()
        async with asyncio.timeout(5):
            while cutter.cuts:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # so that the server hears of it meanwhile

    monkeypatch.setattr(jobs, "add", slow)
    id_ = await submit(bench, cutter, "async")
    assert [id_] == await tasks(bench)


async def test_each_submit_has_a_key_of_its_own(bench, cutter):
    """Two calls that say the same are two tasks."""
    cutter.cuts = 0
    ids = {await submit(bench, cutter, "async"), await submit(bench, cutter, "async")}
    assert ids == set(await tasks(bench))
    assert 2 == len(set(cutter.keys))
