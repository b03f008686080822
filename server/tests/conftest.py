"""A running server for each test: the real one, on a loopback port, over a provider that does what the test tells it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from aiohttp import ClientSession

from fengchao_core import Gateway, Settings
from fengchao_core.clock import SystemClock
from fengchao_core.provider import Provider, ProviderContext, ProviderSettings, ProviderSpec
from fengchao_core.store import OperatorRecord, Role
from fengchao_core.types import (
    ChatRequest,
    Delta,
    EmbeddingRequest,
    EmbeddingResult,
    ModelCard,
    Usage,
)
from fengchao_server.answers import KeepAlives
from fengchao_server.auditing import auditor
from fengchao_server.credentials import NewKey
from fengchao_server.lines import Say, say
from fengchao_server.listening import bind
from fengchao_server.serving import Served, serving

Step = Sequence[Delta] | Exception | asyncio.Event

PLAIN: tuple[Step, ...] = (
    [Delta("你好"), Delta("，世界")],
    [Delta(finish_reason="stop", usage=Usage(prompt_tokens=3, completion_tokens=4))],
)

CARDS = (
    ModelCard(
        id="online-1",
        owned_by="Test",
        aliases=("online-alias",),
        max_output_tokens=4096,
        capabilities=frozenset({"vision", "video", "json"}),
    ),
    ModelCard(id="org/model:7b", owned_by="Test"),
    ModelCard(id="local-1", owned_by="Test", is_local=True),
    ModelCard(id="embed-1", owned_by="Test", kind="embedding"),
)


@dataclass
class Scripted(Provider):
    """A provider that takes the steps it is given: yields batches, raises errors, waits for events."""

    steps: tuple[Step, ...] = PLAIN
    requests: list[ChatRequest] = field(default_factory=list)
    embedded: list[EmbeddingRequest] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def will(self, *steps: Step) -> None:
        """Script the answers that follow."""
        self.steps = steps

    async def stream(self, request: ChatRequest) -> AsyncIterator[Sequence[Delta]]:
        """Take the steps."""
        self.requests.append(request)
        self.begun.set()
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield [Delta(**{s: getattr(d, s) for s in d.__slots__}) for d in step]
        finally:
            self.closed.set()

    async def embed(self, request: EmbeddingRequest) -> EmbeddingResult:
        """Vectors that tell which input they are of."""
        self.embedded.append(request)
        vectors = tuple((float(i), 0.5, -1.25) for i, _ in enumerate(request.inputs))
        return EmbeddingResult(vectors=vectors, usage=Usage(prompt_tokens=5))


@dataclass
class Bench:
    """
    A running server and what a test needs around it.

    Attributes:
        client: a session whose base URL is the server; sends no credentials of its own.
        bearer: headers that hold the key.
    """

    url: str
    provider: Scripted
    key: NewKey
    gateway: Gateway
    served: Served
    client: ClientSession

    @property
    def bearer(self) -> dict[str, str]:
        """Headers that hold the key."""
        return {"Authorization": f"Bearer {self.key.token}"}

    async def post(self, path: str, body: Any, **more: Any) -> tuple[int, Any]:
        """POST JSON with the key; the status, and the parsed answer."""
        async with self.client.post(path, json=body, headers=self.bearer, **more) as response:
            return response.status, await response.json()

    async def operator(self, role: Role = "operator", name: str = "ops") -> dict[str, str]:
        """Headers that hold an admin token, of an operator made for it."""
        operators = self.gateway.store.operators
        if await operators.find(name) is None:
            now = datetime.now(UTC)
            # No password fits this hash: tests of signing in make their own.
            await operators.add(
                OperatorRecord(name=name, role=role, password_hash="-", created_at=now)
            )
        by = auditor("test", SystemClock())
        label = f"test-{len(await operators.grants('token'))}"
        token = await self.served.desk.roster.make_token(by, name, label, role=role)
        return {"Authorization": f"Bearer {token}"}

    async def chat(self, **fields: Any) -> tuple[int, Any]:
        """A chat on `/v1`, of one plain message unless the fields say otherwise."""
        body = {"model": "online-1", "messages": [{"role": "user", "content": "你好"}], **fields}
        return await self.post("/v1/chat/completions", body)

    async def ask(self, path: str = "/aigc/chat/", **fields: Any) -> tuple[int, Any]:
        """A chat on `/aigc`, of one plain question unless the fields say otherwise."""
        return await self.post(path, {"model": "online-1", "query": "你好", **fields})

    async def outcomes(self) -> list[str]:
        """The outcomes of all booked requests, oldest first."""
        await self.gateway.flush()
        return [row.outcome for row in reversed(await self.gateway.store.usage.rows())]


class OpenBench(Protocol):
    """Opens a server with settings of its own."""

    def __call__(
        self,
        *,
        cards: Iterable[ModelCard] = CARDS,
        keep_alive_s: float = 7.5,
        say: Say = say,
        **settings: Any,
    ) -> Awaitable[Bench]: ...


@pytest.fixture
async def open_bench(tmp_path: Path) -> AsyncIterator[OpenBench]:
    """A function that starts a server; all are stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def start(
            *,
            cards: Iterable[ModelCard] = CARDS,
            keep_alive_s: float = 7.5,
            say: Say = say,
            **settings: Any,
        ) -> Bench:
            provider = Scripted()
            tree = Settings.model_validate(
                {
                    "providers": {"scripted": {}},
                    "store": {"url": "memory:"},
                    "retry": {"attempts": 1},
                    "home": tmp_path,
                    **settings,
                }
            )
            gateway = await stack.enter_async_context(
                Gateway.open(tree, providers=[_spec(provider, tuple(cards))])
            )
            served = await stack.enter_async_context(
                serving(
                    tree,
                    bind("127.0.0.1", 0),
                    gateway=gateway,
                    keep_alives=KeepAlives(keep_alive_s),
                    say=say,
                )
            )
            key = await served.keyring.create("test")
            client = await stack.enter_async_context(
                ClientSession(
                    served.url,
                    timeout=aiohttp.ClientTimeout(total=20),
                    # Cookies of an address that is no name are kept too.
                    cookie_jar=aiohttp.CookieJar(unsafe=True),
                )
            )
            return Bench(served.url, provider, key, gateway, served, client)

        yield start


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A server with plain settings."""
    return await open_bench()


@pytest.fixture
def raw() -> Callable[[Bench, bytes], Awaitable[bytes]]:
    """A function that sends bytes to a server as they are, and returns all that comes until it closes."""

    async def talk(bench: Bench, data: bytes) -> bytes:
        port = int(bench.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(data)
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()

    return talk


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _spec(provider: Scripted, cards: tuple[ModelCard, ...]) -> ProviderSpec:
    @asynccontextmanager
    async def open_scripted(
        _settings: ProviderSettings, _context: ProviderContext
    ) -> AsyncIterator[Provider]:
        yield provider

    return ProviderSpec("scripted", "脚本", ProviderSettings, lambda: cards, open_scripted)
