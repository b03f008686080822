"""Volcengine keeps to the provider contract: Ark, both versions of the legacy API, and Ark with temporary keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson
from typing_extensions import override

import fengchao_volcengine
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
from fengchao_core.testing import (
    ErrorCase,
    ProviderContract,
    ScriptedVendor,
    chat_body,
    chat_frames,
    json_answer,
)
from fengchao_core.testing.vendor import Received
from fengchao_volcengine.codes import MAAS_ERRORS, MAAS_NUMBERS

KEY = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
AK = "AKLTZ9Y8X7W6V5U4T3S2"
SK = "V2hhdEFTZWNyZXRUaGF0Tm9ib2R5S25vd3M="


def _ark(status: int, code: str, kind: type, headers: Mapping[str, str] | None = None) -> ErrorCase:
    body = orjson.dumps({"error": {"code": code, "message": "m", "param": "", "type": "T"}})
    wait = None if headers is None else float(headers["Retry-After"])
    return ErrorCase(status, body, kind, code, headers or {}, wait)


def _maas(name: str) -> ErrorCase:
    error = {"code": name, "code_n": MAAS_NUMBERS[name], "message": "m"}
    body = orjson.dumps({"req_id": "R", "error": error})
    return ErrorCase(400, body, MAAS_ERRORS[name], name)  # type: ignore[arg-type]  # the table holds classes


class TestArk(ProviderContract):
    """The contract with a key."""

    spec = fengchao_volcengine.SPEC
    model = "doubao-seed-1-6-250615"
    secrets = (KEY,)
    errors = (
        _ark(400, "MissingParameter", RequestRejected),
        _ark(400, "InvalidParameter", RequestRejected),
        _ark(400, "InvalidEndpoint.ClosedEndpoint", RequestRejected),
        _ark(400, "OutofContextError", ContextTooLong),
        _ark(400, "SensitiveContentDetected", ContentRefused),
        _ark(400, "InputTextRiskDetection", ContentRefused),
        _ark(401, "AuthenticationError", ProviderAuthFailed),
        _ark(403, "AccountOverdueError", QuotaExhausted),
        _ark(403, "AccessDenied", ProviderAuthFailed),
        _ark(404, "InvalidEndpointOrModel.NotFound", RequestRejected),
        _ark(404, "ModelNotOpen", ProviderAuthFailed),
        _ark(429, "RateLimitExceeded.EndpointRPMExceeded", RateLimited, {"Retry-After": "3"}),
        _ark(429, "ServerOverloaded", ProviderOverloaded),
        _ark(429, "SetLimitExceeded", QuotaExhausted),
        _ark(500, "InternalServiceError", ProviderUnavailable),
    )
    error_frame = (
        b'data: {"error":{"code":"OutputTextSensitiveContentDetected","message":"m"}}\n\n',
        ContentRefused,
    )

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "api_key": KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        return chat_body(text, self.usage)


class TestTemporaryKeys(TestArk):
    """The contract with an access key alone, which fetches a key for the model."""

    model = "ep-20240101-abcde"
    secrets = (AK, SK)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        where = {"base_url": base_url + "/api/v3", "control_base_url": base_url}
        return {**where, "ak": AK, "sk": SK, "endpoints": "ark"}

    @override
    def prepare(self, vendor: ScriptedVendor) -> None:
        until = datetime.now(UTC) + timedelta(days=7)
        result = {"ApiKey": "a-temporary-key", "ExpiredTime": int(until.timestamp())}
        vendor.answers(json_answer({"ResponseMetadata": {}, "Result": result}), path="/")


class TestLegacy(ProviderContract):
    """The contract with signatures, in version 1."""

    spec = fengchao_volcengine.SPEC
    model = "skylark-lite-public"
    secrets = (AK, SK)
    errors = tuple(_maas(name) for name in MAAS_NUMBERS)
    error_frame = (
        b'data:{"req_id":"R","error":{"code":"RespTextExistRisk","code_n":1709814,"message":"m"}}\n\n',
        ContentRefused,
    )
    malformed_frame = b'data:{"choice": [}\n\n'

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"maas_base_url": base_url, "ak": AK, "sk": SK}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        events = [self.answer(text[at : at + 2]) for at in range(0, len(text), 2)]
        end = self.answer("", "stop")
        lines = [b"data:" + orjson.dumps(event) + b"\n\n" for event in (*events, end)]
        return [*lines, b"data:[DONE]\n\n"]

    @override
    def whole(self, text: str) -> bytes:
        return orjson.dumps(self.answer(text, "stop"))

    @override
    def sent_parameters(self, received: Received) -> Mapping[str, object]:
        parameters: Mapping[str, object] = received.json()["parameters"]
        return parameters

    def answer(self, text: str, finish: str | None = None) -> dict[str, object]:
        """An answer, or an event of one; the last has its reason and the usage."""
        choice: dict[str, object] = {"message": {"role": "assistant", "content": text}}
        if finish is None:
            return self.around(choice)
        usage = {
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "total_tokens": self.usage.total_tokens,
        }
        return {**self.around({**choice, "finish_reason": finish}), "usage": usage}

    def around(self, choice: Mapping[str, object]) -> dict[str, object]:
        """What stands around a choice."""
        return {"req_id": "R", "choice": choice}


class TestLegacyEndpoint(TestLegacy):
    """The contract with signatures, in version 2."""

    model = "ep-20240101-abcde"

    @override
    def around(self, choice: Mapping[str, object]) -> dict[str, object]:
        return {"choices": [{"index": 0, **choice}]}


class TestLegacyEndpointByKey(TestLegacyEndpoint):
    """The contract with a key, in version 2."""

    secrets = (KEY,)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"maas_base_url": base_url, "api_key": KEY, "endpoints": "maas"}
