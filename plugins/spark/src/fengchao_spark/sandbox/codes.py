"""The vendor's codes, as its stand-in answers them."""

from __future__ import annotations

from collections.abc import Mapping

from fengchao_core.kit.sandbox import Faults

CODES: Mapping[int, str] = {
    10000: "WebSocket upgrade failed",
    10001: "read from the client failed",
    10002: "write to the client failed",
    10003: "message format error",
    10004: "schema error",
    10005: "parameter value error",
    10006: "user is connected already",
    10007: "user is being answered",
    10008: "service capacity exhausted",
    10009: "engine connection failed",
    10010: "engine receive failed",
    10011: "engine send failed",
    10012: "engine internal error",
    10013: "input content audit failed",
    10014: "output content audit failed",
    10015: "app id is blacklisted",
    10016: "app id is not authorised",
    10017: "clearing the history failed",
    10018: "only pings for five minutes",
    10019: "the conversation leans towards a violation",
    10021: "input content audit failed",
    10022: "picture audit failed",
    10110: "service busy",
    10163: "engine parameter error",
    10222: "engine network error",
    10223: "no engine node",
    10404: "domain does not fit the endpoint",
    10907: "token number exceeds the limit",
    11200: "AppIdNoAuthError: tokens.total",
    11201: "licc failed: daily limit",
    11202: "licc limit: per second",
    11203: "licc limit: concurrency",
}
"""The vendor's codes in words of ours, after the meaning that it documents."""

_BY_FAULT = {
    "401": 10016,
    "429": 11202,
    "500": 10012,
    "503": 10008,
    "expired_token": 10016,
    "content_filter": 10013,
    "arrears": 11200,
    "too_long": 10907,
    "overloaded": 10110,
    "quota": 11201,
}


class RefusedError(Exception):
    """
    The vendor refuses.

    Args:
        code: one of `CODES`.
        message: instead of the code's usual words.
    """

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or CODES[code]


class HandshakeError(Exception):
    """The vendor refuses a signature: an HTTP status and words, no code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refusal_of(faults: Faults, *, midway: bool = False) -> RefusedError:
    """The refusal that a prompt asks for."""
    wanted = faults.refusal or ""
    if wanted == "content_filter" and midway:
        return RefusedError(10014)
    code = _BY_FAULT.get(wanted) or (int(wanted) if wanted.isdecimal() else 0)
    if code not in CODES:
        return RefusedError(10005, f"沙箱不认识的故障标记：{wanted}")
    return RefusedError(code)
