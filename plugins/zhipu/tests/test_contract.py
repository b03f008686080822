"""Zhipu keeps to the provider contract, with signed tokens and with the raw key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

import fengchao_zhipu
from fengchao_core.errors import ContentRefused
from fengchao_core.testing import ErrorCase, ProviderContract
from fengchao_zhipu.sandbox.codes import CODES
from fengchao_zhipu.wire import ERRORS

KEY = "1f2e3d4c5b6a7988.AbCdEfGhIjKlMnOpQrStUvWx"


def _case(code: str) -> ErrorCase:
    body = orjson.dumps({"error": {"code": code, "message": CODES[code][1]}})
    return ErrorCase(CODES[code][0], body, ERRORS[code], code)  # type: ignore[arg-type]  # the table holds classes


class TestSigned(ProviderContract):
    """The contract, with tokens."""

    spec = fengchao_zhipu.SPEC
    model = "glm-4"
    secrets = (KEY, KEY.partition(".")[2])
    errors = tuple(_case(code) for code in ERRORS)
    error_frame = (b'data: {"error":{"code":"1301","message":"..."}}\n\n', ContentRefused)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        # The role in every chunk, the finish reason absent until the last one, which also has the usage.
        chunks: list[dict[str, object]] = [
            {"index": 0, "delta": {"role": "assistant", "content": text[at : at + 2]}}
            for at in range(0, len(text), 2)
        ]
        end = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
        head = {"id": "86541", "created": 1712345679, "model": "glm-4"}
        events = [{**head, "choices": [chunk]} for chunk in chunks]
        events.append({**head, "choices": [end], "usage": self._usage_body})
        return [*(b"data: " + orjson.dumps(each) + b"\n\n" for each in events), b"data: [DONE]\n\n"]

    @override
    def whole(self, text: str) -> bytes:
        message = {"role": "assistant", "content": text}
        return orjson.dumps(
            {
                "id": "86540",
                "request_id": "86540",
                "created": 1712345678,
                "model": "glm-4",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": self._usage_body,
            }
        )

    @property
    def _usage_body(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.total_tokens,
        }


class TestRaw(TestSigned):
    """The contract, with the key itself."""

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": KEY, "auth": "raw"}
