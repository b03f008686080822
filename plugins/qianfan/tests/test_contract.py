"""Qianfan keeps to the provider contract: V1 by token, V1 by signature, and V2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from typing_extensions import override

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderUnavailable,
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
from fengchao_qianfan import SPEC
from fengchao_qianfan.codes import TOKEN_REJECTED, V1_ERRORS

AK, SK = "TestApiKey0123456789abcd", "TestSecretKey0123456789abcdefghij"
IAM_AK, IAM_SK = "ALTAKTestAccessKeyId0001", "testsecretaccesskey0123456789abcdef"
BAD = "invalid_request_error"
API_KEY = "bce-v3/ALTAK-Test0123456789/0123456789abcdef0123456789abcdef"


def v1_error(code: str) -> bytes:
    """An error body of V1."""
    return orjson.dumps({"error_code": int(code), "error_msg": "no", "id": "as-1"})


def v2_error(code: str, kind: str) -> bytes:
    """An error body of V2."""
    return orjson.dumps({"error": {"code": code, "message": "no", "type": kind}, "id": "as-1"})


class TestV1ByToken(ProviderContract):
    """The contract, in V1 with tokens in the query."""

    spec = SPEC
    model = "ERNIE-Bot-4"
    secrets = (AK, SK, "24.contract-token")
    errors = tuple(
        ErrorCase(200, v1_error(code), kind, code)  # type: ignore[arg-type]  # the table holds classes
        for code, kind in V1_ERRORS.items()
    )
    error_frame = (b'data: {"error_code":336000,"error_msg":"..."}\n\n', ProviderUnavailable)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "ak": AK, "sk": SK}

    @override
    def prepare(self, vendor: ScriptedVendor) -> None:
        token = {"access_token": "24.contract-token", "expires_in": 2592000}
        vendor.answers(json_answer(token), path="/oauth/2.0/token")

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        pieces = [text[at : at + 2] for at in range(0, len(text), 2)]
        events = [
            {**self._head, "sentence_id": at, "is_end": False, "result": piece}
            for at, piece in enumerate(pieces)
        ]
        events.append({**self._head, "sentence_id": len(events), "is_end": True, "result": ""})
        return [b"data: " + orjson.dumps(event) + b"\n\n" for event in events]

    @override
    def whole(self, text: str) -> bytes:
        return orjson.dumps({**self._head, "result": text})

    @override
    def error_body(self, message: str) -> bytes:
        return orjson.dumps({"error_code": 336003, "error_msg": message})

    @property
    def _head(self) -> dict[str, object]:
        return {
            "id": "as-bcmt5ct4iy",
            "object": "chat.completion",
            "created": 1680167072,
            "is_truncated": False,
            "need_clear_history": False,
            "usage": {
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "total_tokens": self.usage.total_tokens,
            },
        }


class TestV1BySignature(TestV1ByToken):
    """The contract, in V1 with IAM keys."""

    secrets = (IAM_SK,)
    errors = tuple(case for case in TestV1ByToken.errors if case.vendor_code not in TOKEN_REJECTED)

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "iam_ak": IAM_AK, "iam_sk": IAM_SK}


class TestV2(ProviderContract):
    """The contract, in V2."""

    spec = SPEC
    model = "ernie-4.5-turbo-128k"
    secrets = (API_KEY,)
    errors = tuple(
        ErrorCase(status, v2_error(code, kind), expected, code)
        for status, code, kind, expected in (
            (400, "malformed_json", BAD, RequestRejected),
            (400, "invalid_model", BAD, RequestRejected),
            (400, "invalid_messages", BAD, RequestRejected),
            (400, "invalid_argument", BAD, RequestRejected),
            (400, "invalid_image_genration_prompt", BAD, RequestRejected),
            (400, "invalid_image_generation_prompt", BAD, RequestRejected),
            (400, "invalid_image_url", BAD, RequestRejected),
            (400, "invalid_plugin_argument", BAD, RequestRejected),
            (400, "characters_too_long", BAD, ContextTooLong),
            (400, "tokens_too_long", BAD, ContextTooLong),
            (400, "image_url_unsafe", "unsafe_request", ContentRefused),
            (400, "some_new_kind_of_unsafe", "unsafe_request", ContentRefused),
            (401, "no_parameter_permission", "access_denied", ProviderAuthFailed),
            (401, "invalid_model", BAD, ProviderAuthFailed),
            (401, "invalid_appid", BAD, ProviderAuthFailed),
            (401, "invalid_iam_token", BAD, ProviderAuthFailed),
            (403, "system_unsafe", BAD, ContentRefused),
            (403, "functions_unsafe", BAD, ContentRefused),
            (405, "method_not_supported", BAD, RequestRejected),
            (429, "rpm_rate_limit_exceeded", "rate_limit_exceeded", RateLimited),
            (429, "tpm_rate_limit_exceeded", "rate_limit_exceeded", RateLimited),
            (429, "some_new_limit", "rate_limit_exceeded", RateLimited),
            (500, "internal_error", "internal_error", ProviderUnavailable),
            (500, "dispatch_internal_error", "", ProviderUnavailable),
            (500, "image_genration_interal_error", "", ProviderUnavailable),
        )
    )
    error_frame = (
        b'data: {"error":{"code":"internal_error","message":"...","type":"x"},"id":"1"}\n\n',
        ProviderUnavailable,
    )

    @override
    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"v2_base_url": base_url, "api_key": API_KEY}

    @override
    def frames(self, text: str) -> Sequence[bytes]:
        return chat_frames(text, self.usage)

    @override
    def whole(self, text: str) -> bytes:
        body = chat_body(text, self.usage)
        return body.replace(b'"finish_reason":"stop"', b'"finish_reason":"normal"')
