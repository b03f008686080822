"""The vendor's codes, as its stand-in answers them."""

from __future__ import annotations

from collections.abc import Mapping

from fengchao_core.kit.sandbox import Faults

CODES: Mapping[int, tuple[int, str]] = {
    1: (408, "the call was cancelled"),
    2: (500, "unknown error"),
    3: (400, "invalid argument"),
    4: (504, "deadline exceeded"),
    5: (404, "not found"),
    6: (409, "already exists"),
    7: (403, "permission denied"),
    8: (429, "resource exhausted"),
    9: (400, "failed precondition"),
    10: (409, "aborted"),
    11: (400, "out of range"),
    12: (501, "not implemented"),
    13: (500, "internal error"),
    14: (503, "unavailable"),
    15: (500, "data loss"),
    16: (401, "unauthenticated"),
    18: (400, "the content is refused by the safety filter"),
}
"""The vendor's codes: HTTP status and words (ours, after the meaning that the vendor documents)."""

ENDS = ("sensitive", "context")
"""Faults that are finish reasons."""

_TYPES = {16: "authentication_error", 5: "not_found_error"}

_BY_FAULT = {
    "401": 16,
    "429": 8,
    "500": 13,
    "503": 14,
    "expired_token": 16,
    "content_filter": 18,
    "too_long": 3,
    "overloaded": 14,
}

_QUOTA = ("arrears", "quota")


class RefusedError(Exception):
    """
    The vendor refuses.

    Args:
        code: one of `CODES`.
        message: instead of the code's usual words.
        retry_after: seconds, for a Retry-After header.
    """

    def __init__(
        self, code: int, message: str | None = None, *, retry_after: float | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or CODES[code][1]
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status that comes with the code."""
        return CODES[self.code][0]


def error_body(refused: RefusedError, *, is_native: bool) -> dict[str, object]:
    """The body of a refusal: a number as the code, or, in the chat-completions dialects, a text and a type."""
    if is_native:
        return {"error": {"code": refused.code, "message": refused.message, "details": []}}
    kind = _TYPES.get(refused.code, "invalid_request_error")
    if refused.status >= 500 or refused.status == 429:
        kind = "api_error"
    return {"error": {"message": refused.message, "type": kind, "code": str(refused.code)}}


def refusal_of(faults: Faults) -> RefusedError:
    """The refusal that a prompt asks for."""
    wanted = faults.refusal or ""
    if wanted in _QUOTA:  # under the same number as «too fast»; the text alone would tell
        return RefusedError(
            8, "the quota of the account is exhausted", retry_after=faults.retry_after
        )
    code = _BY_FAULT.get(wanted) or (int(wanted) if wanted.isdecimal() else 0)
    if code not in CODES:
        return RefusedError(3, f"沙箱不认识的故障标记：{wanted}")
    return RefusedError(code, retry_after=faults.retry_after)


def refuse_early(faults: Faults) -> None:
    """Refuse what the prompt asks to be refused before anything is generated."""
    if faults.refusal is None or faults.refusal_after is not None or faults.refusal in ENDS:
        return
    raise refusal_of(faults)
