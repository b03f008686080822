"""An engine elsewhere, at a base URL, keeps the provider to the contract; one of our own is reached the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

from fengchao_core.errors import (
    ContextTooLong,
    ProviderAuthFailed,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from fengchao_core.testing import ErrorCase, ProviderContract, chat_body, chat_frames
from fengchao_local_qwen import SPEC
from fengchao_local_qwen.engine.wire import error_body


def _case(status, code, kind, **more):
    return ErrorCase(status, orjson.dumps(error_body("no", code=code)), kind, code, **more)


class TestEngineElsewhere(ProviderContract):
    """The contract, over the engine's wire."""

    spec = SPEC
    model = "Qwen1.5-0.5B-Chat"
    secrets = ("an-engines-secret-key",)
    error_frame = (
        b"data: " + orjson.dumps(error_body("broke", code="engine_failed")) + b"\n\n",
        ProviderUnavailable,
    )
    errors = (
        _case(400, "context_length_exceeded", ContextTooLong),
        _case(400, "invalid_parameter", RequestRejected),
        _case(400, "invalid_messages", RequestRejected),
        _case(400, "invalid_json", RequestRejected),
        _case(401, "invalid_api_key", ProviderAuthFailed),
        _case(404, "model_not_found", RequestRejected),
        _case(429, "engine_busy", RateLimited, headers={"Retry-After": "1"}, retry_after=1.0),
        _case(500, "engine_failed", ProviderUnavailable),
    )

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": self.secrets[0], "models": [self.model]}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        return chat_body(text, self.usage)
