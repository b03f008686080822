"""The server as a process: its life from start to signal, alone and as a crew, with real clients."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fengchao_core.testing import Answer, ScriptedVendor, json_answer, sse_answer

WHOLE = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@dataclass
class Running:
    """
    A server's process.

    Attributes:
        facts: what `serve --json` said.
        headers: with a key that works.
    """

    process: asyncio.subprocess.Process
    facts: dict[str, Any]
    headers: dict[str, str]
    env: dict[str, str]

    @property
    def url(self) -> str:
        """Where it serves."""
        return str(self.facts["url"])

    async def usage_by(self, group: str) -> Any:
        """What `fengchao usage --json` says."""
        said = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fengchao_server", "usage", "--by", group, "--json",
            env=self.env, stdout=subprocess.PIPE,
        )  # fmt: skip
        return json.loads((await said.communicate())[0])

    def children(self) -> set[int]:
        """The processes that it started."""
        pid = self.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.fixture
def serve(tmp_path):
    """Runs `fengchao serve --json` over a scripted vendor, with a key."""

    @asynccontextmanager
    async def start(*args: str, base_url: str = "http://127.0.0.1:9") -> AsyncIterator[Running]:
        env = {
            **os.environ,
            "FENGCHAO_HOME": str(tmp_path / "home"),
            "FENGCHAO__PROVIDERS__OPENAI__BASE_URL": base_url,
            "FENGCHAO__PROVIDERS__OPENAI__API_KEY": "sk-upstream",
            "FENGCHAO__PROVIDERS__OPENAI__MODELS": '["m"]',
        }
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fengchao_server", "keys", "create", "--name", "t", "--json",
            env=env, stdout=subprocess.PIPE,
        )  # fmt: skip
        key = json.loads((await made.communicate())[0])
        with (tmp_path / "err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fengchao_server", "serve", "--port", "0", "--json", *args,
                env=env, stdout=subprocess.PIPE, stderr=err,
            )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(60):
                facts = json.loads(await process.stdout.readline())
            yield Running(process, facts, {"Authorization": f"Bearer {key['token']}"}, env)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something outside this process has happened."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_signal_drains(serve):
    """At SIGTERM a stream under way ends well, idle connections are closed, and the exit status is 0."""
    go_on = asyncio.Event()
    first, *rest = stream_events("前半", "后半")
    async with ScriptedVendor() as vendor, serve(base_url=f"{vendor.base_url}/v1") as server:
        vendor.answers(sse_answer(first, go_on, *rest))
        async with aiohttp.ClientSession(server.url, headers=server.headers) as client:
            async with client.get("/healthz") as health:
                assert 200 == health.status
            async with client.post(
                "/v1/chat/completions", json={**HELLO, "stream": True}
            ) as response:
                await response.content.readuntil(b"\n\n")
                server.process.send_signal(signal.SIGTERM)
                await until(lambda: not accepts(server.url))
                go_on.set()
                text = await response.text()
        assert "后半" in text
        assert text.endswith("data: [DONE]\n\n")
        async with asyncio.timeout(10):
            assert 0 == await server.process.wait()


async def test_second_signal_cuts(serve):
    """A second signal does not wait for a stream that hangs; its vendor connection is closed, its usage booked."""
    async with ScriptedVendor() as vendor, serve(base_url=f"{vendor.base_url}/v1") as server:
        first, *_ = stream_events("前半", "后半")
        vendor.answers(sse_answer(first, asyncio.Event()))
        async with (
            aiohttp.ClientSession(server.url, headers=server.headers) as client,
            client.post("/v1/chat/completions", json={**HELLO, "stream": True}) as response,
        ):
            await response.content.readuntil(b"\n\n")
            server.process.send_signal(signal.SIGINT)
            await until(lambda: not accepts(server.url))
            server.process.send_signal(signal.SIGINT)
            async with asyncio.timeout(10):
                assert 0 == await server.process.wait()
        received = await vendor.request(1)
        async with asyncio.timeout(5):
            await received.closed_by_client.wait()
        (row,) = await server.usage_by("outcome")
        assert ("cancelled", 1) == (row["group"], row["requests"])


async def test_hang_up_on_a_stream(serve):
    """A caller that hangs up during a stream closes the real vendor connection within a second."""
    async with ScriptedVendor() as vendor, serve(base_url=f"{vendor.base_url}/v1") as server:
        vendor.answers(sse_answer(stream_events("前半")[0], asyncio.Event()))
        async with aiohttp.ClientSession(server.url, headers=server.headers) as client:
            response = await client.post("/v1/chat/completions", json={**HELLO, "stream": True})
            await response.content.readuntil(b"\n\n")
            response.close()
        received = await vendor.request(1)
        async with asyncio.timeout(1):
            await received.closed_by_client.wait()


async def test_hang_up_before_the_answer(serve):
    """A caller that hangs up before a whole answer closes the real vendor connection within a second."""
    async with ScriptedVendor() as vendor, serve(base_url=f"{vendor.base_url}/v1") as server:
        vendor.answers(Answer((asyncio.Event(),)))
        async with aiohttp.ClientSession(server.url, headers=server.headers) as client:
            request = asyncio.create_task(client.post("/v1/chat/completions", json=HELLO))
            received = await vendor.request(1)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        async with asyncio.timeout(1):
            await received.closed_by_client.wait()


async def test_crew(serve):
    """Two workers serve; one that is killed is replaced; SIGTERM ends all."""
    async with (
        ScriptedVendor() as vendor,
        serve("--workers", "2", base_url=f"{vendor.base_url}/v1") as server,
    ):
        vendor.answers(json_answer(WHOLE))
        before = server.children()
        assert 2 == len(before)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(server.children() - {victim}) == 2)
        await until(lambda: all(is_serving(pid) for pid in server.children()))
        after = server.children()
        for _ in range(8):
            async with (
                aiohttp.ClientSession(server.url, headers=server.headers) as client,
                client.post("/v1/chat/completions", json=HELLO) as response,
            ):
                assert 200 == response.status
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert 0 == await server.process.wait()
        assert not any(is_alive(pid) for pid in before | after)


async def test_orphans(serve):
    """Workers whose supervisor is killed end by themselves."""
    async with serve("--workers", "2") as server:
        workers = server.children()
        server.process.kill()
        await until(lambda: not any(is_alive(pid) for pid in workers))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sandbox(serve, workers):
    """With --sandbox both product examples chat through their sandboxes, with the key that is printed."""
    async with serve("--sandbox", "--workers", workers) as server:
        key = server.facts["key"]
        assert {"glm-4", "gpt-3.5-turbo"} <= set(server.facts["models"])
        async with aiohttp.ClientSession(server.url) as client:
            for model in ("glm-4", "gpt-3.5-turbo"):
                body = {"model": model, "query": "介绍一下北京", "mode": "stream"}
                async with client.post(
                    "/aigc/chat/", json=body, headers={"Authorization": key["token"]}
                ) as response:
                    lines = (await response.text()).split("\n\n")
                said = [json.loads(line[6:])["choices"][0] for line in lines if line]
                assert "stop" == said[-1]["finish_reason"]
                assert "北京" in "".join(choice["message"]["content"] for choice in said)
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert 0 == await server.process.wait()


async def test_lines_to_paste(tmp_path):
    """What a person sees when the sandbox runs can be pasted: the curl line and both SDK snippets work."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fengchao_server", "serve", "--port", "0", "--sandbox",
        env={**os.environ, "FENGCHAO_HOME": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            shown = (await process.stderr.readuntil(b".choices[0].message.content)\n")).decode()
        _, shell, sdk, openai = shown.split("\n# ")
        for command in (
            ["sh", "-c", shell.partition("\n")[2]],
            [sys.executable, "-c", sdk.partition("\n")[2]],
            [sys.executable, "-c", openai.partition("\n")[2]],
        ):
            done = await asyncio.create_subprocess_exec(
                *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            async with asyncio.timeout(60):
                out, err = await done.communicate()
            assert (0, True) == (done.returncode, "沙箱".encode() in out), err.decode()
    finally:
        process.terminate()
        await process.communicate()


def stream_events(*texts: str) -> list[Any]:
    """The events of a vendor's stream that says these texts, `[DONE]` included."""
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    says = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in texts
    ]
    end = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return [*says, end, b"data: [DONE]\n\n"]


def accepts(url: str) -> bool:
    """Whether somebody listens there."""
    import socket

    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def is_alive(pid: int) -> bool:
    """Whether a process is there."""
    return Path(f"/proc/{pid}").exists()


def is_serving(pid: int) -> bool:
    """Whether a worker has a listening socket of its own."""
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    try:
        links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link.startswith("socket:[") and link[8:-1] in inodes for link in links)
