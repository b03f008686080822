"""
What each stage of the pipeline costs by itself, in microseconds: for finding what a change made dearer.

    python benchmarks/micro.py [--only PART_OF_A_NAME]

No sockets and no disk but for the store's own line; the garbage collector rests. Each figure is the best of several rounds,
which repeats within a few percent on a quiet machine. The figures are kept in `results/micro.json` and compared with those of
the run before.
"""

# ruff: noqa: E402  # the imports of this package need its parent on the path

from __future__ import annotations

import argparse
import gc
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import cast

sys.path[0] = str(Path(__file__).resolve().parents[1])  # so that `benchmarks` is a package

import orjson
import structlog
import uvloop
from benchmarks.machine import HERE
from benchmarks.targets import BODY, STREAM_BODY, make_words
from typing_extensions import override

from fengchao_core import Caller, ChatParams, Gateway, Message, Price, Settings
from fengchao_core.clock import SystemClock
from fengchao_core.deadlines import Deadlines
from fengchao_core.exchange import Exchange
from fengchao_core.fold import Fold
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, Decoder, encode
from fengchao_core.kit.sse import SseParser
from fengchao_core.limiter import Limiter, SpentRows, Warden
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.provider import Provider, ProviderSettings, ProviderSpec
from fengchao_core.reservation import Reservation, reserve_chat
from fengchao_core.store import MemoryStore
from fengchao_core.types import ChatRequest, Delta, ModelCard
from fengchao_core.usage import UsageRecord
from fengchao_server.bodies import parse_object
from fengchao_server.keyring import open_keyring
from fengchao_server.logging import configure_logging
from fengchao_server.v1.chat_answer import Chunks, whole
from fengchao_server.v1.chat_request import read_chat

Stage = tuple[str, Callable[[], object], int]
ROUND_S = 0.04
ROUNDS = 7
RESULTS = HERE / "results" / "micro.json"

_HEAD = '{"id":"chatcmpl-0123456789abcdefghijklmnop","created":1730000000,"model":"mock",'
ANSWER = (
    _HEAD
    + """"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"狐狸跳过了懒狗。\
The quick brown fox jumps over the lazy dog, and the dog goes on sleeping.","refusal":null},"logprobs":null,\
"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":31,"total_tokens":55}}"""
).encode()


def _events() -> list[bytes]:
    """A stream of 64 chunks and `[DONE]`, as a vendor sends it."""
    said = [{"role": "assistant", "content": ""}]
    said += [{"content": " brown" if i % 2 else "狐狸"} for i in range(61)]
    bodies = [
        json.dumps([{"index": 0, "delta": delta, "finish_reason": None}], ensure_ascii=False)
        for delta in said
    ]
    bodies.append('[{"index":0,"delta":{},"finish_reason":"stop"}]')
    chunks = [f'{_HEAD}"object":"chat.completion.chunk","choices":{body}}}' for body in bodies]
    usage = '"usage":{"prompt_tokens":24,"completion_tokens":61,"total_tokens":85}'
    chunks += [f'{_HEAD}"object":"chat.completion.chunk","choices":[],{usage}}}', "[DONE]"]
    return [f"data: {chunk}\n\n".encode() for chunk in chunks]


EVENTS = _events()
CLASSIFY = classify_by({})


class Canned(Provider):
    """A provider that has its answer ready."""

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[Delta], None]:
        return _batches(one_by_one=True) if request.stream else _whole_batch()


async def _batches(*, one_by_one: bool) -> AsyncGenerator[Sequence[Delta], None]:
    for batch in _decode(one_by_one=one_by_one):
        yield batch


async def _whole_batch() -> AsyncGenerator[Sequence[Delta], None]:
    yield Decoder(CHAT_COMPLETIONS, classify=CLASSIFY).whole(ANSWER)


def _decode(*, one_by_one: bool) -> list[list[Delta]]:
    parser, decoder = SseParser(), Decoder(CHAT_COMPLETIONS, classify=CLASSIFY)
    reads = EVENTS if one_by_one else [b"".join(EVENTS)]
    return [batch for read in reads if (batch := decoder.decode(parser.feed(read)))]


@asynccontextmanager
async def _open_canned(*_: object) -> AsyncIterator[Provider]:
    yield Canned()


CANNED = ProviderSpec(
    "canned",
    "canned",
    ProviderSettings,
    lambda: (ModelCard(id="mock", owned_by="us"),),
    _open_canned,
)


def _settings(folder: Path, *, words: bool) -> Settings:
    (folder / "words.txt").write_text("\n".join(make_words(10_000)), "utf-8")
    return Settings.model_validate(
        {
            "home": folder,
            "providers": {"canned": {}},
            "sensitive": {"wordlists": [folder / "words.txt"]} if words else {"enabled": False},
        }
    )


async def server_stages(folder: Path) -> AsyncIterator[Stage]:
    """What the server does before and after the gateway."""
    async with open_keyring(MemoryStore().keys, folder) as keyring:
        key = await keyring.create("bench")
        header = f"Bearer {key.token}"
        yield "server: authenticate, seen before", lambda: keyring.authenticate(header), 1
    body, stream_body = orjson.dumps(BODY), orjson.dumps(STREAM_BODY)
    document = parse_object(body)
    yield "server: parse a body", lambda: parse_object(body), 1
    yield "server: check and translate a body", lambda: read_chat(document, "id"), 1
    yield "server: the same, streamed", lambda: read_chat(parse_object(stream_body), "id"), 1
    writer = configure_logging(Settings().log, stream=os.open(os.devnull, os.O_WRONLY))
    log = structlog.get_logger()
    facts = {
        "path": "/v1/chat/completions",
        "status": 200,
        "ms": 1.5,
        "key": "0123",
        "model": "mock",
    }

    def lines() -> None:
        for _ in range(100):
            log.info("request", method="POST", **facts, prompt_tokens=24, completion_tokens=31)
        writer.flush()

    yield "server: a log line, written", lines, 100


async def codec_stages() -> AsyncIterator[Stage]:
    """What a chat-completions vendor's wire costs."""
    request = ChatRequest(
        model="mock",
        messages=read_chat(parse_object(orjson.dumps(BODY)), "id").call.messages,
        params=read_chat(parse_object(orjson.dumps(BODY)), "id").call.params,
    )
    yield "kit: encode a request", lambda: encode(request), 1
    yield "kit: decode a whole answer", lambda: Decoder(classify=CLASSIFY).whole(ANSWER), 1
    yield "kit: decode an event, one by one", lambda: _decode(one_by_one=True), len(EVENTS)
    yield "kit: decode an event, in one read", lambda: _decode(one_by_one=False), len(EVENTS)


async def gateway_stages(folder: Path, *, words: bool) -> AsyncIterator[Stage]:
    """The pipeline around a provider that costs only its decoding."""
    caller = Caller("key", "bench")
    kind = "10,000 words" if words else "no words"
    settings = _settings(folder, words=words)
    async with Gateway.open(settings, store=MemoryStore(), providers=(CANNED,)) as gateway:
        call = read_chat(parse_object(orjson.dumps(BODY)), "id").call

        async def prepare(*, stream: bool = False) -> Exchange:
            return await gateway.prepare(call, stream=stream, caller=caller)

        async def stream() -> None:
            async with aclosing(gateway.run(await prepare(stream=True))) as batches:
                async for _ in batches:
                    pass

        yield f"gateway: prepare, {kind}", prepare, 1
        yield f"gateway: chat, decoded and booked, {kind}", lambda: gateway.chat(call), 1
        yield f"gateway: stream an event, one by one, {kind}", stream, len(EVENTS)
        if words:
            return
        exchange = await prepare()
        completion = await gateway.complete(exchange)
        deltas = _decode(one_by_one=False)[0]
        yield "core: fold 64 deltas", lambda: _fold(deltas), 1
        yield "server: word a whole answer", lambda: whole(completion, "id"), 1
        yield "server: word an event, in one batch", lambda: _word(exchange, [deltas]), len(deltas)
        singly = [[delta] for delta in deltas]
        yield "server: word an event, one by one", lambda: _word(exchange, singly), len(deltas)
        deadlines = Deadlines(settings.limits.limits())
        source = _endless()

        async def pulls() -> None:
            deadline = deadlines.begin()
            for _ in range(64):
                with deadline.step(first=False):
                    await anext(source, None)
            deadline.stop()

        yield "core: wait for a batch under a deadline", pulls, 64
        await gateway.flush()
        rows = await gateway.store.usage.rows(limit=1)
    for stages in (store_stages(folder, rows[0]), limit_stages(folder, rows[0])):
        async for stage in stages:
            yield stage


async def store_stages(folder: Path, row: UsageRecord) -> AsyncIterator[Stage]:
    """Rows into SQLite, 500 at a time, the waiting for its thread included."""
    settings = Settings.model_validate(
        {"home": folder, "store": {"url": f"sqlite:///{folder}/m.db"}}
    )
    async with Gateway.open(settings) as gateway:
        numbers = iter(range(10**9))

        async def add() -> None:
            await gateway.store.usage.add([replace(row, id=f"{next(numbers)}") for _ in range(500)])

        yield "store: a usage row in SQLite", add, 500


async def limit_stages(folder: Path, row: UsageRecord) -> AsyncIterator[Stage]:
    """What a request of a key costs that has every kind of limit."""
    limits = KeyLimits(
        requests_per_minute=10**9,
        tokens_per_minute=10**12,
        concurrent=10**6,
        budgets=(Budget(Decimal(10**9), "CNY"),),
    )
    caller = Caller("key", "bench", limits=limits)
    for workers in (1, 2):
        settings = _settings(folder, words=False)
        server = settings.server.model_copy(update={"workers": workers})
        settings = settings.model_copy(update={"server": server, "home": folder})
        source = SpentRows(MemoryStore().usage)
        warden = Warden(settings, source, SystemClock(), lambda model: model)
        limiter = await warden.open()
        price = Price(
            input=Decimal("0.001"),
            output=Decimal("0.001"),
            currency="CNY",
            since=date(2024, 1, 1),
            source="bench",
        )
        asked = reserve_chat(
            "1",
            ModelCard(id="mock", owned_by="bench", prices=(price,)),
            (Message("user", "hi"),),
            ChatParams(max_tokens=64),
            request_id="1",
            key="key",
            model="mock",
            streamed=False,
            started_at=row.started_at,
        )
        used = replace(row, cost=Decimal("0.001"), currency="CNY")

        once = partial(_reserve_and_give_back, limiter, caller, asked, used)
        kind = "one process" if workers == 1 else "shared by processes"
        yield f"limits: reserve and give back, {kind}", once, 1
        warden.close()


def _reserve_and_give_back(
    limiter: Limiter, caller: Caller, asked: Reservation, used: UsageRecord
) -> None:
    hold = limiter.reserve(caller, asked)
    if hold is not None:
        hold.settle(used)


async def _endless() -> AsyncGenerator[Sequence[Delta], None]:
    batch = (Delta("x"),)
    while True:
        yield batch


def _fold(deltas: Sequence[Delta]) -> object:
    fold = Fold()
    fold.feed(deltas)
    return fold.choices()


def _word(exchange: Exchange, batches: Sequence[Sequence[Delta]]) -> bytes:
    chunks = Chunks(exchange, "id", include_usage=True)
    return b"".join([chunks.word(batch) for batch in batches]) + chunks.end()


async def _time(function: Callable[[], object]) -> float:
    """Processor seconds a call, the best of several rounds."""
    is_async = inspect.isawaitable(first := function())
    if is_async:
        await cast("Awaitable[object]", first)
    best, calls = float("inf"), 1
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            begun = time.process_time()
            for _ in range(calls):
                if is_async:
                    await cast("Awaitable[object]", function())
                else:
                    function()
            took = (time.process_time() - begun) / calls
            best = min(best, took)
            calls = max(1, int(ROUND_S / best))
            gc.collect()
    finally:
        gc.enable()
    return best


async def _all(folder: Path) -> AsyncIterator[Stage]:
    sources = (
        server_stages(folder),
        codec_stages(),
        gateway_stages(folder, words=False),
        gateway_stages(folder, words=True),
    )
    for source in sources:
        async for stage in source:
            yield stage


async def measure(only: str) -> dict[str, float]:
    """Microseconds of every stage whose name holds a text."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="fengchao-micro-") as folder:
        async for name, function, per in _all(Path(folder)):
            if only in name:
                found[name] = await _time(function) / per * 1e6
    return found


def report(now: dict[str, float], before: dict[str, float]) -> Iterator[str]:
    """The lines of the table; what changed by more than a tenth is told."""
    width = max(map(len, now), default=0)
    for name, us in now.items():
        was = before.get(name)
        change = (
            f"   was {was:.2f} ({us / was - 1:+.0%})" if was and abs(us / was - 1) > 0.1 else ""
        )
        yield f"{name.ljust(width)} {us:9.2f} us{change}"


def main() -> None:
    """Measure, print, compare, keep."""
    parser = argparse.ArgumentParser(description="microseconds of each stage of the pipeline")
    parser.add_argument("--only", default="", help="stages whose name holds this text")
    now = uvloop.run(measure(parser.parse_args().only))
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print("\n".join(report(now, before)))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**before, **now}, indent=1))


if __name__ == "__main__":
    main()
