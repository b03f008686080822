"""
Sensitive words against whole servers: two workers, every vendor's sandbox, words that come while they run.

The sandboxes answer in Chinese and name themselves «沙箱», which no question here holds.
"""

import asyncio
import json
import os
import sys

import aiohttp
import pytest
from tests.served import served

from fengchao_core.word_keeping import WordKeeper
from fengchao_sql.store import open_store

# A model of each vendor's plugin.
MODELS = [
    "glm-4", "gpt-3.5-turbo", "ERNIE-Bot-4", "claude-3-opus-20240229", "skylark-chat", "moonshot-v1-8k", "SenseChat",
    "generalv3.5",
]  # fmt: skip
QUESTION = "你好，介绍一下北京"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder of the server's data."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(home):
    """A gateway of two workers with every vendor of the repository."""
    with served(home, "--workers", "2") as running:
        yield running


@pytest.fixture
async def keeper(home):
    """What an operator does, in a process that is none of the server's; all categories are gone afterwards."""
    async with open_store("sqlite:///fengchao.db", home) as store:
        kept = WordKeeper(store.words)
        yield kept
        for category in await kept.categories():
            await kept.remove_category(category.name)


async def fengchao(home, *arguments):
    """Run a command beside the running server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fengchao_server", *arguments,
        env={**os.environ, "FENGCHAO_HOME": str(home)}, cwd=home, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert 0 == await process.wait()


async def post(server, path, body):
    """
    POST on a connection of its own, so that the kernel picks the worker.

    Returns:
        The worker that answered, and the answer's text.
    """
    headers = {"Authorization": f"Bearer {server.token}", "Connection": "close"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}{path}", json=body, headers=headers) as response,
    ):
        return response.headers["X-Request-Id"][:12], await response.text()


def read(text):
    """The events of a stream, or the one answer."""
    if not text.startswith("data:"):
        return [json.loads(text)]
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data: {")]


async def aigc(server, model, mode, **fields):
    """Ask `/aigc`: the last status and the text that was shown."""
    body = {"model": model, "query": QUESTION, "mode": mode, **fields}
    _, text = await post(server, "/aigc/chat/", body)
    said = read(text)
    if mode == "async" and said[-1]["status"] == 200:
        task = said[-1]["choices"][0]["message"]["content"]
        async with asyncio.timeout(30):
            while True:
                ask = {"mode": "async_result", "task_id": task}
                said = read((await post(server, "/aigc/chat/", ask))[1])
                if said[-1]["status"] != 6602:
                    break
                await asyncio.sleep(0.05)
    shown = "".join(c["message"]["content"] for event in said for c in event.get("choices") or ())
    return said[-1]["status"], shown


async def v1(server, model, *, stream):
    """Ask `/v1`: the code of the error, or None, and the text that was shown."""
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": model, "stream": stream, "messages": messages}
    said = read((await post(server, "/v1/chat/completions", body))[1])
    error = said[-1].get("error")
    part = "delta" if stream else "message"
    shown = "".join(
        c[part].get("content") or "" for event in said for c in event.get("choices") or ()
    )
    return error["code"] if error else None, shown


async def in_turn(models, ask):
    """Ask several models, a few at a time."""
    turns = asyncio.Semaphore(4)

    async def one(model):
        async with turns:
            await ask(model)

    await asyncio.gather(*(one(model) for model in models))


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_answers_of_every_vendor_are_blocked(server, keeper, mode):
    """However a vendor cuts its stream, the answer ends before the word, by `/aigc` and by `/v1`."""
    await keeper.add("沙箱", category="试")

    async def ask(model):
        status, shown = await aigc(server, model, mode)
        assert (6601, False) == (status, "沙" in shown), model
        if mode != "async":
            code, shown = await v1(server, model, stream=mode == "stream")
            assert ("content_filter", False) == (code, "沙" in shown), model

    await in_turn(MODELS, ask)


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_answers_of_every_vendor_are_replaced(server, keeper, mode):
    """Stars take the word's place, on request by `/aigc`, and by the word's own action everywhere."""
    await keeper.add("沙箱", category="试")

    async def ask(model):
        status, shown = await aigc(server, model, mode, sensitive_replace=True)
        assert (200, True, False) == (status, "**" in shown, "沙箱" in shown), model

    await in_turn(MODELS, ask)
    await keeper.set_category("换", action="replace")
    await keeper.remove_category("试")
    await keeper.add("沙箱", category="换")
    async with asyncio.timeout(
        20
    ):  # until both workers have built the lexicon without the blocked word
        while {None} != {
            code
            for code, _ in await asyncio.gather(
                *(v1(server, "glm-4", stream=False) for _ in range(12))
            )
        }:
            await asyncio.sleep(0.1)

    async def ask_v1(model):
        code, shown = await v1(server, model, stream=mode == "stream")
        assert (None, True, False) == (code, "**" in shown, "沙箱" in shown), model

    await in_turn(MODELS, ask_v1)


async def test_a_word_holds_in_every_worker_from_the_next_request_on(server, keeper):
    """Twenty times: it is kept, and every connection after that, to either worker, meets the new word."""
    workers = set()
    for n in range(20):
        word = f"新词{chr(0x5000 + 13 * n)}"
        body = {"model": "glm-4", "query": f"说说{word}吧"}
        await keeper.add(word, category="十")
        answers = await asyncio.gather(*(post(server, "/aigc/chat/", body) for _ in range(6)))
        assert {6601} == {read(text)[-1]["status"] for _, text in answers}
        workers |= {worker for worker, _ in answers}
    assert 2 == len(workers)


async def test_what_the_command_line_changes_holds_in_every_worker(server, home, keeper):
    """A word and a preset that commands add are there for every connection after the command."""
    body = {"model": "glm-4", "query": "甲乙词", "prompt": "周报"}

    async def statuses():
        answers = await asyncio.gather(*(post(server, "/aigc/chat/", body) for _ in range(24)))
        assert 2 == len({worker for worker, _ in answers})
        return {read(text)[-1]["status"] for _, text in answers}

    assert {445} == await statuses()
    await fengchao(home, "prompts", "add", "周报", "--prompt", "写周报：{{query}}")
    assert {200} == await statuses()
    await fengchao(home, "words", "add", "甲乙词", "--category", "令")
    assert {6601} == await statuses()
