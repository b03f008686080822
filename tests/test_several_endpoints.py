"""Several endpoints behind one model name, as when a local model is served on several machines."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from fengchao_core import ChatCall, Gateway, Settings
from fengchao_core.errors import WrongChannel
from fengchao_core.store import MemoryStore
from fengchao_core.testing import ScriptedVendor, chat_body
from fengchao_core.testing.vendor import json_answer
from fengchao_core.types import Usage

MODEL = "Qwen2.5-7B-Instruct"


@asynccontextmanager
async def farm(count):
    """A gateway whose one model is served by several endpoints, and those endpoints."""
    async with AsyncExitStack() as stack:
        vendors = [await stack.enter_async_context(ScriptedVendor()) for _ in range(count)]
        providers = {}
        for number, vendor in enumerate(vendors):
            vendor.answers(json_answer(chat_body(f"I am {number}", Usage(3, 4))))
            base_url = f"{vendor.base_url}/v1"
            providers[f"gpu-{number}"] = {"kind": "openai", "base_url": base_url, "models": [MODEL]}
        settings = Settings(
            providers=providers,
            models={MODEL: {"is_local": True, "owned_by": "Qwen"}},
            retry={"base_wait_s": 0},
        )
        gateway = await stack.enter_async_context(Gateway.open(settings, store=MemoryStore()))
        yield gateway, vendors


async def ask(gateway, channel="local"):
    """The text of one answer."""
    return (await gateway.chat(ChatCall(model=MODEL, query="hi", channel=channel))).text


async def test_endpoints_take_turns():
    """One card, local by the operator's word; its requests are shared out evenly."""
    async with farm(2) as (gateway, vendors):
        (card,) = gateway.models()
        assert (MODEL, True, "Qwen") == (card.id, card.is_local, card.owned_by)
        assert {"I am 0", "I am 1"} == {await ask(gateway) for _ in range(4)}
        assert [2, 2] == [len(vendor.requests_to()) for vendor in vendors]
        with pytest.raises(WrongChannel):
            await ask(gateway, channel="online")


async def test_an_endpoint_that_is_down_is_passed_over():
    """While one endpoint fails, every request is answered by the other."""
    async with farm(2) as (gateway, vendors):
        vendors[0].answers(json_answer({"error": {"message": "no"}}, status=503))
        assert ["I am 1"] * 6 == [await ask(gateway) for _ in range(6)]
