"""Limits in the pipeline: who is refused, what is booked, and that everything comes back."""

import asyncio
from decimal import Decimal

import pytest
from core.tests.test_gateway import Scripted, answer, opened

from fengchao_core import Caller, ChatCall, ChatParams, MemoryStore
from fengchao_core.errors import BudgetExceeded, LimitExceeded, ProviderUnavailable
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.reports import UsageQuery


def limited(**limits):
    """A caller with limits."""
    return Caller("k1", "team", limits=KeyLimits(**limits))


async def test_a_limited_caller_is_refused_before_the_vendor_hears():
    """Of many calls at once as many pass as the limit says; the others leave a refused row and cost nothing."""
    provider, store = Scripted(), MemoryStore()
    caller = limited(requests_per_minute=3)
    call = ChatCall(model="m", query="问")
    async with opened(provider, store=store) as gateway:
        answers = await asyncio.gather(
            *(gateway.chat(call, caller=caller) for _ in range(10)), return_exceptions=True
        )
    refused = [answer for answer in answers if isinstance(answer, LimitExceeded)]
    assert (3, 7) == (len(provider.requests), len(refused))
    (total,) = await store.usage.sums(UsageQuery(outcome="refused"))
    assert (7, 0) == (total.requests, total.prompt_tokens)


@pytest.mark.parametrize("ending", [ProviderUnavailable("away"), None])
async def test_what_a_call_held_comes_back_at_every_end(ending):
    """A place among the concurrent requests is free again after an answer, an error and a caller that left."""
    provider = Scripted(*([[ending]] * 3 if ending else [[answer("好")[0], asyncio.Event()]]))
    caller = limited(concurrent=1, budgets=(Budget(Decimal(10), "CNY"),))
    call = ChatCall(model="m", query="问")
    async with opened(provider) as gateway:
        stream = gateway.stream(call, caller=caller)
        if ending:
            with pytest.raises(ProviderUnavailable):
                await anext(stream)
        else:
            await anext(stream)
            with pytest.raises(LimitExceeded):
                await gateway.chat(call, caller=caller)
        await stream.aclose()
        assert "你好" == (await gateway.chat(call, caller=caller)).text


async def test_a_budget_counts_what_was_used():
    """A budget pays the price of what was used, not of what was held back, and knows earlier rows at its start."""
    store = MemoryStore()
    caller = limited(budgets=(Budget(Decimal("0.03"), "CNY"),))
    call = ChatCall(model="m", query="问", params=ChatParams(max_tokens=10))
    async with opened(Scripted(), store=store) as gateway:
        completion = await gateway.chat(call, caller=caller)
        await gateway.chat(call, caller=caller)
        await gateway.flush()
    spent = completion.cost.amount * 2
    assert Decimal("0.001") < spent < Decimal("0.03")
    (total,) = await store.usage.sums(UsageQuery(key="k1"))
    assert spent == total.cost
    narrow = limited(budgets=(Budget(spent, "CNY"),))
    async with opened(Scripted(), store=store) as gateway:
        with pytest.raises(BudgetExceeded):
            await gateway.chat(call, caller=narrow)


async def test_a_group_is_limited_by_the_settings():
    """The keys of a group share the limits of their section."""
    call = ChatCall(model="m", query="问")
    groups = {"team": {"requests_per_minute": 2}}
    async with opened(Scripted(), groups=groups) as gateway:
        for key in ("a", "b"):
            await gateway.chat(call, caller=Caller(key, key, group="team"))
        with pytest.raises(LimitExceeded, match="group team's limit of 2"):
            await gateway.chat(call, caller=Caller("c", "c", group="team"))
        await gateway.chat(call, caller=Caller("d", "d"))
