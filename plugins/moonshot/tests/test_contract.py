"""Moonshot keeps to the provider contract, wherever a stream carries its usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

from fengchao_core.errors import (
    ContentRefused,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.testing import ErrorCase, ProviderContract, chat_body, chat_frames
from fengchao_core.types import Usage
from fengchao_moonshot import SPEC
from fengchao_moonshot.wire import ERRORS

KEY = "sk-moon-0123456789abcdefghijklmnop"
WAIT = {"Retry-After": "2"}


def case(
    status: int, kind: str, expected: type[ProviderError], headers: Mapping[str, str] | None = None
) -> ErrorCase:
    """An error in Moonshot's shape."""
    body = orjson.dumps({"error": {"type": kind, "message": "Invalid request: no"}})
    wait = 2.0 if headers else None
    return ErrorCase(status, body, expected, kind, headers or {}, wait)


class TestThinking(ProviderContract):
    """The Kimi models: usage at the top of a last chunk without choices."""

    spec = SPEC
    model = "kimi-k2.6"
    secrets = (KEY,)
    error_frame = (
        b'data: {"error":{"type":"engine_overloaded_error","message":"busy"}}\n\n',
        ProviderOverloaded,
    )
    errors = (
        case(400, "content_filter", ContentRefused),
        case(400, "invalid_request_error", RequestRejected),
        case(401, "invalid_authentication_error", ProviderAuthFailed),
        case(401, "incorrect_api_key_error", ProviderAuthFailed),
        case(403, "permission_denied_error", ProviderAuthFailed),
        case(403, "exceeded_current_quota_error", QuotaExhausted),
        case(404, "resource_not_found_error", RequestRejected),
        case(429, "engine_overloaded_error", ProviderOverloaded, WAIT),
        case(429, "exceeded_current_quota_error", QuotaExhausted),
        case(429, "rate_limit_reached_error", RateLimited, WAIT),
        case(429, "some_new_error", RateLimited),
        case(500, "server_error", ProviderUnavailable),
        case(500, "unexpected_output", ProviderUnavailable),
        ErrorCase(502, b"<html>Bad Gateway</html>", ProviderUnavailable),
    )

    def test_each_row_of_the_table_is_looked_at(self) -> None:
        """No error type that the plugin knows is left out of the contract."""
        assert set(ERRORS) <= {each.vendor_code for each in self.errors}

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": f"{base_url}/v1", "api_key": KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        return chat_body(text, self.usage)


class TestClassic(TestThinking):
    """The moonshot-v1 models: usage in the first choice of the last chunk, cached tokens beside the sums."""

    model = "moonshot-v1-8k"
    usage = Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=3)

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        head: dict[str, object] = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1}
        choices: list[dict[str, object]] = [
            {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
            *(
                {"index": 0, "delta": {"content": text[at : at + 2]}, "finish_reason": None}
                for at in range(0, len(text), 2)
            ),
            {"index": 0, "delta": {}, "finish_reason": "stop", "usage": self._usage_body},
        ]
        events = [orjson.dumps({**head, "choices": [choice]}) for choice in choices]
        return [b"data: " + event + b"\n\n" for event in (*events, b"[DONE]")]

    @override
    def whole(self, text: str) -> bytes:
        return orjson.dumps(orjson.loads(super().whole(text)) | {"usage": self._usage_body})

    @property
    def _usage_body(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.total_tokens,
            "cached_tokens": self.usage.cached_tokens,
        }
