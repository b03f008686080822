"""Errors: every code of the vendor's pages has its class, by code and never by text."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

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
from fengchao_volcengine.codes import classify, classify_control, classify_maas
from fengchao_volcengine.sandbox.refusals import ARK_CODES


def ark(code: str) -> bytes:
    """An error of Ark."""
    return orjson.dumps({"error": {"code": code, "message": "m", "param": "", "type": "T"}})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "MissingParameter", RequestRejected),
        (400, "MissingParameter.messages", RequestRejected),
        (400, "InvalidParameter", RequestRejected),
        (400, "InvalidParameter.UnsupportedParameter", RequestRejected),
        (400, "InvalidEndpoint.ClosedEndpoint", RequestRejected),
        (400, "InvalidArgumentError.UnknownRole", RequestRejected),
        (400, "InvalidImageURL.EmptyURL", RequestRejected),
        (400, "OutofContextError", ContextTooLong),
        (400, "SensitiveContentDetected", ContentRefused),
        (400, "SensitiveContentDetected.SevereViolation", ContentRefused),
        (400, "InputTextSensitiveContentDetected.PolicyViolation", ContentRefused),
        (400, "OutputTextSensitiveContentDetected", ContentRefused),
        (400, "OutputImageSensitiveContentDetected", ContentRefused),
        (400, "InputTextRiskDetection", ContentRefused),
        (400, "InputImageRiskDetection", ContentRefused),
        (400, "OutputTextRiskDetection", ContentRefused),
        (401, "AuthenticationError", ProviderAuthFailed),
        (403, "AccountOverdueError", QuotaExhausted),
        (403, "AccessDenied", ProviderAuthFailed),
        (403, "OperationDenied.ServiceOverdue", QuotaExhausted),
        (403, "OperationDenied.ServiceNotOpen", ProviderAuthFailed),
        (404, "InvalidEndpointOrModel.NotFound", RequestRejected),
        (404, "InvalidEndpointOrModel.ModelIDAccessDisabled", ProviderAuthFailed),
        (404, "ModelNotOpen", ProviderAuthFailed),
        (404, "UnsupportedModel", ProviderAuthFailed),
        (404, "NotFound.File", RequestRejected),
        (429, "RateLimitExceeded.EndpointRPMExceeded", RateLimited),
        (429, "RateLimitExceeded.EndpointTPMExceeded", RateLimited),
        (429, "ModelAccountRpmRateLimitExceeded", RateLimited),
        (429, "ModelAccountTpmRateLimitExceeded", RateLimited),
        (429, "AccountRateLimitExceeded", RateLimited),
        (429, "RequestBurstTooFast", RateLimited),
        (429, "NobodyKnowsThis", RateLimited),
        (429, "QuotaExceeded", QuotaExhausted),
        (429, "QuotaExceeded.AgentPlanQuotaExceeded", QuotaExhausted),
        (429, "SetLimitExceeded", QuotaExhausted),
        (429, "ServerOverloaded", ProviderOverloaded),
        (500, "InternalServiceError", ProviderUnavailable),
        (503, "InternalServiceError", ProviderUnavailable),
        (503, "NobodyKnowsThis", ProviderOverloaded),
        (200, "InternalServiceError", ProviderUnavailable),
    ],
)
def test_the_codes_of_ark(status: int, code: str, kind: type[ProviderError]) -> None:
    """Each code has its class, exactly or by what stands before its dot; an unknown one goes by the status."""
    error = classify(status, {}, ark(code))
    assert (kind, code, "m") == (type(error), error.vendor_code, error.vendor_message)


def test_every_code_of_the_stand_in_is_known() -> None:
    """The stand-in says nothing that the table would leave to the status."""
    for code in ARK_CODES:
        assert type(classify(200, {}, ark(code))) is not ProviderError


MAAS: list[tuple[int, str, int, type[ProviderError]]] = [
    (401, "SignatureDoesNotMatch", 1709801, ProviderAuthFailed),
    (408, "RequestTimeout", 1709802, ProviderUnavailable),
    (504, "ServiceConnectionTimeout", 1709803, ProviderUnavailable),
    (401, "MissingAuthenticationHeader", 1709804, ProviderAuthFailed),
    (401, "AuthenticationHeaderIsInvalid", 1709805, ProviderAuthFailed),
    (500, "InternalServiceError", 1709806, ProviderUnavailable),
    (400, "MissingParameter", 1709807, RequestRejected),
    (400, "InvalidParameter", 1709808, RequestRejected),
    (401, "AuthenticationExpire", 1709809, ProviderAuthFailed),
    (400, "EndpointIsInvalid", 1709810, RequestRejected),
    (503, "EndpointIsNotEnable", 1709811, RequestRejected),
    (400, "ModelNotSupportStreamMode", 1709812, RequestRejected),
    (400, "ReqTextExistRisk", 1709813, ContentRefused),
    (400, "RespTextExistRisk", 1709814, ContentRefused),
    (429, "EndpointRateLimitExceeded", 1709815, RateLimited),
    (503, "ServiceConnectionRefused", 1709816, ProviderUnavailable),
    (502, "ServiceConnectionClosed", 1709817, ProviderUnavailable),
    (429, "EndpointAccountRpmRateLimitExceeded", 1709820, RateLimited),
    (412, "ServiceResourceWaitQueueFull", 1709822, ProviderOverloaded),
    (503, "ServiceNotOpen", 1709824, QuotaExhausted),
]


@pytest.mark.parametrize(("status", "name", "number", "kind"), MAAS)
def test_the_codes_of_the_legacy_api(
    status: int, name: str, number: int, kind: type[ProviderError]
) -> None:
    """Each has its class, by its name and by its number alone."""
    for code, said in ((name, name), ("", str(number)), ("Unheard", "Unheard")):
        body = {"req_id": "R", "error": {"code": code, "code_n": number, "message": "m"}}
        error = classify_maas(status, {}, orjson.dumps(body))
        assert (kind, said, "R") == (type(error), error.vendor_code, error.vendor_request_id)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejected),
        (401, ProviderAuthFailed),
        (403, ProviderAuthFailed),
        (412, ProviderOverloaded),
        (429, RateLimited),
        (500, ProviderUnavailable),
        (503, ProviderOverloaded),
    ],
)
def test_unknown_legacy_codes_go_by_status(status: int, kind: type[ProviderError]) -> None:
    """A code that nobody knows is left to the status, and so is a body that is none of the vendor's."""
    body = orjson.dumps({"error": {"code": "Unheard", "code_n": 1, "message": "m"}})
    assert kind is type(classify_maas(status, {}, body))
    for nonsense in (b"", b"<html>", b"[]", b"{}"):
        assert kind is type(classify_maas(status, {}, nonsense))


def test_the_recorded_error(vectors: dict[str, Any]) -> None:
    """The recorded error is one of credentials."""
    response = vectors["maas_error"]["response"]
    error = classify_maas(response["status"], {}, orjson.dumps(response["body"]))
    assert "auth" == vectors["maas_error"]["expect"]["class"]
    assert (ProviderAuthFailed, "Unauthorized") == (type(error), error.vendor_code)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "SignatureDoesNotMatch", ProviderAuthFailed),
        (400, "InvalidTimestamp", ProviderAuthFailed),
        (429, "FlowLimitExceeded", RateLimited),
        (404, "NotFound", RequestRejected),
        (500, "InternalError", ProviderUnavailable),
        (403, "Unheard", ProviderAuthFailed),
    ],
)
def test_the_codes_of_the_control_plane(status: int, code: str, kind: type[ProviderError]) -> None:
    """What refuses a temporary key has its class, too."""
    body = {"ResponseMetadata": {"RequestId": "r", "Error": {"Code": code, "Message": "m"}}}
    error = classify_control(status, {}, orjson.dumps(body))
    assert (kind, code, "m") == (type(error), error.vendor_code, error.vendor_message)
    assert ProviderUnavailable is type(classify_control(500, {}, b"<html>"))
