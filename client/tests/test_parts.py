"""Laws of the small parts: the event parser, the queue between loop and thread, the memory of channels."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao import AccessError, FinalResponse, ModelCard, ModelList
from fengchao.channels import KEEP_S, PAUSE_S, Channels
from fengchao.handoff import Handoff
from fengchao.sse import EventParser, EventTooLargeError

STREAM = (
    ": 注释\n\nevent: x\ndata: 一\n\ndata:二\r\nid: 3\r\n\r\ndata: 三\ndata: 四\n\nretry: 5\n\ndata: 末"
).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(cuts):
    """Events do not depend on how their bytes came."""
    edges = [0, *sorted(cuts), len(STREAM)]
    parser = EventParser()
    events = [e for a, b in itertools.pairwise(edges) for e in parser.feed(STREAM[a:b])]
    events += parser.close()
    assert ["一", "二", "三\n四", "末"] == [event.decode() for event in events]


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 90, b"data: " + b"x" * 90 + b"\n"])
def test_an_endless_event_is_refused(chunk):
    """An event that grows without end is an error, not a full memory."""
    parser = EventParser(max_event_bytes=1000)
    for _ in range(9):
        list(parser.feed(chunk))
    with pytest.raises(EventTooLargeError):
        list(itertools.chain(*map(parser.feed, [chunk] * 9)))


async def test_a_full_queue_holds_its_producer_until_half_is_taken():
    """The producer waits at the limit, and goes on once half of the items are gone."""
    queue = Handoff(4)
    for n in range(4):
        await queue.put(n)
    fifth = asyncio.create_task(queue.put(4))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not fifth.done()
    assert [0, 1] == [queue.take(), queue.take()]
    await asyncio.wait_for(fifth, 10)
    queue.end()
    assert [2, 3, 4, None, None] == [queue.take() for _ in range(5)]


async def test_a_queue_gives_its_failure_after_its_items():
    """What was put before a failure is not lost."""
    queue = Handoff(4)
    await queue.put(1)
    queue.end(ValueError("broken"))
    assert 1 == queue.take()
    with pytest.raises(ValueError, match="broken"):
        queue.take()


@given(st.integers(1, 9), st.integers(0, 200))
def test_every_item_passes_in_order_whatever_the_limit(most, count):
    """A loop and a thread hand over everything, in order."""

    async def produce(queue):
        for n in range(count):
            await queue.put(n)
        queue.end()

    def consume(queue):
        return list(iter(queue.take, None))

    async def both():
        queue = Handoff(most)
        _, taken = await asyncio.gather(produce(queue), asyncio.to_thread(consume, queue))
        return taken

    assert list(range(count)) == asyncio.run(both())


class Lister:
    """Gives the models list, and counts."""

    def __init__(self):
        self.now = 0.0
        self.asked = 0
        self.fails = False

    async def fetch(self):
        """The list."""
        self.asked += 1
        if self.fails:
            raise AccessError(FinalResponse(status=400, msg="访问异常"))
        return ModelList(data=[ModelCard(id="local", channel="本地模型")])


async def test_the_models_list_is_kept_for_a_while():
    """Within its time the kept list serves; after it, it is fetched anew."""
    lister, lock = Lister(), asyncio.Lock()
    channels = Channels(now=lambda: lister.now)
    for now, asked in ((0, 1), (KEEP_S - 1, 1), (KEEP_S, 2)):
        lister.now = now
        assert await channels.is_local("local", lister.fetch, lock)
        assert asked == lister.asked


async def test_a_list_that_cannot_be_had_is_not_asked_for_each_time():
    """After a failure there is a pause, and what was known stays known."""
    lister, lock = Lister(), asyncio.Lock()
    channels = Channels(now=lambda: lister.now)
    assert await channels.is_local("local", lister.fetch, lock)
    lister.fails = True
    for now, asked in ((KEEP_S, 2), (KEEP_S + PAUSE_S - 1, 2), (KEEP_S + PAUSE_S, 3)):
        lister.now = now
        assert await channels.is_local("local", lister.fetch, lock)
        assert asked == lister.asked
