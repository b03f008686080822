"""
The one line in the log that each request leaves.

It is taken as it is when the request ends, and put into words later, with others: that is cheaper than to word it between
two requests.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from fengchao_core import EMBEDDED, Caller

if TYPE_CHECKING:
    from fengchao_core.types import Usage
    from fengchao_server.call import Call

log = structlog.get_logger()

_USABLE_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class RequestLine(NamedTuple):
    """
    What the log shall know of a request that ended. No text of anybody's, and no secret.

    Attributes:
        at: when it ended, in epoch seconds.
        seconds: how long it took.
        status: the HTTP status.
        error: what ended it, where something went wrong.
        operator: who was signed in, where somebody was.
        caller_id: the id that the caller itself gave it.
        is_quiet: whether only those who debug want to see it.
    """

    at: float
    id: str
    method: str
    path: str
    status: int
    seconds: float
    caller: Caller
    operator: str
    model: str
    provider: str
    usage: Usage | None
    error: BaseException | None
    caller_id: str | None
    is_quiet: bool

    def facts(self) -> dict[str, Any]:
        """The line's keys and values, but for when and which request."""
        facts: dict[str, Any] = {
            "method": self.method,
            "path": self.path[:100],
            "status": self.status,
            "ms": round(self.seconds * 1000, 1),
        }
        if self.caller is not EMBEDDED:
            facts["key"] = self.caller.key[:12]
            facts["name"] = self.caller.name
        if self.operator:
            facts["operator"] = self.operator
        if self.model:
            facts["model"] = self.model[:100]
        if self.error is not None:
            facts["error"] = type(self.error).__name__
        if self.provider:
            facts["provider"] = self.provider
        if self.usage is not None:
            facts["prompt_tokens"] = self.usage.prompt_tokens
            facts["completion_tokens"] = self.usage.completion_tokens
        if self.caller_id and _USABLE_ID.fullmatch(self.caller_id):
            facts["caller_id"] = self.caller_id
        return facts


def line_of(call: Call, status: int, error: BaseException | None, begun: float) -> RequestLine:
    """
    The line of a request that ends now.

    Args:
        begun: when it entered, on `time.perf_counter`.
    """
    exchange, usage, provider = call.exchange, call.usage, ""
    if exchange is not None:
        usage, provider = exchange.usage, exchange.provider
    request, operator = call.request, call.operator
    return RequestLine(
        time.time(),
        call.id,
        request.method,
        call.path,
        status,
        time.perf_counter() - begun,
        call.caller,
        "" if operator is None else operator.actor,
        call.model,
        provider,
        usage,
        error,
        request.headers.get("X-Request-Id"),
        call.route is not None and call.route.quiet,
    )


def say(line: RequestLine) -> None:
    """Log a line through structlog, however that is configured."""
    (log.debug if line.is_quiet else log.info)("request", **line.facts())
