"""
The vendor's error codes, all of them, and what an error body says. Pure.

V1 answers its errors under HTTP 200 as `{"error_code", "error_msg", "id"}`, V2 with an HTTP status as
`{"error": {"code", "message", "type"}, "id"}`, the token endpoint as `{"error", "error_description"}`, and the access
management with an HTTP status and headers. Sources: the vendor's pages on errors of V1 (tlmyncueh) and V2 (Om9b4yj3w);
codes that only other clients know are marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import ErrorClass, ErrorFacts, classify_by, read_error

V1_ERRORS: Mapping[str, ErrorClass] = {
    # Unknown, temporarily unavailable; an application that was not there or could not be made: again helps.
    **dict.fromkeys(("1", "2", "15", "336000", "500000"), ProviderUnavailable),
    **dict.fromkeys(("200", "336200"), ProviderUnavailable),  # by other clients
    **dict.fromkeys(("4", "336100"), ProviderOverloaded),
    # No permission, no token of the service, no certification by the access management; the token itself.
    **dict.fromkeys(("6", "13", "14", "100", "110", "111", "336004"), ProviderAuthFailed),
    **dict.fromkeys(("17", "19"), QuotaExhausted),  # by day, or in all; also arrears
    **dict.fromkeys(
        ("18", "336501", "336502"), RateLimited
    ),  # by second, requests and tokens by minute
    **dict.fromkeys(("3", "336001", "336002", "336003", "336005", "336101"), RequestRejected),
    **dict.fromkeys(("336104", "336105"), RequestRejected),  # 'system' and 'user_setting'
    # By other clients and older pages; 336006 is the rule of the odd number.
    **dict.fromkeys(("336006", "336008", "336102", "336303", "337006"), RequestRejected),
    **dict.fromkeys(("336007", "336103"), ContextTooLong),  # characters, tokens
}
"""The codes of V1, `error_code`."""

TOKEN_REJECTED = frozenset({"110", "111"})
"""The token is invalid or has expired: a new one helps. 100 is none of them: there, the parameter is malformed."""

SIGNATURE_REJECTED = frozenset({"14"})

_PICTURES = (
    # The vendor writes "genration"; a later copy of its page spells it right.
    *("invalid_image_genration_prompt", "invalid_image_genration_refer_image"),
    *("invalid_image_generation_prompt", "invalid_image_generation_refer_image"),
)

V2_ERRORS: Mapping[str, ErrorClass] = {
    **dict.fromkeys(("malformed_json", "invalid_messages", "invalid_argument"), RequestRejected),
    **dict.fromkeys(("invalid_image_url", "invalid_plugin_argument", *_PICTURES), RequestRejected),
    "method_not_supported": RequestRejected,  # by other clients
    **dict.fromkeys(("characters_too_long", "tokens_too_long"), ContextTooLong),
    "image_url_unsafe": ContentRefused,
    # By other clients.
    **dict.fromkeys(("system_unsafe", "user_setting_unsafe", "functions_unsafe"), ContentRefused),
    **dict.fromkeys(("no_parameter_permission", "invalid_appid"), ProviderAuthFailed),
    "invalid_iam_token": ProviderAuthFailed,
    **dict.fromkeys(("rpm_rate_limit_exceeded", "tpm_rate_limit_exceeded"), RateLimited),
    # By other clients.
    **dict.fromkeys(
        ("input_tpm_rate_limit_exceeded", "output_tpm_rate_limit_exceeded"), RateLimited
    ),
    **dict.fromkeys(("user_rate_limit_exceeded", "preemptible_rate_limit_exceeded"), RateLimited),
    **dict.fromkeys(
        ("cluster_rate_limit_exceeded", "cluster_rpm_rate_limit_exceeded"), RateLimited
    ),
    "cluster_tpm_rate_limit_exceeded": RateLimited,
    **dict.fromkeys(("internal_error", "dispatch_internal_error"), ProviderUnavailable),
    "image_genration_interal_error": ProviderUnavailable,
    "image_generation_internal_error": ProviderUnavailable,
    # Types, for codes that are not here. `invalid_request_error` is none: under 401 it means permissions. Nor is the
    # code `invalid_model`: under 400 it means an empty name, under 401 a model that one may not use.
    "rate_limit_exceeded": RateLimited,
    "access_denied": ProviderAuthFailed,
    "unsafe_request": ContentRefused,
}
"""The codes and types of V2, `error.code` and `error.type`; the HTTP status decides for the others."""

OAUTH_ERRORS: Mapping[str, ErrorClass] = {
    "invalid_client": ProviderAuthFailed,
    "invalid_request": ProviderAuthFailed,  # of three parameters, two are credentials
    "rate_limit_exceeded": RateLimited,
    "unknown_error": ProviderUnavailable,
}
"""The codes of the token endpoint; all but the first by other clients."""


def code_of(body: bytes) -> str | None:
    """The code of a body of V1 that is an error; None of any other body."""
    if b'"error_code"' not in body:
        return None
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return v1_code(tree) if isinstance(tree, dict) else None


def v1_code(tree: Mapping[str, Any]) -> str | None:
    """The code of an answer of V1 that is an error; None of any other answer."""
    code = tree.get("error_code")
    if not code or isinstance(code, bool) or not isinstance(code, int | str):
        return None
    return str(code)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error that an answer of V1, V2 or the access management means."""
    refused = headers.get("X-Bce-Error-Code")
    if refused and 400 <= status < 500:
        # Whatever it names: the access management speaks only where it did not let us in.
        return ProviderAuthFailed(
            f"the provider's access management refused the call under HTTP status {status}",
            status=status,
            vendor_code=refused,
            vendor_message=headers.get("X-Bce-Error-Message"),
            vendor_request_id=headers.get("X-Bce-Request-Id"),
        )
    error = _classify(status, headers, body)
    if error.vendor_request_id is None:
        error.vendor_request_id = _id_of(body)
    return error


def _read(body: bytes) -> ErrorFacts:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return read_error(body)
    if isinstance(tree, dict) and (code := v1_code(tree)) is not None:
        message = tree.get("error_msg")
        return ErrorFacts((code,), message if isinstance(message, str) else None)
    return read_error(body)


def _read_oauth(body: bytes) -> ErrorFacts:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return read_error(body)
    code = tree.get("error") if isinstance(tree, dict) else None
    if not isinstance(code, str):
        return _read(body)
    message = tree.get("error_description")
    return ErrorFacts((code,), message if isinstance(message, str) else None)


def _id_of(body: bytes) -> str | None:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    given = tree.get("id") if isinstance(tree, dict) else None
    return given if isinstance(given, str) and given else None


_classify = classify_by({**V1_ERRORS, **V2_ERRORS}, read=_read)

classify_oauth = classify_by({**V1_ERRORS, **OAUTH_ERRORS}, read=_read_oauth)
"""The error that an answer of the token endpoint means."""
