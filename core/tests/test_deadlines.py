"""Time limits around the steps of a provider's stream."""

import asyncio
import time

import pytest

from fengchao_core import Delta, Limits
from fengchao_core.deadlines import Deadlines
from fengchao_core.errors import ProviderTimeout

BATCH = [Delta("x")]


async def steps(*awaited):
    """A stream that awaits each event before its batch; None waits for nothing."""
    for event in awaited:
        if event is not None:
            await event.wait()
        yield BATCH


async def pull(deadline, source, *, first):
    """The next batch of a stream, under a deadline; None at its end."""
    with deadline.step(first=first):
        return await anext(source, None)


hold = time.sleep  # holds up the whole loop


async def test_steps_within_their_limits_pass():
    """A stream that keeps its limits comes through whole, and its end is None."""
    deadline = Deadlines(Limits(first_delta_s=5, idle_s=5)).begin()
    source = steps(None, None)
    got = [await pull(deadline, source, first=n == 0) for n in range(3)]
    deadline.stop()
    assert [BATCH, BATCH, None] == got


@pytest.mark.parametrize(
    ("limits", "first", "phase", "length"),
    [
        (Limits(first_delta_s=0.02), True, "first delta", 0.02),
        (Limits(idle_s=0.02), False, "idle", 0.02),
        (Limits(total_s=0.02), True, "total", 0.02),
    ],
)
async def test_a_late_step_is_told_by_its_limit(limits, first, phase, length):
    """The limit that passed is named with its length, and the source is closed."""
    source = steps(asyncio.Event())
    with pytest.raises(ProviderTimeout) as caught:
        await pull(Deadlines(limits).begin(), source, first=first)
    assert (phase, length) == (caught.value.phase, caught.value.limit_s)
    assert await anext(source, None) is None


async def test_a_shorter_limit_after_a_longer_one_holds():
    """The timer that was set for a far limit does not make a near one late."""
    deadline = Deadlines(Limits(first_delta_s=60, idle_s=0.02)).begin()
    source = steps(None, asyncio.Event())
    assert await pull(deadline, source, first=True) == BATCH
    with pytest.raises(ProviderTimeout):
        await pull(deadline, source, first=False)


async def test_time_between_the_steps_is_the_callers():
    """A caller that is slow to take its deltas passes no limit."""
    deadline = Deadlines(Limits(first_delta_s=0.02, idle_s=0.02)).begin()
    source = steps(None, None)
    assert await pull(deadline, source, first=True) == BATCH
    await asyncio.sleep(0.06)
    assert await pull(deadline, source, first=False) == BATCH
    deadline.stop()


async def test_the_task_is_not_left_cancelled():
    """After a limit passed, the task that waited goes on as if nobody had cancelled it."""
    task = asyncio.current_task()
    with pytest.raises(ProviderTimeout):
        await pull(
            Deadlines(Limits(first_delta_s=0.01)).begin(), steps(asyncio.Event()), first=True
        )
    assert 0 == task.cancelling()
    await asyncio.sleep(0)


async def test_a_cancelled_caller_is_cancelled():
    """Cancelling the task from outside is a cancellation, not a passed limit."""
    started = asyncio.Event()

    async def wait():
        started.set()
        await pull(Deadlines(Limits()).begin(), steps(asyncio.Event()), first=True)

    task = asyncio.create_task(wait())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("cancelled_at", [0.01, 0.03], ids=["before", "after"])
async def test_a_cancellation_goes_before_a_limit(cancelled_at):
    """A task that is cancelled in the turn of the loop in which its limit passes is cancelled."""
    loop = asyncio.get_running_loop()

    async def wait():
        deadline = Deadlines(Limits(first_delta_s=0.02)).begin()
        loop.call_later(cancelled_at, asyncio.current_task().cancel)
        await pull(deadline, busy(), first=True)

    async def busy():
        hold(0.05)  # both are due at the loop's next turn
        await asyncio.Event().wait()
        yield BATCH

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(wait())


async def test_each_of_many_calls_has_its_own_time():
    """Of calls that wait at once, each is told of its own limit at its own time, and the others go on."""
    deadlines = Deadlines(Limits(first_delta_s=0.03, idle_s=0.5, total_s=30))
    loop, told = asyncio.get_running_loop(), {}

    async def wait(name, *, first):
        begun = loop.time()
        try:
            await pull(deadlines.begin(), steps(asyncio.Event()), first=first)
        except ProviderTimeout as error:
            told[name] = (error.phase, loop.time() - begun >= error.limit_s)

    async def long():
        deadline = deadlines.begin()
        while len(told) < 2:
            with deadline.step(first=False):
                await asyncio.sleep(0.02)
        deadline.stop()
        told["long"] = "ended"

    await asyncio.gather(wait("late", first=False), wait("early", first=True), long())
    assert {
        "early": ("first delta", True),
        "late": ("idle", True),
        "long": "ended",
    } == told


async def test_a_call_that_ended_is_not_cancelled():
    """The timer may ring for a call that is over: its task is left alone."""
    deadlines = Deadlines(Limits(first_delta_s=0.01))
    deadline = deadlines.begin()
    assert await pull(deadline, steps(None), first=True) == BATCH
    deadline.stop()
    await asyncio.sleep(0.03)
    deadlines.close()
    assert 0 == asyncio.current_task().cancelling()
