"""Texts that would make a filter hold everybody up: the running server answers them, and its loop goes on."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fengchao_core.types import Delta, Usage

ORDINARY = "今天天气很好，我们一起去公园走走吧。The quick brown fox jumps over the lazy dog. "
MEGABYTES_10 = ORDINARY * (10_000_000 // len(ORDINARY.encode()))
MILLION_HITS = "坏词" * 1_000_000
END = [Delta(finish_reason="stop", usage=Usage(prompt_tokens=1, completion_tokens=1))]


MOST_HELD = 0.08
"""
Of all processor time that something takes, the share for which the loop may be kept from its next turn in one go.

A share, because both grow alike on a slow machine; what is done on the loop itself holds it for nearly all of the time. How
long it is in milliseconds, `benchmarks/bench_sensitive.py` tells.
"""

Held = Callable[[Awaitable[Any]], Awaitable[tuple[Any, float]]]


@pytest.fixture
async def words(bench):
    """Words of every troublesome kind."""
    keeper = bench.gateway.word_keeper()
    for word in ("坏词", "坏", "词坏", ".*", "a.b|c", "か\u3099", "fox", "foxes", "走"):
        await keeper.add(word, category="难", action="replace")
    await keeper.add("绝不会有的词", category="禁")


@pytest.fixture
def held() -> Held:
    """
    Waits for something; tells what came of it, and the longest that the loop was kept from its next turn.

    As a share of the processor time that this process took for all of it.
    """

    async def measure(work: Awaitable[Any]) -> tuple[Any, float]:
        task = asyncio.ensure_future(work)
        gc.collect()
        gc.freeze()
        longest = 0.0
        started = time.process_time()
        try:
            while not task.done():
                begun = time.process_time()
                await asyncio.sleep(0.002)
                longest = max(longest, time.process_time() - begun)
            return await task, longest / (time.process_time() - started)
        finally:
            gc.unfreeze()

    return measure


async def ask(bench, **fields):
    """Ask `/aigc` from a thread of its own, so that only the server's work is on the loop; the answer's text."""
    port = int(bench.url.rpartition(":")[2])
    body = json.dumps({"model": "online-1", "query": "好", **fields}, ensure_ascii=False).encode()

    def talk() -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/aigc/chat/", body, bench.bearer)
        said = connection.getresponse().read()
        connection.close()
        return said

    return await asyncio.to_thread(talk)


def shown(said):
    """The text of an answer, whole or streamed."""
    if not said.startswith(b"data:"):
        return json.loads(said)["choices"][0]["message"]["content"]
    events = [json.loads(line[5:]) for line in said.split(b"\n") if line.startswith(b"data:")]
    return "".join(c["message"]["content"] for e in events for c in e["choices"])


async def test_ten_megabytes_go_in(bench, words, held):
    """Ten megabytes are screened while others are served."""
    said, longest = await held(ask(bench, query=MEGABYTES_10))
    assert b'"status":200' in said
    sent = bench.provider.requests[-1].messages[-1].text
    assert MEGABYTES_10.replace("走", "*").replace("fox", "***") == sent
    assert longest < MOST_HELD


async def test_a_million_hits_go_in(bench, words, held):
    """A million hits are a million times two stars, and a few lines in the log."""
    said, longest = await held(ask(bench, query=MILLION_HITS))
    assert b'"status":200' in said
    assert "*" * 2_000_000 == bench.provider.requests[-1].messages[-1].text
    assert longest < MOST_HELD


@pytest.mark.parametrize("mode", ["invoke", "stream"])
@pytest.mark.parametrize("size", [1_500_000, 65_536])
async def test_a_huge_answer_comes_out(bench, words, held, mode, size):
    """An answer of a million and a half characters, in one piece or in many, with hits all over."""
    text = (ORDINARY * (1_000_000 // len(ORDINARY) + 1))[:1_000_000] + MILLION_HITS[:500_000]
    pieces = [[Delta(text[at : at + size])] for at in range(0, len(text), size)]
    bench.provider.will(*pieces, END)
    said, longest = await held(ask(bench, mode=mode))
    expected = text[:1_000_000].replace("走", "*").replace("fox", "***") + "*" * 500_000
    assert expected == shown(said)
    assert longest < MOST_HELD


async def test_words_come_while_texts_are_screened(bench, words, held):
    """Thousands of words are imported, and the lexicon rebuilt, while the loop goes on."""
    lines = "\n".join(f"词{chr(0x4E00 + n)}{chr(0x6000 + n % 7)}" for n in range(5000))
    keeper = bench.gateway.word_keeper()
    done, longest = await held(keeper.import_words(lines, "txt", category="大"))
    assert 5000 == done.added
    said, longer = await held(ask(bench, query=f"词{chr(0x4E00 + 4999)}{chr(0x6000 + 4999 % 7)}"))
    assert b'"status":6601' in said
    # There is little to do here, so that the least of it has a large share.
    assert max(longest, longer) < 0.4
