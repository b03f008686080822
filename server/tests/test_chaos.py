"""
The ledger under a hail of deaths: workers are killed at random, the database is locked, callers hang up and vendors fail.

Afterwards what the vendor says it served is what the ledger has, per key and model; what died with its worker is there,
as unknown; nothing is lost and nothing doubled.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from fengchao_core import Gateway, Settings
from fengchao_core.ledger.journal import journal_folder
from fengchao_core.ledger.recount import recount
from fengchao_core.ledger.recovery import take_over
from fengchao_core.testing import Answer, ScriptedVendor, json_answer, sse_answer
from fengchao_core.testing.vendor import Do, Received
from fengchao_core.usage import UsageRecord, estimate_tokens
from fengchao_server.keyring import open_keyring
from fengchao_server.listening import bind, close
from fengchao_server.supervisor import READY

REQUESTS = 2000
KILLS = 20
AT_ONCE = 24
LOCK_S = 3.0
MODELS = ("whole-1", "drain-1")
KINDS = (
    *("whole",) * 6,
    *("stream",) * 5,
    *("cut",) * 2,
    *("drain",) * 2,
    *("costly retry",) * 2,
    "plain retry",
    "rejected",
    "task",
    "refused",
)
MARKER = re.compile(r"<<(\w+) ([\w-]+) ([\w -]+)>>")
END = "END"


@dataclass
class Vendor:
    """
    A vendor that keeps its own books, by the marker of each request.

    Attributes:
        served: key, model, prompt tokens and completion tokens of each answer it would charge for.
    """

    server: ScriptedVendor
    served: dict[str, list[tuple[str, str, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    asked: Counter[str] = field(default_factory=Counter)

    def answer(self, received: Received) -> Answer:
        """As the marker in the prompt says."""
        body = received.json()
        texts = [str(message["content"]) for message in body["messages"]]
        found = MARKER.search(texts[-1])
        assert found is not None
        key, marker, kind = found.groups()
        self.asked[marker] += 1
        prompt = sum(estimate_tokens(text) + 4 for text in texts)
        if kind == "rejected":
            return json_answer({"error": {"message": "no", "code": "bad"}}, status=400)
        if kind == "plain retry" and self.asked[marker] == 1:
            return json_answer({"error": {"message": "busy"}}, status=503)
        if kind == "costly retry" and self.asked[marker] == 1:
            busy = {"error": {"message": "busy", "code": "rate_limit_exceeded"}}
            bill = self._bill(marker, key, body["model"], prompt, 1)
            return Answer(
                (lambda _: [orjson.dumps({**busy, "usage": bill()})],),
                headers={"Content-Type": "application/json"},
            )
        bill = self._bill(marker, key, body["model"], prompt, 7 + len(marker))
        if not body.get("stream"):
            return Answer(
                (lambda _: [orjson.dumps(_whole("好" * 10, bill()))],),
                headers={"Content-Type": "application/json"},
            )
        said = ["好" * 10, "的" * 10, END]
        chunks: list[Any] = [_chunk({"role": "assistant", "content": text}) for text in said]
        if kind == "cut":
            completion = estimate_tokens("".join(said))
            bill = self._bill(marker, key, body["model"], prompt, completion)
            # Billed before its last word is out: the caller may be gone a moment later.
            end = b"data: " + orjson.dumps(chunks.pop()) + b"\n\n"
            return sse_answer(*chunks, lambda _: [end if bill() else b""], Do.HANG)
        last = _chunk({}, finish="stop")
        return sse_answer(
            *chunks,
            lambda _: [b"data: " + orjson.dumps({**last, "usage": bill()}) + b"\n\n"],
            b"data: [DONE]\n\n",
        )

    def _bill(self, marker: str, key: str, model: str, prompt: int, completion: int) -> Any:
        def book() -> dict[str, int]:
            self.served[marker].append((key, model, prompt, completion))
            return {
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "total_tokens": prompt + completion,
            }

        return book


def _whole(text: str, usage: dict[str, int]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}


def _chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}


class Workers:
    """Two worker processes on one port, each replaced at once when it dies."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._order = orjson.dumps(settings.model_dump(mode="json")) + b"\n"
        self._folder = folder
        self._zygote: Process | None = None
        self._turn = asyncio.Lock()
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []
        self.ready: set[int] = set()

    async def start(self) -> None:
        """Run two, until `stop`."""
        script = str(Path(__file__).with_name("zygote.py"))
        self._zygote = await asyncio.create_subprocess_exec(
            sys.executable, script, str(self._folder), stdin=PIPE, stdout=PIPE
        )
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(2)]
        async with asyncio.timeout(60):
            while len(self.ready) < 2:
                await asyncio.sleep(0.02)

    async def kill_one(self, dice: random.Random) -> None:
        """Kill one that serves, as `kill -9` does."""
        while not self.ready:
            await asyncio.sleep(0.02)
        pid = dice.choice(sorted(self.ready))
        self.ready.discard(pid)
        os.kill(pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Tell all to end, and wait until they have."""
        self._stopping = True
        async with asyncio.timeout(60):
            await asyncio.gather(*self._keepers)
            if self._zygote is not None and self._zygote.stdin is not None:
                self._zygote.stdin.close()
                await self._zygote.wait()

    async def _keep(self) -> None:
        while not self._stopping:
            pid = await self._fork()
            said = self._folder / str(pid)
            while _lives(pid):
                if pid not in self.ready and said.exists() and said.read_bytes() == READY:
                    self.ready.add(pid)
                if self._stopping:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                    await asyncio.sleep(0.2)
                await asyncio.sleep(0.02)
            self.ready.discard(pid)

    async def _fork(self) -> int:
        zygote = self._zygote
        assert zygote is not None
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        async with self._turn:
            zygote.stdin.write(self._order)
            return int(await zygote.stdout.readline())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Driver:
    """
    Callers: they ask, read, hang up and poll.

    Attributes:
        url: of the server.
        tokens: by the names of the keys.
        done: how many requests are through.
        answered: the markers of the requests that got their whole answer.
        tasks: ids of asynchronous tasks, with the name of their key.
    """

    url: str
    tokens: dict[str, str]
    dice: random.Random
    done: int = 0
    answered: set[str] = field(default_factory=set)
    tasks: list[tuple[str, str, str]] = field(default_factory=list)

    async def ask(self, client: aiohttp.ClientSession, number: int) -> None:
        """One request, once; a server that is not there is waited for."""
        kind = self.dice.choice(KINDS)
        key = self.dice.choice(sorted(self.tokens))
        marker = f"r{number:04d}"
        body: dict[str, Any] = {
            "model": "drain-1" if kind == "drain" else "whole-1",
            "query": f"<<{key} {marker} {kind}>>" + "问" * self.dice.randint(1, 60),
            "request_id": marker,
        }
        if kind == "refused":
            body["model"] = "absent"
        if kind in {"stream", "cut", "drain"}:
            body["mode"] = "stream"
        if kind == "task":
            body["mode"] = "async"
        while True:
            try:
                await self._send(client, key, marker, kind, body)
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                break  # its worker died
        self.done += 1

    async def _send(
        self, client: aiohttp.ClientSession, key: str, marker: str, kind: str, body: dict[str, Any]
    ) -> None:
        headers = {"Authorization": f"Bearer {self.tokens[key]}"}
        async with client.post("/aigc/chat/", json=body, headers=headers) as response:
            if kind in {"cut", "drain"}:
                until = END.encode() if kind == "cut" else "好".encode()
                got = b""
                while until not in got:
                    piece = await response.content.readany()
                    if not piece:
                        break
                    got += piece
                response.close()
                return
            got = await response.read()
            if kind == "task":
                said = orjson.loads(got)
                if said.get("status") == 200:
                    self.tasks.append((key, marker, said["choices"][0]["message"]["content"]))
            elif kind not in {"refused", "rejected"} and "好".encode() in got:
                self.answered.add(marker)

    async def await_tasks(self, client: aiohttp.ClientSession) -> None:
        """Poll until every asynchronous task has ended."""
        for key, marker, id_ in self.tasks:
            headers = {"Authorization": f"Bearer {self.tokens[key]}"}
            body = {"mode": "async_result", "task_id": id_}
            while True:
                with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                    async with client.post("/aigc/chat/", json=body, headers=headers) as response:
                        said = await response.json()
                        if said.get("status") == 200:
                            self.answered.add(marker)
                        if said.get("status") != 6602 and response.status < 500:
                            break
                await asyncio.sleep(0.05)


def _lock(path: Path, seconds: float) -> None:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
    finally:
        connection.close()


@asynccontextmanager
async def running(home: Path, vendor_url: str) -> AsyncIterator[tuple[Settings, dict[str, str]]]:
    """Settings with a port of their own, and the tokens of three keys."""
    held = bind("127.0.0.1", 0, shared=True)
    settings = Settings.model_validate(
        {
            "home": home,
            "server": {"port": held[0].getsockname()[1], "drain_s": 5},
            "providers": {
                "openai": {
                    "base_url": f"{vendor_url}/v1",
                    "api_key": "sk-upstream",
                    "models": list(MODELS),
                }
            },
            "models": {"drain-1": {"on_disconnect": "drain"}},
            "retry": {"attempts": 5, "base_wait_s": 0.005, "max_wait_s": 0.05},
            "routing": {"cooldown_s": 0.01},
            "ledger": {
                "interval_s": 0.2,
                "sync_s": 0.2,
                "takeover_s": 0.4,
                "segment_bytes": 65536,
            },
            "jobs": {"lease_s": 1.5, "poll_s": 0.1, "attempts": 50},
            "log": {"level": "error"},
        }
    )
    try:
        async with (
            Gateway.open(settings.model_copy(update={"providers": {}, "models": {}})) as gateway,
            open_keyring(gateway.store.keys, home) as keyring,
        ):
            tokens = {name: (await keyring.create(name)).token for name in ("k1", "k2", "k3")}
        yield settings, tokens
    finally:
        close(held)


async def hail(workers: Workers, driver: Driver, home: Path) -> None:
    """Send every request, and kill workers and lock the database as they go through."""
    host_limit = aiohttp.TCPConnector(limit=AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(driver.url, connector=host_limit, timeout=timeout) as client:
        numbers = iter(range(REQUESTS))

        async def caller() -> None:
            for number in numbers:
                await driver.ask(client, number)

        async def killer() -> None:
            for kill in range(KILLS):
                while driver.done < (kill + 1) * REQUESTS / (KILLS + 2):
                    await asyncio.sleep(0.01)
                if kill in {5, 13}:
                    locks.append(
                        asyncio.create_task(asyncio.to_thread(_lock, home / "fengchao.db", LOCK_S))
                    )
                await workers.kill_one(driver.dice)

        locks: list[asyncio.Task[None]] = []

        async with asyncio.TaskGroup() as group:
            group.create_task(killer())
            for _ in range(AT_ONCE):
                group.create_task(caller())
        await asyncio.gather(*locks)
        await driver.await_tasks(client)


async def test_what_was_served_is_what_is_booked(tmp_path):
    """2,000 mixed requests, 20 kills and a locked database: every answer served is booked once, or visible as unknown."""
    home = tmp_path / "home"
    dice = random.Random(6)
    async with ScriptedVendor() as server:
        vendor = Vendor(server)
        server.answers(vendor.answer)
        async with running(home, server.base_url) as (settings, tokens):
            workers = Workers(settings, tmp_path)
            await workers.start()
            driver = Driver(f"http://127.0.0.1:{settings.server.port}", tokens, dice)
            try:
                await hail(workers, driver, home)
            finally:
                await workers.stop()
            bare = settings.model_copy(
                update={
                    "providers": {},
                    "models": {},
                    "ledger": settings.ledger.model_copy(update={"journal": False}),
                }
            )
            async with Gateway.open(bare) as gateway:
                usage = gateway.store.usage
                journals = journal_folder(home, settings.store.url)
                await take_over(journals, None, usage, lambda _: None, 1 << 30)
                rows = await usage.rows(limit=100_000)
                names = {key.api_key: key.name for key in await gateway.store.keys.all()}
                counted = await recount(journals, usage)
    assert (0, 0, 0, 0, 0) == (
        counted.lost,
        counted.doubled,
        counted.differing,
        counted.damaged,
        counted.pending + counted.under_way,
    ), counted
    _check(vendor, driver, rows, names)
    assert counted.rows > REQUESTS * 0.8


def _check(
    vendor: Vendor, driver: Driver, rows: tuple[UsageRecord, ...], names: dict[str, str]
) -> None:
    booked: dict[str, list[tuple[str, str, int, int]]] = defaultdict(list)
    unknown: Counter[str] = Counter()
    for row in rows:
        if row.outcome == "unknown":
            unknown[row.request_id] += 1
        elif row.prompt_tokens or row.completion_tokens:
            figures = (names[row.key], row.model, row.prompt_tokens, row.completion_tokens)
            booked[row.request_id].append(figures)
    markers = {row.request_id for row in rows}
    assert set(vendor.asked) <= markers  # none is absent
    assert driver.answered <= markers
    served: Counter[tuple[str, str]] = Counter()
    ledger: Counter[tuple[str, str]] = Counter()
    for marker in markers:
        ours, theirs = Counter(booked[marker]), Counter(vendor.served[marker])
        assert not ours - theirs, (marker, ours, theirs)  # nothing is booked that was not served
        assert (theirs - ours).total() <= unknown[marker], (marker, ours, theirs, unknown[marker])
        if not unknown[marker]:
            for key, model, prompt, completion in theirs.elements():
                served[key, model] += prompt + completion
            for key, model, prompt, completion in ours.elements():
                ledger[key, model] += prompt + completion
    assert served == ledger
    assert {(key, model) for key in ("k1", "k2", "k3") for model in MODELS} == set(ledger)
    assert KILLS <= sum(unknown.values()) <= KILLS * AT_ONCE
    outcomes = Counter(row.outcome for row in rows)
    assert {"ok", "cancelled", "failed", "refused", "retried", "unknown"} <= set(outcomes)
