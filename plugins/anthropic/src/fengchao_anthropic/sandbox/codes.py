"""The vendor's error types, as its stand-in answers them."""

from __future__ import annotations

from collections.abc import Mapping

STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Error types and their HTTP statuses."""

WORDS: Mapping[str, str] = {
    "invalid_request_error": "The request is not valid.",
    "authentication_error": "invalid x-api-key",
    "billing_error": "Your credit balance is too low to use the API.",
    "permission_error": "Your API key may not use the specified resource.",
    "not_found_error": "The requested resource was not found.",
    "conflict_error": "The resource is being changed by another request.",
    "request_too_large": "The request is larger than 32 MB.",
    "rate_limit_error": "You sent more requests than your rate limit allows.",
    "api_error": "Internal server error",
    "timeout_error": "The request timed out.",
    "overloaded_error": "Overloaded",
}
"""Words for each, after the meaning that the vendor documents."""

BY_FAULT: Mapping[str, str] = {
    "400": "invalid_request_error",
    "401": "authentication_error",
    "402": "billing_error",
    "403": "permission_error",
    "404": "not_found_error",
    "409": "conflict_error",
    "413": "request_too_large",
    "429": "rate_limit_error",
    "500": "api_error",
    "503": "overloaded_error",  # the vendor documents no 503
    "504": "timeout_error",
    "529": "overloaded_error",
    "overloaded": "overloaded_error",
    "expired_token": "authentication_error",
    "arrears": "billing_error",
    "too_long": "invalid_request_error",
    "quota": "rate_limit_error",
}
"""The common faults, and plain statuses."""


class RefusedError(Exception):
    """
    The vendor refuses.

    Args:
        kind: one of `STATUSES`.
        message: instead of the type's usual words.
        retry_after: seconds, for a retry-after header.
    """

    def __init__(
        self, kind: str, message: str | None = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message or WORDS[kind]
        self.retry_after = retry_after

    def body(self, request_id: str) -> dict[str, object]:
        """As it goes over the wire, in an answer or in a stream."""
        return {
            "type": "error",
            "error": {"type": self.kind, "message": self.message},
            "request_id": request_id,
        }


def illegal(path: str, why: str) -> RefusedError:
    """The refusal of one field, in the vendor's words."""
    return RefusedError("invalid_request_error", f"{path}: {why}")
