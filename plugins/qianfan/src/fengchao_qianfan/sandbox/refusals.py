"""What the stand-in refuses with: the vendor's codes, its words (ours, after their documented meaning), its shapes."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

V1_WORDS: Mapping[str, str] = {
    "1": "Unknown error",
    "2": "Service temporarily unavailable",
    "3": "Unsupported openapi method",
    "4": "Open api request limit reached",
    "6": "No permission to access data",
    "13": "Get service token failed",
    "14": "IAM Certification failed",
    "15": "app not exsits or create failed",
    "17": "Open api daily request limit reached",
    "18": "Open api qps request limit reached",
    "19": "Open api total request limit reached",
    "100": "Invalid parameter",
    "110": "Access token invalid or no longer valid",
    "111": "Access token expired",
    "200": "Server error",
    "336000": "Internal error",
    "336001": "Invalid Argument",
    "336002": "Invalid JSON",
    "336003": "Invalid parameter",
    "336004": "Permission error",
    "336005": "Api name not exist",
    "336006": "the length of messages must be an odd number",
    "336007": "Input text too long",
    "336008": "Bad request",
    "336100": "Model is overloaded, please try again later",
    "336101": "Method not allowed",
    "336102": "Bad request",
    "336103": "Prompt tokens too long",
    "336104": "Invalid system",
    "336105": "Invalid user_setting",
    "336200": "Internal error",
    "336303": "Bad request",
    "336501": "Rate limit reached for RPM",
    "336502": "Rate limit reached for TPM",
    "337006": "Bad request",
    "500000": "Internal error",
}
"""The codes of V1, all under HTTP 200."""

_BAD = "invalid_request_error"

V2_CODES: Mapping[str, tuple[int, str]] = {
    "malformed_json": (400, _BAD),
    "invalid_model": (401, _BAD),
    "invalid_messages": (400, _BAD),
    "invalid_argument": (400, _BAD),
    "invalid_image_genration_prompt": (400, _BAD),
    "invalid_image_genration_refer_image": (400, _BAD),
    "invalid_image_url": (400, _BAD),
    "invalid_plugin_argument": (400, _BAD),
    "characters_too_long": (400, _BAD),
    "tokens_too_long": (400, _BAD),
    "image_url_unsafe": (400, "unsafe_request"),
    "no_parameter_permission": (401, "access_denied"),
    "invalid_appid": (401, _BAD),
    "invalid_iam_token": (401, _BAD),
    "system_unsafe": (403, "unsafe_request"),
    "user_setting_unsafe": (403, "unsafe_request"),
    "functions_unsafe": (403, "unsafe_request"),
    "method_not_supported": (405, _BAD),
    "rpm_rate_limit_exceeded": (429, "rate_limit_exceeded"),
    "tpm_rate_limit_exceeded": (429, "rate_limit_exceeded"),
    "internal_error": (500, "internal_error"),
    "dispatch_internal_error": (500, "internal_error"),
}
"""The codes of V2: HTTP status and type."""


class RefusedError(Exception):
    """
    The vendor refuses.

    Args:
        code: of V1 where it is a number, otherwise of V2.
        message: instead of the code's usual words.
        status: instead of the code's usual HTTP status.
        retry_after: seconds, for a Retry-After header.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or V1_WORDS.get(code, code)
        self.status = status
        self.retry_after = retry_after

    def body(self, id_: str) -> dict[str, object]:
        """The error in the shape of its generation."""
        if self.code in V2_CODES:
            kind = V2_CODES[self.code][1]
            error = {"code": self.code, "message": self.message, "type": kind}
            return {"error": error, "id": id_}
        return {"error_code": int(self.code), "error_msg": self.message, "id": id_}

    def response(self, id_: str) -> web.Response:
        """The error as an answer."""
        status = V2_CODES[self.code][0] if self.code in V2_CODES else 200
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = f"{self.retry_after:g}"
        return web.json_response(self.body(id_), status=self.status or status, headers=headers)


class NotLetInError(Exception):
    """The access management refuses: HTTP status, and what its headers say."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message

    def response(self, id_: str) -> web.Response:
        """The refusal as an answer."""
        headers = {
            "X-Bce-Error-Code": self.code,
            "X-Bce-Error-Message": self.message,
            "X-Bce-Request-Id": id_,
        }
        body = {"requestId": id_, "code": self.code, "message": self.message}
        return web.json_response(body, status=self.status, headers=headers)
