"""`Idempotency-Key`: what comes twice is paid for once."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.types import Delta

CHATS = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, {"stream": True}),
    ("/aigc/chat/", {"query": "x"}, {"mode": "stream"}),
]
V1, AIGC = CHATS


async def ask(bench, path, body, key="k-1", headers=None):
    """POST with an idempotency key; status, whether it was repeated, and the body."""
    named = {"Idempotency-Key": key} if key is not None else {}
    body = {"model": "online-1", **body}
    async with bench.client.post(
        path, json=body, headers={**bench.bearer, **named, **(headers or {})}
    ) as response:
        return response.status, "Idempotent-Replayed" in response.headers, await response.text()


@pytest.mark.parametrize(("path", "body", "stream"), CHATS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_first_answer_is_given_again(bench, path, body, stream, streamed):
    """Whole or streamed, the second request gets the very same bytes, and the vendor is asked once."""
    body = {**body, **(stream if streamed else {})}
    first = await ask(bench, path, body)
    second = await ask(bench, path, body)
    assert (200, False, True) == (first[0], first[1], second[1])
    assert first[2] == second[2]
    assert 1 == len(bench.provider.requests)
    assert ["ok"] == await bench.outcomes()


@pytest.mark.parametrize(("path", "body", "status"), [(*V1[:2], 422), (*AIGC[:2], 445)])
async def test_another_body_under_the_key_is_refused(bench, path, body, status):
    """A key that comes with something else says so, and nobody is asked."""
    await ask(bench, path, body)
    got = await ask(bench, path, {**body, "temperature": 0.5})
    assert status == got[0], got
    assert "Idempotency-Key" in got[2]
    assert 1 == len(bench.provider.requests)


async def test_a_duplicate_waits_for_the_first(bench):
    """One that comes while the first is answered waits, and is not sent to the vendor."""
    go_on = asyncio.Event()
    bench.provider.will([Delta("你好")], go_on, [Delta(finish_reason="stop")])
    first = asyncio.create_task(ask(bench, *V1[:2]))
    await bench.provider.begun.wait()
    second = asyncio.create_task(ask(bench, *V1[:2]))
    await asyncio.sleep(0.1)
    assert not second.done()
    go_on.set()
    assert (await first)[2] == (await second)[2]
    assert 1 == len(bench.provider.requests)


async def test_a_failure_is_not_repeated(bench):
    """After an error the next request under the key is asked anew."""
    bench.provider.will(ProviderUnavailable("gone"))
    assert 502 == (await ask(bench, *V1[:2]))[0]
    bench.provider.will([Delta("好", finish_reason="stop")])
    assert (200, False) == (await ask(bench, *V1[:2]))[:2]


async def test_keys_of_others_are_others(bench):
    """Another caller, another path or another key is another request."""
    other = await bench.served.keyring.create("other")
    await ask(bench, *V1[:2])
    await ask(bench, *V1[:2], key="k-2")
    await ask(bench, *AIGC[:2])
    await ask(bench, *V1[:2], headers={"Authorization": f"Bearer {other.token}"})
    assert 4 == len(bench.provider.requests)


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_is_none_is_refused(bench, key):
    """An empty or endless key is the caller's mistake."""
    assert 400 == (await ask(bench, *V1[:2], key=key))[0]


async def test_an_answer_is_forgotten_in_time(bench, tmp_path):
    """After the set time the key is free."""
    await ask(bench, *V1[:2])
    (path,) = (tmp_path / "repeats").iterdir()
    long_ago = time.time() - 100_000
    os.utime(path, (long_ago, long_ago))
    assert not (await ask(bench, *V1[:2]))[1]
    assert 2 == len(bench.provider.requests)


async def test_a_torn_answer_is_asked_anew(bench, tmp_path):
    """A file whose writer died in the middle counts as none."""
    await ask(bench, V1[0], {**V1[1], **V1[2]})
    (path,) = (tmp_path / "repeats").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert (200, False) == (await ask(bench, V1[0], {**V1[1], **V1[2]}))[:2]


async def test_a_request_id_counts_where_it_is_set_so(open_bench):
    """The same `request_id` with the same body is the same request; another turn of the conversation is not."""
    bench = await open_bench(idempotency={"request_id": True})
    turn = {"query": "x", "request_id": "conversation"}
    first = await ask(bench, "/aigc/chat/", turn, key=None)
    assert (200, True, first[2]) == await ask(bench, "/aigc/chat/", turn, key=None)
    await ask(bench, "/aigc/chat/", {**turn, "query": "y"}, key=None)
    assert 2 == len(bench.provider.requests)


async def test_without_a_key_nothing_is_kept(bench, tmp_path):
    """Who does not ask for it is asked for anew each time."""
    await ask(bench, *V1[:2], key=None)
    await ask(bench, *V1[:2], key=None)
    assert 2 == len(bench.provider.requests)
    assert not (tmp_path / "repeats").exists()
