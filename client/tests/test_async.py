"""The async client against a service."""

import asyncio
import gc
import subprocess
import sys

import pytest

from fengchao import ClientSetupError, FengChaoAsync, ModelNotFoundError


async def test_a_whole_answer(keys):
    """`await chat()` gives the answer."""
    result = await FengChaoAsync(**keys).chat("glm-4", query="你好")
    assert (200, "你问：你好") == (result.status, result.data.choices[0].message.content)


async def test_the_three_lists(keys):
    """`models()`, `prompts()` and `kgs()` give their lists."""
    client = FengChaoAsync(**keys)
    listed = [await client.models(), await client.prompts(), await client.kgs()]
    assert ["glm-4", "默认", "news_vector_store"] == [each.data.data[0].id for each in listed]


async def test_a_hundred_calls_are_in_flight_at_once(keys, service):
    """A hundred calls of one client all reach the service before any is answered."""
    service.barrier = asyncio.Barrier(100)
    async with FengChaoAsync(**keys) as client:
        async with asyncio.timeout(30):
            calls = (client.chat("glm-4", query=str(n)) for n in range(100))
            results = await asyncio.gather(*calls)
    assert [f"你问：{n}" for n in range(100)] == [
        r.data.choices[0].message.content for r in results
    ]


async def test_calls_side_by_side_ask_for_the_models_once(keys, service):
    """The models list is fetched once, however many first calls come together, and not before each call."""
    client = FengChaoAsync(**keys)
    await asyncio.gather(*(client.chat("glm-4", query="q") for _ in range(10)))
    await client.chat("glm-4", query="q")
    assert 1 == service.paths().count("/aigc/models/")


async def test_calls_side_by_side_learn_the_path_once(keys, service):
    """Ten first calls to an alias of a local model are refused together, and ask for the list once more, not ten times."""
    service.barrier = asyncio.Barrier(10)
    async with FengChaoAsync(**keys) as client:
        results = await asyncio.gather(*(client.chat("qwen", query="q") for _ in range(10)))
    assert [200] * 10 == [result.status for result in results]
    assert 2 == service.paths().count("/aigc/models/")


async def test_the_callers_loop_stays_free_while_a_call_waits(keys, service):
    """A waiting call does not block the loop: something else runs to its end meanwhile."""
    arrived, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def wait(request):
        loop.call_soon_threadsafe(arrived.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go_on.wait(), loop))

    service.faults.append(wait)
    call = asyncio.create_task(FengChaoAsync(**keys).chat("glm-4", query="q"))
    await asyncio.wait_for(arrived.wait(), 10)
    go_on.set()
    assert 200 == (await call).status


async def test_an_entered_client_keeps_its_connection(keys, service):
    """Inside `async with`, calls in a row share a connection."""
    async with FengChaoAsync(**keys) as client:
        for _ in range(3):
            await client.chat("glm-4", query="q")
    assert 1 == len({seen["port"] for seen in service.requests})


async def test_an_unentered_client_leaves_nothing_open(keys):
    """Without `async with` and without `close()`, no session is left to complain about."""
    client = FengChaoAsync(**keys)
    await client.chat("glm-4", query="q")
    del client
    gc.collect()  # an unclosed session would warn here, and warnings are errors


async def test_a_client_works_after_close(keys):
    """`close()` lets go of connections only; a later call opens its own."""
    async with FengChaoAsync(**keys) as client:
        await client.chat("glm-4", query="q")
    await client.close()
    assert 200 == (await client.chat("glm-4", query="q")).status


def test_one_client_serves_loops_one_after_the_other(keys):
    """A client made outside any loop works in each loop that comes."""
    client = FengChaoAsync(**keys)
    for _ in range(3):
        assert 200 == asyncio.run(client.chat("glm-4", query="q")).status


def test_the_products_loop_example_ends_in_silence(keys):
    """The product text's way (a loop fetched and run by hand, nothing ever closed) prints its results and nothing else."""
    script = (
        "import asyncio\n"
        "from fengchao import FengChaoAsync\n"
        f"f = FengChaoAsync({keys['api_key']!r}, {keys['secret_key']!r}, {keys['base_url']!r})\n"
        "loop = asyncio.new_event_loop()\n"
        "tasks = [loop.create_task(f.chat('glm-4', query='q')) for _ in range(10)]\n"
        "loop.run_until_complete(asyncio.wait(tasks))\n"
        "print([task.result().status for task in tasks])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (0, f"{[200] * 10}\n", "") == (done.returncode, done.stdout, done.stderr)


async def test_cancelling_a_call_closes_its_connection(keys, service):
    """A cancelled call hangs up."""
    arrived, gone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def silence(request):
        loop.call_soon_threadsafe(arrived.set)
        try:
            await asyncio.Event().wait()
        finally:
            loop.call_soon_threadsafe(gone.set)

    service.faults.append(silence)
    call = asyncio.create_task(FengChaoAsync(**keys).chat("glm-4", query="q"))
    await asyncio.wait_for(arrived.wait(), 10)
    call.cancel()
    await asyncio.wait_for(gone.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_failures_are_raised_where_asked_for(keys):
    """With errors="raise" a failure is an exception."""
    with pytest.raises(ModelNotFoundError, match="440"):
        await FengChaoAsync(**keys, errors="raise").chat("none", query="q")


async def test_a_service_that_is_not_there_is_a_400(keys):
    """No connection is 访问异常, in words that hold no address."""
    keys["base_url"] = "http://127.0.0.1:1"
    result = await FengChaoAsync(**keys).chat("glm-4", query="q", try_num=1)
    assert 400 == result.status
    assert result.msg.startswith("访问异常：无法连接服务")
    assert "127.0.0.1" not in result.msg


def test_two_ways_to_a_model_are_one_too_many():
    """An address and a gateway together are refused."""
    with pytest.raises(ClientSetupError):
        FengChaoAsync(base_url="http://h", gateway=object())
