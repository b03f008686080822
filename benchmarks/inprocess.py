"""
One side of the in-process comparison, in a process of its own: a bare aiohttp call, or the same through `Gateway`.

    python -m benchmarks.inprocess bare|ours chat|stream BASE_URL SECONDS CONFIG

One call after another on one connection, asyncio's own loop. Prints one JSON object: calls and processor microseconds per
call, after a warm-up. Both sides send the same request and read the whole answer: the text, or every chunk's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

Call = Callable[[], Awaitable[str]]
WARM_UP_S = 0.5
SYSTEM = "你是一个简洁的助手。Answer tersely."
USER = "请用一句话说说狐狸和狗。One plain sentence, please."


@asynccontextmanager
async def bare(mode: str, base_url: str, _config: Path) -> AsyncIterator[Call]:
    """The least there is: an aiohttp post, orjson both ways."""
    import aiohttp
    import orjson

    headers = {"Authorization": "Bearer sk-upstream", "Content-Type": "application/json"}
    url = base_url + "/v1/chat/completions"
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]
    params = {"model": "mock", "temperature": 0.2, "max_tokens": 64}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def chat() -> str:
            body = orjson.dumps({**params, "messages": messages})
            async with session.post(url, data=body, headers=headers) as answer:
                text: str = orjson.loads(await answer.read())["choices"][0]["message"]["content"]
                return text

        async def stream() -> str:
            body = orjson.dumps(
                {
                    **params,
                    "messages": messages,
                    "stream": True,
                    "stream_options": {"include_usage": True},
                }
            )
            text = ""
            async with session.post(url, data=body, headers=headers) as answer:
                async for line in answer.content:
                    if line.startswith(b"data: {"):
                        for choice in orjson.loads(line[6:])["choices"]:
                            text += choice["delta"].get("content") or ""
            return text

        yield chat if mode == "chat" else stream


@asynccontextmanager
async def ours(mode: str, _base_url: str, config: Path) -> AsyncIterator[Call]:
    """The gateway: words filtered, usage metered, errors told apart."""
    from fengchao_core import ChatCall, ChatParams, Gateway, Message, Settings

    call = ChatCall(
        model="mock",
        messages=(Message("system", SYSTEM), Message("user", USER)),
        params=ChatParams(temperature=0.2, max_tokens=64),
    )
    async with Gateway.open(Settings.load(config)) as gateway:

        async def chat() -> str:
            return (await gateway.chat(call)).text

        async def stream() -> str:
            text = ""
            async with aclosing(gateway.stream(call)) as deltas:
                async for delta in deltas:
                    text += delta.text
            return text

        yield chat if mode == "chat" else stream


async def measure(
    opened: AbstractAsyncContextManager[Call], *, seconds: float
) -> dict[str, float | str]:
    """Call again and again; processor time per call after the warm-up."""
    async with opened as call:
        text = await call()
        until = time.perf_counter() + WARM_UP_S
        while time.perf_counter() < until:
            await call()
        calls = 0
        started, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() < started + seconds:
            await call()
            calls += 1
        cpu = time.process_time() - cpu
        return {
            "text": text,
            "calls": calls,
            "calls_s": calls / (time.perf_counter() - started),
            "cpu_us_per_call": cpu / calls * 1e6,
        }


def main() -> None:
    """Run one side."""
    side, mode, base_url, seconds, config = sys.argv[1:]
    opened = {"bare": bare, "ours": ours}[side](mode, base_url, Path(config))
    print(json.dumps(asyncio.run(measure(opened, seconds=float(seconds)))))


if __name__ == "__main__":
    main()
