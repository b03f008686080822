"""Anthropic keeps to the provider contract, in both generations of its API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

import fengchao_anthropic
from fengchao_anthropic.sandbox.codes import STATUSES, WORDS
from fengchao_anthropic.wire import ERRORS
from fengchao_core.errors import ProviderOverloaded, QuotaExhausted, RateLimited, RequestRejected
from fengchao_core.testing import ErrorCase, ProviderContract
from fengchao_core.types import Usage

KEY = "sk-ant-api03-0123456789abcdefghijklmnop"


def error(kind: str, *, code: str | None = None) -> bytes:
    """An error body in the vendor's shape."""
    inner: dict[str, object] = {"type": kind, "message": WORDS.get(kind, "?")}
    if code is not None:
        inner["details"] = {"error_code": code}
    return orjson.dumps({"type": "error", "error": inner, "request_id": "req_1"})


def event(body: Mapping[str, object]) -> bytes:
    """A named event."""
    return b"event: " + str(body["type"]).encode() + b"\ndata: " + orjson.dumps(body) + b"\n\n"


class TestNewest(ProviderContract):
    """The contract, by the newest generation."""

    spec = fengchao_anthropic.SPEC
    model = "claude-opus-5"
    secrets = (KEY,)
    usage = Usage(
        prompt_tokens=15,
        completion_tokens=4,
        cached_tokens=4,
        reasoning_tokens=1,
        cache_write_tokens=2,
    )
    errors = (
        *(
            ErrorCase(STATUSES[kind], error(kind), ERRORS[kind], kind)  # type: ignore[arg-type]  # the table holds classes
            for kind in ERRORS
            if kind != "rate_limit_error"
        ),
        ErrorCase(
            429,
            error("rate_limit_error"),
            RateLimited,
            "rate_limit_error",
            {"retry-after": "7"},
            7.0,
        ),
        ErrorCase(429, error("rate_limit_error"), QuotaExhausted, "rate_limit_error"),
        ErrorCase(429, b"busy", RateLimited),
        ErrorCase(
            400,
            error("invalid_request_error", code="file_expired"),
            RequestRejected,
            "file_expired",
        ),
        ErrorCase(529, b"", ProviderOverloaded),
        ErrorCase(418, error("teapot_error"), RequestRejected, "teapot_error"),
    )
    error_frame = (event(orjson.loads(error("overloaded_error"))), ProviderOverloaded)
    malformed_frame = b"event: content_block_delta\ndata: {]\n\n"

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
        start = {"input_tokens": 9, "output_tokens": 1, "cache_creation_input_tokens": 2}
        end = {"output_tokens": 4, "output_tokens_details": {"thinking_tokens": 1}}
        events: list[dict[str, object]] = [
            {
                "type": "message_start",
                "message": {
                    **message,
                    "content": [],
                    "stop_reason": None,
                    "usage": {**start, "cache_read_input_tokens": 4},
                },
            },
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            *(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": text[at : at + 2]},
                }
                for at in range(0, len(text), 2)
            ),
            {"type": "ping"},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": end,
            },
            {"type": "message_stop"},
        ]
        # The head and the start of the block in one: the contract wants text in the second frame.
        first, second, *others = (event(each) for each in events)
        return [first + second, *others]

    @override
    def whole(self, text: str) -> bytes:
        return orjson.dumps(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 9,
                    "output_tokens": 4,
                    "cache_creation_input_tokens": 2,
                    "cache_read_input_tokens": 4,
                    "output_tokens_details": {"thinking_tokens": 1},
                },
            }
        )

    @override
    def error_body(self, message: str) -> bytes:
        inner = {"type": "authentication_error", "message": message}
        return orjson.dumps({"type": "error", "error": inner, "request_id": "req_1"})


class TestOlder(TestNewest):
    """The contract, by the older generation."""

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {**super().settings(base_url), "version": "2023-06-01"}
