"""OpenAI's headers about what is left of a caller's rates; only callers who have rates get any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from fengchao_core.rates import RatesLeft

if TYPE_CHECKING:
    from fengchao_server.call import Call

_NONE: Final[Mapping[str, str]] = {}
_HOUR_S: Final = 3600
_MINUTE_S: Final = 60


def rate_headers(call: Call) -> Mapping[str, str]:
    """The headers of an answer to a call."""
    if not call.caller.is_limited:
        return _NONE
    return words_of(call.gateway.rates_left(call.caller, call.model))


def words_of(left: RatesLeft | None) -> Mapping[str, str]:
    """What is left, in headers."""
    if left is None:
        return _NONE
    headers = {}
    if left.requests_limit is not None:
        headers["x-ratelimit-limit-requests"] = str(left.requests_limit)
        headers["x-ratelimit-remaining-requests"] = str(left.requests_remaining)
        headers["x-ratelimit-reset-requests"] = duration(left.requests_reset_s)
    if left.tokens_limit is not None:
        headers["x-ratelimit-limit-tokens"] = str(left.tokens_limit)
        headers["x-ratelimit-remaining-tokens"] = str(left.tokens_remaining)
        headers["x-ratelimit-reset-tokens"] = duration(left.tokens_reset_s)
    return headers


def duration(seconds: float) -> str:
    """A time as OpenAI writes it: `20ms`, `6.12s`, `1m0s`, `2h3m4s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    whole = round(seconds)
    hours, rest = divmod(whole, _HOUR_S)
    minutes, rest = divmod(rest, _MINUTE_S)
    return (f"{hours}h" if hours else "") + f"{minutes}m{rest}s"
