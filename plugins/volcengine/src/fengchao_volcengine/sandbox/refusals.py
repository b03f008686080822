"""Refusals in the shapes of the three APIs, with the vendor's codes."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fengchao_core.kit.sandbox import Faults
from fengchao_volcengine.codes import MAAS_NUMBERS

ARK_CODES: Mapping[str, tuple[int, str]] = {
    "MissingParameter": (400, "The request failed because it is missing a required parameter"),
    "InvalidParameter": (400, "A parameter specified in the request is not valid"),
    "InvalidArgumentError.UnknownRole": (400, "The role of a message is not supported"),
    "InvalidImageURL.InvalidFormat": (400, "The image cannot be parsed"),
    "InvalidEndpoint.ClosedEndpoint": (400, "The endpoint is closed or temporarily unavailable"),
    "OutofContextError": (400, "The input is longer than the context of the model"),
    "SensitiveContentDetected": (400, "The input text may contain sensitive information"),
    "InputTextSensitiveContentDetected": (400, "The input text may contain sensitive information"),
    "OutputTextSensitiveContentDetected": (400, "The output may contain sensitive information"),
    "InputTextRiskDetection": (400, "The input text was found to be risky"),
    "InputImageRiskDetection": (400, "The input image was found to be risky"),
    "OutputTextRiskDetection": (400, "The output text was found to be risky"),
    "AuthenticationError": (401, "The API key or AK/SK in the request is missing or invalid"),
    "AccountOverdueError": (403, "The account has an overdue balance"),
    "AccessDenied": (403, "You do not have access to the requested resource"),
    "InvalidEndpointOrModel.NotFound": (404, "The model or endpoint does not exist"),
    "InvalidEndpointOrModel.ModelIDAccessDisabled": (404, "Use an endpoint id instead"),
    "ModelNotOpen": (404, "Your account has not activated the model"),
    "UnsupportedModel": (404, "The model does not support the coding plan"),
    "NotFound": (404, "The specified resource is not found"),
    "RateLimitExceeded.EndpointRPMExceeded": (429, "The RPM limit of the endpoint is exceeded"),
    "RateLimitExceeded.EndpointTPMExceeded": (429, "The TPM limit of the endpoint is exceeded"),
    "ModelAccountRpmRateLimitExceeded": (429, "The RPM limit of the account is exceeded"),
    "ModelAccountTpmRateLimitExceeded": (429, "The TPM limit of the account is exceeded"),
    "QuotaExceeded": (429, "The quota is exceeded"),
    "SetLimitExceeded": (429, "The limit that was set for the model is reached"),
    "ServerOverloaded": (429, "The service is overloaded"),
    "InternalServiceError": (500, "The service encountered an unexpected internal error"),
}
"""Ark's codes: HTTP status and words (ours, after the meaning that the vendor documents)."""

_TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
_ARK_FAULTS = {
    "401": "AuthenticationError",
    "429": "RateLimitExceeded.EndpointRPMExceeded",
    "500": "InternalServiceError",
    "503": "InternalServiceError",
    "expired_token": "AuthenticationError",
    "content_filter": "SensitiveContentDetected",
    "arrears": "AccountOverdueError",
    "too_long": "OutofContextError",
    "overloaded": "ServerOverloaded",
    "quota": "SetLimitExceeded",
}
_MAAS_STATUSES = {
    "SignatureDoesNotMatch": 401,
    "MissingAuthenticationHeader": 401,
    "AuthenticationHeaderIsInvalid": 401,
    "AuthenticationExpire": 401,
    "UnauthorizedUserForEndpoint": 401,
    "UnauthorizedUserForResource": 401,
    "OperationDenied": 403,
    "ResourceNotFound": 404,
    "APINotSupport": 405,
    "ModelNotSupportEmbeddings": 405,
    "RequestTimeout": 408,
    "ServiceResourceWaitQueueFull": 412,
    "EndpointRateLimitExceeded": 429,
    "EndpointAccountRpmRateLimitExceeded": 429,
    "EndpointAccountTpmRateLimitExceeded": 429,
    "LowPriorityLimitExceeded": 429,
    "InternalServiceError": 500,
    "TextCheckServiceError": 500,
    "ServiceConnectionClosed": 502,
    "ServiceConnectionRefused": 503,
    "EndpointIsNotEnable": 503,
    "EndpointIsPending": 503,
    "ServiceNotOpen": 503,
    "MaasPlatformNotOpen": 503,
    "ModelLoadingError": 503,
    "ServiceConnectionTimeout": 504,
}
_MAAS_FAULTS = {
    "401": "AuthenticationHeaderIsInvalid",
    "429": "EndpointRateLimitExceeded",
    "500": "InternalServiceError",
    "503": "ServiceConnectionRefused",
    "expired_token": "AuthenticationExpire",
    "content_filter": "ReqTextExistRisk",
    "arrears": "ServiceNotOpen",
    "too_long": "InvalidParameter",
    "overloaded": "ServiceResourceWaitQueueFull",
    "quota": "ServiceNotOpen",
}


class Refusal(Exception):
    """
    The vendor refuses.

    Args:
        code: the vendor's, of the API that is asked.
        message: instead of the code's usual words.
        retry_after: seconds, for a Retry-After header.
        status: instead of the code's usual one.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.status = status

    @property
    def headers(self) -> dict[str, str]:
        """Its Retry-After header, where it has one."""
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}


def ark_error(refusal: Refusal, request_id: str) -> dict[str, object]:
    """The body of a refusal of Ark."""
    status, words = ARK_CODES[refusal.code]
    return {
        "error": {
            "code": refusal.code,
            "message": f"{refusal.message or words}. Request id: {request_id}",
            "param": "",
            "type": _TYPES[refusal.status or status],
        }
    }


def ark_response(refusal: Refusal, request_id: str) -> web.Response:
    """The answer to what Ark refuses."""
    status = refusal.status or ARK_CODES[refusal.code][0]
    return web.json_response(
        ark_error(refusal, request_id),
        status=status,
        headers={**refusal.headers, "X-Request-Id": request_id},
    )


def maas_error(refusal: Refusal, request_id: str) -> dict[str, object]:
    """The body of a refusal of the legacy API."""
    error = {
        "code": refusal.code,
        "code_n": MAAS_NUMBERS[refusal.code],
        "message": refusal.message or refusal.code,
    }
    return {"req_id": request_id, "error": error}


def maas_response(refusal: Refusal, request_id: str) -> web.Response:
    """The answer to what the legacy API refuses."""
    return web.json_response(
        maas_error(refusal, request_id),
        status=refusal.status or _MAAS_STATUSES.get(refusal.code, 400),
        headers=refusal.headers,
    )


def control_response(refusal: Refusal, request_id: str) -> web.Response:
    """The answer to what the control plane refuses."""
    error = {"CodeN": 100010, "Code": refusal.code, "Message": refusal.message or refusal.code}
    metadata = {
        "RequestId": request_id,
        "Action": "GetApiKey",
        "Version": "2024-01-01",
        "Service": "ark",
        "Region": "cn-beijing",
        "Error": error,
    }
    return web.json_response({"ResponseMetadata": metadata}, status=refusal.status or 401)


def ark_fault(faults: Faults) -> Refusal:
    """The refusal that a prompt asks Ark for."""
    wanted = faults.refusal or ""
    code = _ARK_FAULTS.get(wanted, wanted)
    if code not in ARK_CODES:
        return Refusal("InvalidParameter", f"the sandbox knows no fault {wanted}")
    status = 503 if wanted == "503" else None
    return Refusal(code, retry_after=faults.retry_after, status=status)


def maas_fault(faults: Faults) -> Refusal:
    """The refusal that a prompt asks the legacy API for, by name or by number."""
    wanted = faults.refusal or ""
    by_number = {str(number): name for name, number in MAAS_NUMBERS.items()}
    code = _MAAS_FAULTS.get(wanted) or by_number.get(wanted, wanted)
    if code not in MAAS_NUMBERS:
        return Refusal("InvalidParameter", f"the sandbox knows no fault {wanted}")
    return Refusal(code, retry_after=faults.retry_after)
