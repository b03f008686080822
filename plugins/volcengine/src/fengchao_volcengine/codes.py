"""
Volcengine's error codes, and what they mean: one table for each of its three APIs.

Pure. Sources: the vendor's pages "错误码" of Ark (docs/82379/1299023, of 2025-11) and of the legacy API (docs/82379/1099476,
of 2024-12), read in stored copies in November 2026; the README says which rows stand on neither.
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
from fengchao_core.kit.errors import STATUSES, ErrorClass, ErrorFacts, classify_by, read_error

_SENSITIVE = [
    f"{side}{kind}SensitiveContentDetected"
    for side in ("Input", "Output")
    for kind in ("Text", "Image", "Video", "Audio")
]
_RISK = [f"{side}{kind}RiskDetection" for side in ("Input", "Output") for kind in ("Text", "Image")]

ERRORS: Mapping[str, ErrorClass] = {
    **dict.fromkeys(
        ("MissingParameter", "InvalidParameter", "InvalidArgumentError"), RequestRejected
    ),
    **dict.fromkeys(
        ("InvalidImageURL", "InvalidEndpoint", "Duplicate", "NotFound"), RequestRejected
    ),
    "OutofContextError": ContextTooLong,
    **dict.fromkeys(("SensitiveContentDetected", *_SENSITIVE, *_RISK), ContentRefused),
    "ContentSecurityDetectionError": ProviderUnavailable,  # the filter itself failed
    "AuthenticationError": ProviderAuthFailed,
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccountStatus", "OperationDenied"), ProviderAuthFailed
    ),
    **dict.fromkeys(
        ("OperationDenied.InvalidState", "OperationDenied.UnsupportedPhase"), RequestRejected
    ),
    **dict.fromkeys(("AccountOverdueError", "OperationDenied.ServiceOverdue"), QuotaExhausted),
    **dict.fromkeys(("OperationDenied.FileQuotaExceeded", "InvalidSubscription"), QuotaExhausted),
    "InvalidEndpointOrModel": RequestRejected,
    # The model is there, but this account has not opened it, or may not use it by this name.
    **dict.fromkeys(
        ("ModelNotOpen", "UnsupportedModel", "InvalidEndpointOrModel.ModelIDAccessDisabled"),
        ProviderAuthFailed,
    ),
    **dict.fromkeys(("RateLimitExceeded", "AccountRateLimitExceeded"), RateLimited),
    **dict.fromkeys(
        (f"ModelAccount{unit}RateLimitExceeded" for unit in ("Rpm", "Tpm", "Ipm", "FlexTpm")),
        RateLimited,
    ),
    **dict.fromkeys(
        (f"EndpointAccount{unit}RateLimitExceeded" for unit in ("Rpm", "Tpm")), RateLimited
    ),
    **dict.fromkeys(
        ("APIAccountRpmRateLimitExceeded", "RequestBurstTooFast", "InflightBatchsizeExceeded"),
        RateLimited,
    ),
    **dict.fromkeys(("QuotaExceeded", "SetLimitExceeded"), QuotaExhausted),
    "ServerOverloaded": ProviderOverloaded,
    "InternalServiceError": ProviderUnavailable,
}
"""Ark's codes. What follows a dot (`RateLimitExceeded.EndpointRPMExceeded`) only matters where it has a row."""

_MAAS_ROWS: tuple[tuple[int, str, ErrorClass], ...] = (
    (
        1709701,
        "ClientSDKRequestError",
        RequestRejected,
    ),  # made by the SDK; a gateway in between may say it
    (1709801, "SignatureDoesNotMatch", ProviderAuthFailed),
    (1709802, "RequestTimeout", ProviderUnavailable),
    (1709803, "ServiceConnectionTimeout", ProviderUnavailable),
    (1709804, "MissingAuthenticationHeader", ProviderAuthFailed),
    (1709805, "AuthenticationHeaderIsInvalid", ProviderAuthFailed),
    (1709806, "InternalServiceError", ProviderUnavailable),
    (1709807, "MissingParameter", RequestRejected),
    (1709808, "InvalidParameter", RequestRejected),
    (1709809, "AuthenticationExpire", ProviderAuthFailed),
    (1709810, "EndpointIsInvalid", RequestRejected),
    (1709811, "EndpointIsNotEnable", RequestRejected),  # its owner closed it
    (1709812, "ModelNotSupportStreamMode", RequestRejected),
    (1709813, "ReqTextExistRisk", ContentRefused),
    (1709814, "RespTextExistRisk", ContentRefused),
    (1709815, "EndpointRateLimitExceeded", RateLimited),
    (1709816, "ServiceConnectionRefused", ProviderUnavailable),
    (1709817, "ServiceConnectionClosed", ProviderUnavailable),
    (1709818, "UnauthorizedUserForEndpoint", ProviderAuthFailed),
    (1709819, "InvalidEndpointWithNoURL", RequestRejected),
    (1709820, "EndpointAccountRpmRateLimitExceeded", RateLimited),
    (1709821, "EndpointAccountTpmRateLimitExceeded", RateLimited),
    (1709822, "ServiceResourceWaitQueueFull", ProviderOverloaded),
    (1709823, "EndpointIsPending", ProviderUnavailable),
    (1709824, "ServiceNotOpen", QuotaExhausted),  # the free trial is used up
    (1709825, "MaasPlatformNotOpen", ProviderAuthFailed),
    (1709826, "LowPriorityLimitExceeded", RateLimited),
    (1709827, "TextCheckServiceError", ProviderUnavailable),
    (1709828, "APINotSupport", RequestRejected),
    (1709829, "ModelNotSupportEmbeddings", RequestRejected),
    (1709835, "OperationDenied", ProviderAuthFailed),
    (1709837, "ResourceNotFound", RequestRejected),
    (1709840, "UnauthorizedUserForResource", ProviderAuthFailed),
    (1709912, "ModelLoadingError", ProviderUnavailable),
)
MAAS_ERRORS: Mapping[str, ErrorClass] = {
    key: kind for number, name, kind in _MAAS_ROWS for key in (name, str(number))
}
"""The legacy API's codes, by name and by number (`code` and `code_n`)."""
MAAS_NUMBERS: Mapping[str, int] = {name: number for number, name, _ in _MAAS_ROWS}
"""The number of each name."""

CONTROL_ERRORS: Mapping[str, ErrorClass] = {
    **dict.fromkeys(
        ("SignatureDoesNotMatch", "InvalidAccessKey", "InvalidSecretToken"), ProviderAuthFailed
    ),
    **dict.fromkeys(("MissingSignature", "InvalidTimestamp", "RequestExpired"), ProviderAuthFailed),
    **dict.fromkeys(
        ("AccessDenied", "InvalidCredential", "InvalidAuthorization"), ProviderAuthFailed
    ),
    **dict.fromkeys(("FlowLimitExceeded", "AccountFlowLimitExceeded"), RateLimited),
    **dict.fromkeys(("MissingParameter", "InvalidParameter", "NotFound"), RequestRejected),
    **dict.fromkeys(
        ("InternalError", "InternalServiceTimeout", "ServiceUnavailableTemp"), ProviderUnavailable
    ),
}
"""The codes of the control plane, which hands out temporary keys."""


def read_maas_error(body: bytes) -> ErrorFacts:
    """The facts of a legacy error: its name first, then its number."""
    error = _error(body)
    if error is None:
        return read_error(body)
    codes = tuple(str(code) for name in ("code", "code_n") if (code := error.get(name)))
    message = error.get("message")
    return ErrorFacts(codes, message if isinstance(message, str) else None)


def read_control_error(body: bytes) -> ErrorFacts:
    """The facts of an error of the control plane."""
    metadata = _object(body).get("ResponseMetadata")
    error = metadata.get("Error") if isinstance(metadata, dict) else None
    if not isinstance(error, dict):
        return read_error(body)
    code, message = error.get("Code"), error.get("Message")
    codes = (code,) if isinstance(code, str) and code else ()
    return ErrorFacts(codes, message if isinstance(message, str) else None)


classify = classify_by(ERRORS)
_classify_maas = classify_by(
    MAAS_ERRORS, statuses={**STATUSES, 412: ProviderOverloaded}, read=read_maas_error
)
classify_control = classify_by(CONTROL_ERRORS, read=read_control_error)


def classify_maas(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error of a legacy answer; the vendor's id of the request is in its body."""
    error = _classify_maas(status, headers, body)
    request_id = _object(body).get("req_id")
    if isinstance(request_id, str) and request_id:
        error.vendor_request_id = request_id
    return error


def _error(body: bytes) -> Mapping[str, Any] | None:
    error = _object(body).get("error")
    return error if isinstance(error, dict) else None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return tree if isinstance(tree, dict) else {}
