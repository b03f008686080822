"""SenseTime keeps to the provider contract: signed tokens and a plain key, the native shape and chat completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

import fengchao_sensetime
from fengchao_core.errors import ContentRefused
from fengchao_core.testing import ErrorCase, ProviderContract, chat_body, chat_frames
from fengchao_sensetime.codes import ERRORS
from fengchao_sensetime.sandbox.codes import CODES

AK = "2AbCdEfGhIjKlMnOpQrStUvWxYz"
SK = "ThisIsTheSecretAccessKey00000000"
API_KEY = "sk-0123456789abcdefghij"


def _case(code: int) -> ErrorCase:
    status, message = CODES[code]
    body = orjson.dumps({"error": {"code": code, "message": message, "details": []}})
    return ErrorCase(status, body, ERRORS[str(code)], str(code))  # type: ignore[arg-type]  # the table holds classes


class TestNative(ProviderContract):
    """The contract, in the vendor's own shape, with tokens."""

    spec = fengchao_sensetime.SPEC
    model = "SenseChat-5"
    secrets = (AK, SK)
    errors = tuple(_case(code) for code in CODES)
    error_frame = (b'data:{"error":{"code":18,"message":"..."}}\n\n', ContentRefused)
    space = b""

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "ak": AK, "sk": SK}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        pieces = [text[at : at + 2] for at in range(0, len(text), 2)]
        choices = [self._choice(delta=piece, finish_reason="") for piece in pieces]
        choices.append(self._choice(delta="", finish_reason="stop"))
        events = [
            {
                "data": {"id": "d-2", "choices": [choice], "usage": self._usage_body},
                "status": {"code": 0, "message": "ok"},
            }
            for choice in choices
        ]
        start = b"data:" + self.space
        return [
            *(start + orjson.dumps(each) + b"\n\n" for each in events),
            start + b"[DONE]\n\n",
        ]

    @override
    def whole(self, text: str) -> bytes:
        choice = self._choice(message=text, finish_reason="stop")
        return orjson.dumps(
            {"data": {"id": "d-1", "choices": [choice], "usage": self._usage_body, "plugins": {}}}
        )

    def _choice(self, **said: str) -> dict[str, object]:
        return {"index": 0, "role": "assistant", **said}

    @property
    def _usage_body(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.usage.prompt_tokens - 2,
            "knowledge_tokens": 2,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.total_tokens,
        }


class TestSpaced(TestNative):
    """The contract, with the plain key, and a space after each colon of the stream."""

    secrets = (API_KEY,)
    space = b" "

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": API_KEY}


class TestTokenPlan(ProviderContract):
    """The contract, in the chat completions of the token plan."""

    spec = fengchao_sensetime.SPEC
    model = "sensenova-6.7-flash-lite"
    secrets = (AK, SK, API_KEY)
    errors = (
        ErrorCase(
            400,
            b'{"error":{"message":"m","type":"invalid_request_error","code":"3"}}',
            ERRORS["3"],  # type: ignore[arg-type]  # likewise
            "3",
        ),
        ErrorCase(
            401,
            b'{"error":{"message":"m","type":"authentication_error"}}',
            ERRORS["16"],  # type: ignore[arg-type]  # likewise
            "authentication_error",
        ),
    )

    error_frame = (
        b'data: {"error":{"message":"m","type":"invalid_request_error","code":"18"}}\n\n',
        ContentRefused,
    )

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"token_base_url": base_url, "ak": AK, "sk": SK, "api_key": API_KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        return chat_body(text, self.usage)


class TestCompatible(TestTokenPlan):
    """The contract, in the compatible mode, with tokens."""

    model = "SenseChat-5"
    secrets = (AK, SK)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"compatible_base_url": base_url, "ak": AK, "sk": SK, "dialect": "compatible"}
