"""The plugin keeps to the provider contract, and chats through a gateway."""

import fengchao_template

from fengchao_core import ChatCall, Gateway, Settings
from fengchao_core.errors import ProviderOverloaded, RateLimited
from fengchao_core.testing import (
    ErrorCase,
    ProviderContract,
    ScriptedVendor,
    chat_body,
    chat_frames,
    json_answer,
)

KEY = "a-key-that-nobody-may-see"


class TestContract(ProviderContract):
    """What every provider must keep to."""

    spec = fengchao_template.SPEC
    secrets = (KEY,)
    errors = (
        ErrorCase(503, b'{"error": {"code": "busy"}}', ProviderOverloaded, "busy"),
        ErrorCase(429, b"{}", RateLimited, headers={"Retry-After": "3"}, retry_after=3.0),
    )

    def settings(self, base_url):
        return {"base_url": base_url, "api_key": KEY}

    def frames(self, text):
        return chat_frames(text, self.usage)

    def whole(self, text):
        return chat_body(text, self.usage)


async def test_it_chats_through_a_gateway():
    """A gateway that is given the plugin's spec answers from its vendor, priced by its card."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(chat_body("你好！", TestContract.usage)))
        settings = Settings.model_validate(
            {
                "store": {"url": "memory:"},
                "providers": {"template": {"base_url": vendor.base_url, "api_key": KEY}},
            }
        )
        async with Gateway.open(settings, providers=[fengchao_template.SPEC]) as gateway:
            answer = await gateway.chat(ChatCall(model="template-chat", query="你好"))
        assert "你好！" == answer.text
        assert "0.000017" == str(answer.cost.amount.normalize())
        assert f"Bearer {KEY}" == vendor.requests[0].headers["Authorization"]
