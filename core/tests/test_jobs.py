"""Asynchronous tasks: leased, renewed, taken over, bounded, expired, cancelled, and booked together with their result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from fengchao_core import EMBEDDED, Caller, Gateway, MemoryStore, Settings
from fengchao_core import errors as e
from fengchao_core.holding import HELD
from fengchao_core.jobs import JobKind
from fengchao_core.jobs.failures import dump_failure, load_failure
from fengchao_core.store.jobs import JobClaim, JobOutcome, JobStore, MemoryJobs
from fengchao_core.testing import FakeClock
from fengchao_core.usage import UsageRecord

SOON_S = 10
LEASE_S = 30


def opened(
    store: MemoryStore | None = None, clock: FakeClock | None = None, **jobs: Any
) -> AbstractAsyncContextManager[Gateway]:
    """A gateway without models, that looks for tasks all the time."""
    settings = {"store": {"url": "memory:"}, "jobs": {"poll_s": 0.01, "lease_s": LEASE_S, **jobs}}
    return Gateway.open(Settings.model_validate(settings), store=store, clock=clock)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has happened."""
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.005)


async def state(store: MemoryStore, id_: str, wanted: str) -> None:
    """Wait until a task stands so."""
    async with asyncio.timeout(SOON_S):
        while (await store.jobs.get(id_)).state != wanted:
            await asyncio.sleep(0.005)


class Work:
    """A kind of task that a test holds in its hand: it begins, waits until it may end, and is told when it is stopped."""

    def __init__(self, *raises: BaseException) -> None:
        self.begun: list[dict[str, Any]] = []
        self.callers: list[Caller] = []
        self.stopped = 0
        self.most = 0
        self.may_end = asyncio.Event()
        self.raises = list(raises)
        self._running = 0

    @property
    def kind(self) -> JobKind:
        """As it is registered."""
        return JobKind("work", self._run)

    async def _run(self, payload: dict[str, Any], caller: Caller, _: Gateway) -> dict[str, Any]:
        self.begun.append(payload)
        self.callers.append(caller)
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            if self.raises:
                raise self.raises.pop(0)
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self._running -= 1
        return {"said": payload["say"]}


@pytest.fixture
def store() -> MemoryStore:
    """A store that several gateways can share."""
    return MemoryStore()


async def test_result_of_a_task(store):
    """A task is given its payload and the caller of its key; its result is there when it has ended, again and again."""
    work = Work()
    async with opened(store) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"}, model="m", request_id="r")
        with pytest.raises(e.ResultNotReady):
            await gateway.jobs.result(id_)
        work.may_end.set()
        assert {"said": "好"} == await gateway.jobs.wait(id_, every_s=0.005)
        assert {"said": "好"} == await gateway.jobs.result(id_)
        record = await gateway.jobs.find(id_)
    assert [{"say": "好"}] == work.begun
    assert [EMBEDDED] == work.callers
    assert ("done", "m", "r", 1) == (
        record.state,
        record.model,
        record.request_id,
        record.attempts,
    )
    assert "好" not in repr(record)


async def test_kind_that_is_not_registered():
    """A kind that nobody registered is refused, and nothing is kept."""
    async with opened() as gateway:
        with pytest.raises(e.InvalidParameter, match="register"):
            await gateway.jobs.submit("work", {})
        assert () == await gateway.jobs.list()


async def test_dead_worker_is_replaced(store):
    """A task whose worker has died is run again when its lease is over, and not a moment earlier."""
    clock, work = FakeClock(), Work()
    work.may_end.set()
    async with opened(store, clock, concurrency=0) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
    lease_until = clock.now() + timedelta(seconds=LEASE_S)
    await store.jobs.claim(
        "embedded", ("work",), worker="dead", now=clock.now(), lease_until=lease_until, limit=1
    )
    async with opened(store, clock) as gateway:
        gateway.jobs.register(work.kind)
        clock.advance(LEASE_S - 1)
        with pytest.raises(e.ResultNotReady):
            await gateway.jobs.result(id_)
        await asyncio.sleep(0.05)  # several rounds, in which it must not be taken
        assert [] == work.begun
        clock.advance(1)
        assert {"said": "好"} == await gateway.jobs.wait(id_, every_s=0.005)
        assert 2 == (await gateway.jobs.find(id_)).attempts


async def test_living_worker_renews(store):
    """A task that runs for many leases keeps its worker, though another one waits for it."""
    clock, mine, others = FakeClock(), Work(), Work()
    async with opened(store, clock) as first, opened(store, clock) as second:
        first.jobs.register(mine.kind)
        id_ = await first.jobs.submit("work", {"say": "好"})
        await until(lambda: mine.begun)
        second.jobs.register(others.kind)
        second.jobs.start()
        for _ in range(10):
            before = (await store.jobs.get(id_)).lease_until
            clock.advance(LEASE_S / 2)
            async with asyncio.timeout(SOON_S):
                while (await store.jobs.get(id_)).lease_until == before:
                    await asyncio.sleep(0.005)
        mine.may_end.set()
        await first.jobs.wait(id_, every_s=0.005)
    assert (1, 0) == (len(mine.begun), len(others.begun))


async def test_lost_lease_stops_the_work(store):
    """A worker that slept over its lease, so that another took its task, stops working on it and keeps nothing of it."""
    clock, work = FakeClock(), Work()
    async with opened(store, clock) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
        await until(lambda: work.begun)
        later = clock.now() + timedelta(seconds=LEASE_S)
        (taken,) = await store.jobs.claim(
            "embedded",
            ("work",),
            worker="other",
            now=later,
            lease_until=later + timedelta(days=1),
            limit=1,
        )
        clock.advance(LEASE_S / 2)
        await until(lambda: work.stopped)
        claim = JobClaim(id_, "other", taken.attempts)
        outcome = JobOutcome(
            state="done",
            ended_at=later,
            keep_until=later + timedelta(days=1),
            result=b'{"said":"theirs"}',
        )
        assert await store.jobs.finish(claim, outcome)
        assert {"said": "theirs"} == await gateway.jobs.result(id_)


async def test_task_that_kills_its_workers(store):
    """A task is not begun more often than it may be, however often its worker dies; it then has failed as interrupted."""
    clock, work = FakeClock(), Work()
    async with opened(store, clock, concurrency=0, attempts=2) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
        for number in range(2):
            lease_until = clock.now() + timedelta(seconds=1)
            assert await store.jobs.claim(
                "embedded", ("work",), worker=f"dead-{number}", now=clock.now(),
                lease_until=lease_until, limit=1,
            )  # fmt: skip
            clock.advance(LEASE_S)
        with pytest.raises(e.TaskEnded, match="interrupted"):
            await gateway.jobs.wait(id_, every_s=0.005)
    assert [] == work.begun


@pytest.mark.parametrize("concurrency", [0, 1])
async def test_expiry(store, concurrency):
    """A task that has not ended in time is given up, whether it waits or runs; later it is forgotten."""
    clock, work = FakeClock(), Work()
    async with opened(
        store, clock, concurrency=concurrency, expire_s=100, keep_s=50, lease_s=9
    ) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
        if concurrency:
            await until(lambda: work.begun)
        for _ in range(10):
            clock.advance(10)
            with pytest.raises((e.ResultNotReady, e.TaskEnded)) as caught:
                await gateway.jobs.result(id_)
            await asyncio.sleep(0.03)
        assert isinstance(caught.value, e.TaskEnded)
        assert "expired" == caught.value.reason
        await state(store, id_, "failed")
        assert "failed" == (await gateway.jobs.find(id_)).state
        assert concurrency == work.stopped
        clock.advance(50)
        for ask in (gateway.jobs.result, gateway.jobs.find, gateway.jobs.cancel):
            with pytest.raises(e.UnknownTask):
                await ask(id_)
        assert () == await gateway.jobs.list()
        clock.advance(10)
        async with asyncio.timeout(SOON_S):
            while await store.jobs.get(id_) is not None:
                await asyncio.sleep(0.005)


async def test_cancel(store):
    """A cancelled task is stopped at once, in this process and in another, and is not begun again."""
    clock, mine, others = FakeClock(), Work(), Work()
    async with opened(store, clock) as first, opened(store, clock) as second:
        first.jobs.register(mine.kind)
        second.jobs.register(others.kind)
        here = await first.jobs.submit("work", {"say": "1"})
        there = await first.jobs.submit("work", {"say": "2"})
        await until(lambda: len(mine.begun) == 2)
        assert "cancelled" == (await first.jobs.cancel(here)).state
        await until(lambda: mine.stopped == 1)
        assert "cancelled" == (await second.jobs.cancel(there)).state
        clock.advance(LEASE_S / 2)  # the first looks after its leases, and learns of it
        await until(lambda: mine.stopped == 2)
        for id_ in (here, there):
            with pytest.raises(e.TaskEnded, match="cancelled"):
                await first.jobs.result(id_)
        assert "cancelled" == (await first.jobs.cancel(here)).state
    assert [] == others.begun


async def test_owners_are_kept_apart(store):
    """To another caller a task does not exist; an embedded gateway runs none of a server's, and the other way round."""
    clock, embedded, served = FakeClock(), Work(), Work()
    alice, bob = Caller("k1", "alice"), Caller("k2", "bob")
    async with opened(store, clock) as mine, opened(store, clock) as server:
        mine.jobs.register(embedded.kind)
        server.jobs.register(served.kind)
        server.jobs.start(queue="server", identify=lambda key: {"k1": alice, "k2": bob}[key])
        own = await mine.jobs.submit("work", {"say": "1"})
        hers = await server.jobs.submit("work", {"say": "2"}, caller=alice)
        await until(lambda: embedded.begun and served.begun)
        assert [EMBEDDED] == embedded.callers
        assert [alice] == served.callers
        for jobs, id_, caller in (
            (server.jobs, hers, bob),
            (server.jobs, own, EMBEDDED),
            (mine.jobs, hers, alice),
        ):
            with pytest.raises(e.UnknownTask):
                await jobs.result(id_, caller=caller)
            with pytest.raises(e.UnknownTask):
                await jobs.cancel(id_, caller=caller)
            with pytest.raises(e.UnknownTask):
                await anext(jobs.events(id_, caller=caller))
        assert () == await server.jobs.list(caller=bob)


async def test_bounds(store):
    """Beyond its bounds a task is refused; it never runs more tasks at once than it may, and all of them in the end."""
    work = Work()
    async with opened(store, concurrency=3, per_key=7, capacity=1000) as gateway:
        gateway.jobs.register(work.kind)
        ids = [await gateway.jobs.submit("work", {"say": n}) for n in range(7)]
        with pytest.raises(e.LimitExceeded):
            await gateway.jobs.submit("work", {"say": 8})
        await until(lambda: len(work.begun) == 3)
        work.may_end.set()
        results = [await gateway.jobs.wait(id_, every_s=0.005) for id_ in ids]
    assert [{"said": n} for n in range(7)] == results
    assert 3 == work.most


async def test_limit_says_later(store):
    """A task that a limit of its key stops for now goes back and is run when the limit said, not before; nothing is booked."""
    clock = FakeClock()
    work = Work(e.LimitExceeded("too fast", limit="rpm", retry_after=20))
    work.may_end.set()
    async with opened(store, clock) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
        await until(lambda: work.begun)
        await state(store, id_, "queued")
        await asyncio.sleep(0.05)  # several rounds, in which it must not be begun
        assert 1 == len(work.begun)
        clock.advance(20)
        assert {"said": "好"} == await gateway.jobs.wait(id_, every_s=0.005)
        assert 1 == (await gateway.jobs.find(id_)).attempts


@pytest.mark.parametrize("after", [None, 100.0])
async def test_limit_that_time_does_not_mend(store, after):
    """A limit that does not say when to come back, or says too late, fails the task, with its facts."""
    work = Work(e.LimitExceeded("spent", limit="budget", retry_after=after))
    async with opened(store, expire_s=100) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
        with pytest.raises(e.LimitExceeded, match="spent") as caught:
            await gateway.jobs.wait(id_, every_s=0.005)
    assert ("budget", after) == (caught.value.limit, caught.value.retry_after)


async def test_own_fault(store):
    """A fault of ours fails the task without a word of it, and stands in the log with its traceback."""
    work = Work(ValueError("secret"))
    async with opened(store) as gateway:
        gateway.jobs.register(work.kind)
        with capture_logs() as logged:
            id_ = await gateway.jobs.submit("work", {"say": "好"})
            with pytest.raises(e.TaskEnded) as caught:
                await gateway.jobs.wait(id_, every_s=0.005)
    assert "incident" == caught.value.reason
    assert "secret" not in str(caught.value)
    assert ["job.incident"] == [entry["event"] for entry in logged if entry["log_level"] == "error"]
    assert not any("好" in str(entry) for entry in logged)


async def test_closing_gives_back(store):
    """A gateway that is closed gives back what it runs, as if it had not been begun; the next one runs it."""
    work, again = Work(), Work()
    again.may_end.set()
    async with opened(store) as gateway:
        gateway.jobs.register(work.kind)
        id_ = await gateway.jobs.submit("work", {"say": "好"})
        await until(lambda: work.begun)
    record = await store.jobs.get(id_)
    assert ("queued", 0, 1) == (record.state, record.attempts, work.stopped)
    async with opened(store) as gateway:
        gateway.jobs.register(again.kind)
        assert {"said": "好"} == await gateway.jobs.wait(id_, every_s=0.005)


async def test_closing_waits_for_a_while(store):
    """Closed with time to drain, a gateway lets what runs end, and begins nothing new."""
    work = Work()
    async with opened(store, concurrency=1) as gateway:
        gateway.jobs.register(work.kind)
        ids = [await gateway.jobs.submit("work", {"say": n}) for n in range(2)]
        await until(lambda: work.begun)
        closing = asyncio.create_task(gateway.jobs.close(drain_s=SOON_S))
        await asyncio.sleep(0)
        work.may_end.set()
        await closing
    assert ["done", "queued"] == [(await store.jobs.get(id_)).state for id_ in ids]


def a_row(id_: str) -> UsageRecord:
    """A usage row."""
    return UsageRecord(
        id=id_,
        request_id="r",
        key="k",
        model="m",
        provider="p",
        outcome="ok",
        error="",
        streamed=False,
        attempts=1,
        started_at=FakeClock().now(),
        duration_ms=1,
        first_delta_ms=None,
        prompt_tokens=1,
        completion_tokens=1,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="vendor",
        cost=None,
        currency=None,
        price_since=None,
    )


def booking(*ids: str, late: asyncio.Event | None = None) -> JobKind:
    """A kind whose work settles rows as the pipeline does."""

    async def run(_payload: object, _caller: Caller, _gateway: Gateway) -> dict[str, Any]:
        held = HELD.get()
        assert held is not None
        for id_ in ids:
            assert held.take(a_row(id_))
        if late is not None:

            def tell() -> None:
                if not held.take(a_row("late")):
                    late.set()

            asyncio.get_running_loop().call_later(0.05, tell)
        return {}

    return JobKind("work", run)


class Failing(MemoryJobs):
    """Tasks in a store that is away for a while just when one ends."""

    times = 2

    async def finish(self, claim: JobClaim, outcome: JobOutcome) -> bool:
        """Fail at first."""
        if self.times:
            self.times -= 1
            raise e.StoreUnavailable("away")
        return await super().finish(claim, outcome)


class HalfBroken(MemoryStore):
    """A store with such tasks."""

    def __init__(self) -> None:
        super().__init__()
        self._failing = Failing(self.usage)

    @property
    def jobs(self) -> JobStore:
        """The tasks."""
        return self._failing


async def test_store_that_is_away_when_a_task_ends():
    """A result is kept as soon as the store is back, together with the usage, which is booked once."""
    store = HalfBroken()
    async with opened(store) as gateway:
        gateway.jobs.register(booking("a", "b"))
        id_ = await gateway.jobs.submit("work", {})
        assert {} == await gateway.jobs.wait(id_, every_s=0.005)
        assert {"a", "b"} == {row.id for row in await store.usage.rows()}
        await gateway.flush()
    assert 2 == len(await store.usage.rows())


async def test_row_that_comes_too_late(store):
    """A usage row that is settled after its task has ended is not taken from the ledger."""
    late = asyncio.Event()
    async with opened(store) as gateway:
        gateway.jobs.register(booking(late=late))
        await gateway.jobs.wait(await gateway.jobs.submit("work", {}), every_s=0.005)
        async with asyncio.timeout(SOON_S):
            await late.wait()


async def read(gateway: Gateway, id_: str, start: int = 0) -> list[bytes]:
    """Every event of a stream."""
    found: list[bytes] = []
    async with aclosing(gateway.jobs.events(id_, start=start)) as batches:
        async for batch in batches:
            found += batch
    return found


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_stream_is_read_while_it_runs(store, elsewhere):
    """Any number of readers follow a stream, from any event on, in its own process and in others."""
    step = asyncio.Event()

    async def run(_id: str, emit: Callable[[Iterable[bytes]], None]) -> dict[str, Any]:
        emit([b"0", b"1"])
        await step.wait()
        emit([b"2"])
        return {"whole": "012"}

    async with opened(store) as gateway, opened(store) as other:
        reader = other if elsewhere else gateway
        id_ = await gateway.jobs.open_stream(run)
        reading = [asyncio.create_task(read(reader, id_, start)) for start in (0, 1, 3)]
        async with aclosing(reader.jobs.events(id_)) as batches:
            assert [b"0", b"1"] == list(await anext(batches))
        step.set()
        async with asyncio.timeout(SOON_S):
            assert [[b"0", b"1", b"2"], [b"1", b"2"], []] == await asyncio.gather(*reading)
        assert {"whole": "012"} == await reader.jobs.wait(id_, every_s=0.005)
        assert [b"2"] == await read(reader, id_, 2)


async def test_stream_of_a_process_that_ends(store):
    """A stream whose process ends has failed as interrupted; its events are still there for others."""

    async def run(_id: str, emit: Callable[[Iterable[bytes]], None]) -> dict[str, Any]:
        emit([b"0"])
        await asyncio.Event().wait()
        return {}

    async with opened(store) as gateway:
        id_ = await gateway.jobs.open_stream(run)
        async with aclosing(gateway.jobs.events(id_)) as batches:
            await anext(batches)
    async with opened(store) as other:
        seen: list[bytes] = []
        with pytest.raises(e.TaskEnded, match="interrupted"):
            async with aclosing(other.jobs.events(id_)) as batches:
                async for batch in batches:
                    seen += batch
        assert [b"0"] == seen


def every_error() -> list[e.FengChaoError]:
    """One of each class of errors."""
    special: dict[type[e.FengChaoError], e.FengChaoError] = {
        e.WrongChannel: e.WrongChannel("m", is_local=True),
        e.LimitExceeded: e.LimitExceeded("m", limit="rpm", retry_after=1.5),
        e.SensitiveContent: e.SensitiveContent("政治", direction="output", start=3, end=5),
        e.ProviderTimeout: e.ProviderTimeout("idle", 60),
        e.TaskEnded: e.TaskEnded("expired"),
        e.RateLimited: e.RateLimited("m", provider="p", status=429, vendor_message="慢"),
    }
    kinds: list[type[e.FengChaoError]] = [e.FengChaoError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    return [
        special.get(kind)
        or (kind("m", limit="rpm") if issubclass(kind, e.LimitExceeded) else kind("m"))
        for kind in kinds
        if kind.__module__ == e.__name__
    ]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_errors_come_back(error):
    """Every error comes back as what it was: its class, its message and every fact."""
    back = load_failure(dump_failure(error))
    assert (type(error), str(error)) == (type(back), str(back))
    facts = {name: value for name, value in vars(error).items() if not isinstance(value, tuple)}
    assert facts == vars(back)


def test_error_of_a_newer_version():
    """An error that this version does not know is a task that ended without a result."""
    raw = dump_failure(e.UnknownModel("m")).replace(b"UnknownModel", b"NotYetInvented")
    assert isinstance(load_failure(raw), e.TaskEnded)
