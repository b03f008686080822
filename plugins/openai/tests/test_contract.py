"""The provider contract, for this plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.testing import ErrorCase, ProviderContract, chat_body, chat_frames
from fengchao_openai import SPEC


def error(code: str | None, kind: str = "invalid_request_error") -> bytes:
    """An error body in OpenAI's shape."""
    return orjson.dumps({"error": {"message": "no", "type": kind, "param": None, "code": code}})


class TestOpenAI(ProviderContract):
    """OpenAI keeps to the contract."""

    spec = SPEC
    secrets = ("sk-proj-0123456789abcdefghij", "a-header-secret")
    error_frame = (
        b'data: {"error": {"message": "no", "type": "server_error", "code": null}}\n\n',
        ProviderUnavailable,
    )
    errors = (
        ErrorCase(400, error("context_length_exceeded"), ContextTooLong, "context_length_exceeded"),
        ErrorCase(
            400, error("content_policy_violation"), ContentRefused, "content_policy_violation"
        ),
        ErrorCase(400, error("content_filter"), ContentRefused, "content_filter"),
        ErrorCase(400, error("mock_code", "mock_type"), RequestRejected, "mock_code"),
        ErrorCase(401, error("invalid_api_key"), ProviderAuthFailed, "invalid_api_key"),
        ErrorCase(403, error(None, "permission_error"), ProviderAuthFailed, "permission_error"),
        ErrorCase(404, error("model_not_found"), RequestRejected, "model_not_found"),
        ErrorCase(408, b"", ProviderUnavailable),
        ErrorCase(409, b"", ProviderUnavailable),
        ErrorCase(413, b"", RequestRejected),
        ErrorCase(422, error(None), RequestRejected),
        ErrorCase(
            429,
            error("rate_limit_exceeded", "requests"),
            RateLimited,
            "rate_limit_exceeded",
            {"retry-after-ms": "1500", "retry-after": "9"},
            1.5,
        ),
        ErrorCase(429, error("slow_down"), RateLimited, "slow_down", {"Retry-After": "2"}, 2.0),
        ErrorCase(429, error(None, "insufficient_quota"), QuotaExhausted, "insufficient_quota"),
        ErrorCase(429, error("credit_balance_exhausted"), QuotaExhausted),
        ErrorCase(429, error("organization_spend_limit_exceeded"), QuotaExhausted),
        ErrorCase(429, error("project_spend_limit_exceeded"), QuotaExhausted),
        ErrorCase(429, error("organization_usage_limit_exceeded"), QuotaExhausted),
        ErrorCase(500, error(None, "server_error"), ProviderUnavailable, "server_error"),
        ErrorCase(503, error(None, "overloaded"), ProviderOverloaded, "overloaded"),
        # Endpoints like it.
        ErrorCase(402, b'{"detail": "Insufficient Balance"}', QuotaExhausted),
        ErrorCase(400, error("Arrearage"), QuotaExhausted, "Arrearage"),
        ErrorCase(400, error("data_inspection_failed"), ContentRefused, "data_inspection_failed"),
        ErrorCase(429, error("Throttling.AllocationQuota"), RateLimited),
        ErrorCase(
            400,
            b'{"object": "error", "message": "m", "type": "BadRequestError", "code": 400}',
            RequestRejected,
            "400",
        ),
        ErrorCase(
            503, b'{"code": 50505, "message": "busy", "data": null}', ProviderOverloaded, "50505"
        ),
    )

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        """One key, and one secret in a header of its own."""
        return {
            "base_url": f"{base_url}/v1",
            "api_key": self.secrets[0],
            "headers": {"X-Extra-Key": self.secrets[1]},
        }

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        """The dialect's own."""
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        """The dialect's own."""
        return chat_body(text, self.usage)
