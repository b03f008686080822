"""Every way a request can end, and what is booked for it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest

from fengchao_core import (
    ChatCall,
    Delta,
    Gateway,
    MemoryStore,
    Message,
    ModelCard,
    Price,
    Provider,
    ProviderSettings,
    ProviderSpec,
    Settings,
    Usage,
)
from fengchao_core.errors import (
    ContentRefused,
    EmptyQuery,
    ProviderOverloaded,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from fengchao_core.types import DrawCall, EmbeddingResult, Image, ImageResult

PRICE = Price(
    input=Decimal(1),
    output=Decimal(2),
    per_image=Decimal("0.5"),
    currency="CNY",
    since=date(2020, 1, 1),
    source="test",
)
CARDS = (
    ModelCard(id="m", owned_by="v", prices=(PRICE,)),
    ModelCard(id="spare", owned_by="v", prices=(PRICE,)),
    ModelCard(id="vectors", owned_by="v", kind="embedding"),
    ModelCard(id="painter", owned_by="v", kind="image", prices=(PRICE,)),
)
VENDOR = Usage(10, 5, cached_tokens=4, reasoning_tokens=2, searches=1)
WHOLE = ([Delta("你好")], [Delta(finish_reason="stop", usage=VENDOR)])
ASK = ChatCall(model="m", messages=(Message("user", "好" * 100),))


class Scripted(Provider):
    """Answers each call with the next script: batches to yield, errors to raise, events to wait for."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.asked = asyncio.Event()

    async def stream(self, request):
        self.asked.set()
        for step in self.scripts.pop(0):
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step

    async def embed(self, request):
        return EmbeddingResult(vectors=([0.5], [0.25]), usage=Usage(source="none"))

    async def draw(self, request):
        return ImageResult(images=(Image(url="https://example.com/a.png"),) * 3)


class Tokenizing(Scripted):
    """Has a tokenizer, of one token per character."""

    async def count_tokens(self, request):
        return sum(len(message.text) for message in request.messages)


@asynccontextmanager
async def opened(provider, **settings):
    @asynccontextmanager
    async def open_scripted(_settings, _context):
        yield provider

    spec = ProviderSpec("scripted", "Scripted", ProviderSettings, lambda: CARDS, open_scripted)
    tree = {
        "providers": {"scripted": {}},
        "retry": {"base_wait_s": 0, "max_wait_s": 0.01},
        "ledger": {"interval_s": 0},
        **settings,
    }
    async with Gateway.open(
        Settings.model_validate(tree), store=MemoryStore(), providers=[spec]
    ) as gateway:
        yield gateway


async def booked(gateway):
    """The rows, oldest first."""
    await gateway.flush()
    return list(reversed(await gateway.store.usage.rows()))


def gist(row):
    return (
        row.outcome,
        row.usage_source,
        row.prompt_tokens,
        row.completion_tokens,
        row.disconnect,
    )


def costly(error, prompt=10, completion=1):
    error.usage = Usage(prompt, completion)
    return error


async def leave_after_the_first(gateway):
    """Take one delta and hang up."""
    async with aclosing(gateway.stream(ASK)) as deltas:
        async for _ in deltas:
            break


async def test_a_good_end_books_the_vendors_count():
    """The vendor's own figures win, in every detail."""
    async with opened(Scripted(WHOLE)) as gateway:
        await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("ok", "vendor", 10, 5, "") == gist(row)
    assert (4, 2, 1) == (row.cached_tokens, row.reasoning_tokens, row.searches)


async def test_a_vendor_that_does_not_count_is_counted_by_the_models_tokenizer():
    """Where the provider has a tokenizer it counts, and the answer says so as the row does."""
    async with opened(Tokenizing(([Delta("你好")], [Delta(finish_reason="stop")]))) as gateway:
        answer = await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("ok", "tokenizer", 100, 2, "") == gist(row)
    assert Usage(100, 2, source="tokenizer") == answer.usage


async def test_a_vendor_that_does_not_count_is_estimated():
    """Without a tokenizer the row is an estimate, and says so."""
    async with opened(Scripted(([Delta("你好")], [Delta(finish_reason="stop")]))) as gateway:
        await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("ok", "estimate", 74, 1, "") == gist(row)


async def test_a_tokenizer_that_fails_leaves_an_estimate():
    """A row is more important than its precision."""
    provider = Tokenizing(([Delta("你好")], [Delta(finish_reason="stop")]))
    provider.count_tokens = None
    async with opened(provider) as gateway:
        await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("ok", "estimate", 74, 1, "") == gist(row)


async def test_a_refused_request_books_nothing_used():
    """A call that is wrong leaves a row without tokens and without an attempt."""
    async with opened(Scripted()) as gateway:
        with pytest.raises(EmptyQuery):
            await gateway.chat(ChatCall(model="m", query=" "))
        (row,) = await booked(gateway)
    assert ("refused", "none", 0, 0, "") == gist(row)
    assert (0, "") == (row.attempts, row.provider)


async def test_a_vendors_refusal_books_nothing_used():
    """An error before the first delta, without a word of what it costs, costs nothing."""
    async with opened(Scripted([RequestRejected("no")])) as gateway:
        with pytest.raises(RequestRejected):
            await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("failed", "none", 0, 0, "") == gist(row)


async def test_a_vendors_refusal_that_it_charges_for_is_booked():
    """An error whose answer names a usage costs that."""
    async with opened(Scripted([costly(ContentRefused("no"))])) as gateway:
        with pytest.raises(ContentRefused):
            await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("failed", "vendor", 10, 1, "") == gist(row)
    assert Decimal("0.012") == row.cost


async def test_an_answer_that_breaks_off_is_estimated():
    """What came before the vendor failed is booked."""
    async with opened(Scripted([[Delta("好" * 10)], ProviderUnavailable("gone")])) as gateway:
        with pytest.raises(ProviderUnavailable):
            await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("failed", "estimate", 74, 7, "") == gist(row)


async def test_a_vendor_that_is_silent_books_nothing_used():
    """A time limit before the first delta: nobody knows of anything used."""
    provider = Scripted([asyncio.Event()])
    async with opened(provider, limits={"first_delta_s": 0.02}, retry={"attempts": 1}) as gateway:
        with pytest.raises(ProviderTimeout):
            await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("timeout", "none", 0, 0, "") == gist(row)


async def test_an_answer_that_falls_silent_is_estimated():
    """A time limit in the middle: what came is booked."""
    provider = Scripted([[Delta("好" * 10)], asyncio.Event()])
    async with opened(provider, limits={"idle_s": 0.02}) as gateway:
        with pytest.raises(ProviderTimeout):
            await gateway.chat(ASK)
        (row,) = await booked(gateway)
    assert ("timeout", "estimate", 74, 7, "") == gist(row)


async def test_an_attempt_that_cost_something_has_a_row_of_its_own():
    """Each attempt that the vendor charges for is booked, and the request counts once in every report."""
    provider = Scripted(
        [costly(ProviderOverloaded("busy"), 10, 1)],
        [ProviderOverloaded("busy")],
        WHOLE,
    )
    async with opened(provider) as gateway:
        await gateway.chat(ASK)
        first, last = await booked(gateway)
        (totals,) = await gateway.store.usage.totals(by="model")
    assert [("retried", "vendor", 10, 1, ""), ("ok", "vendor", 10, 5, "")] == [
        gist(first),
        gist(last),
    ]
    assert (f"{last.id}.1", 1, 3) == (first.id, first.attempts, last.attempts)
    assert (1, 0, 26) == (
        totals.requests,
        totals.failures,
        totals.prompt_tokens + totals.completion_tokens,
    )
    assert first.cost + last.cost == totals.cost


async def test_a_fallback_books_the_model_that_failed_too():
    """What the first model's vendor charged and what the fallback's did are two rows under one request."""
    provider = Scripted([costly(ProviderOverloaded("busy"), 10, 1)], WHOLE)
    async with opened(provider, models={"m": {"fallbacks": ["spare"]}}) as gateway:
        await gateway.chat(ASK)
        rows = await booked(gateway)
    assert ["retried", "ok"] == [row.outcome for row in rows]
    assert 1 == len({row.request_id for row in rows})


async def test_a_caller_that_hangs_up_is_cut():
    """By default the vendor is cut off; what came is estimated and the row tells."""
    async with opened(Scripted([[Delta("好" * 10)], asyncio.Event()])) as gateway:
        await leave_after_the_first(gateway)
        (row,) = await booked(gateway)
    assert ("cancelled", "estimate", 74, 7, "cut") == gist(row)


async def test_a_caller_that_hangs_up_is_counted_by_the_models_tokenizer():
    """The caller does not wait for it."""
    async with opened(Tokenizing([[Delta("好" * 10)], asyncio.Event()])) as gateway:
        await leave_after_the_first(gateway)
    (row,) = await booked(gateway)
    assert ("cancelled", "tokenizer", 100, 10, "cut") == gist(row)


async def test_a_caller_that_hangs_up_before_an_answer_books_nothing_used():
    """Nothing came, so nothing is known to be used; the row tells that the vendor was cut off."""
    provider = Scripted([asyncio.Event()])
    async with opened(provider) as gateway:
        task = asyncio.create_task(gateway.chat(ASK))
        await provider.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (row,) = await booked(gateway)
    assert ("cancelled", "none", 0, 0, "cut") == gist(row)


DRAIN = {"models": {"m": {"on_disconnect": "drain"}}}


@pytest.mark.parametrize("whole", [False, True])
async def test_a_caller_that_hangs_up_is_drained(whole):
    """Where the model is set so, the vendor's answer is read to its end and booked exactly."""
    go_on = asyncio.Event()
    provider = Scripted([[Delta("好" * 10)], go_on, *WHOLE])
    async with opened(provider, **DRAIN) as gateway:
        if whole:
            task = asyncio.create_task(gateway.chat(ASK))
            await provider.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await leave_after_the_first(gateway)
        assert [] == await booked(gateway)
        go_on.set()
        while not (rows := await booked(gateway)):
            await asyncio.sleep(0)
    assert [("cancelled", "vendor", 10, 5, "drained")] == [gist(row) for row in rows]


async def test_a_drained_answer_passes_through_whole():
    """A caller that stays gets every delta of a model that is drained, and every error."""
    async with opened(Scripted(WHOLE, [RequestRejected("no")]), **DRAIN) as gateway:
        assert "你好" == (await gateway.chat(ASK)).text
        with pytest.raises(RequestRejected):
            await gateway.chat(ASK)
        rows = await booked(gateway)
    assert [("ok", ""), ("failed", "")] == [(row.outcome, row.disconnect) for row in rows]


async def test_a_vendor_that_fails_while_it_is_drained_is_booked():
    """What came until then is estimated."""
    go_on = asyncio.Event()
    provider = Scripted([[Delta("好" * 10)], go_on, ProviderUnavailable("gone")])
    async with opened(provider, **DRAIN) as gateway:
        await leave_after_the_first(gateway)
        go_on.set()
        while not (rows := await booked(gateway)):
            await asyncio.sleep(0)
    assert [("failed", "estimate", 74, 7, "drained")] == [gist(row) for row in rows]


async def test_a_server_that_stops_cuts_what_is_drained():
    """Nothing is read for nobody once the gateway closes, and it is booked before that is through."""
    async with opened(Scripted([[Delta("好" * 10)], asyncio.Event()]), **DRAIN) as gateway:
        await leave_after_the_first(gateway)
    (row,) = await booked(gateway)
    assert ("cancelled", "estimate", 74, 7, "cut") == gist(row)


async def test_vectors_are_booked():
    """Embeddings are counted; where the vendor counts no tokens they are estimated."""
    async with opened(Scripted()) as gateway:
        await gateway.embed("vectors", ["好" * 100, "好" * 100])
        (row,) = await booked(gateway)
    assert ("ok", "estimate", 140, 0, "") == gist(row)
    assert ("embeddings", 2) == (row.operation, row.vectors)


async def test_pictures_are_booked():
    """Pictures are counted and priced each."""
    async with opened(Scripted()) as gateway:
        await gateway.draw(DrawCall(model="painter", query="一只猫", n=3))
        (row,) = await booked(gateway)
    assert ("image_generation", 3, Decimal("1.5")) == (row.operation, row.images, row.cost)
