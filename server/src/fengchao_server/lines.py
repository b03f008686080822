"""
The one line in the log that each request leaves.

It tells who asked what, how that ended and how long it took: no text of anybody's, and no secret. Most requests are of few
kinds: the same caller asks the same model, and it goes well. So a line is told in two parts: its kind, which can be worded
once for all lines of it, and the few facts that differ.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from fengchao_core import EMBEDDED
from fengchao_server.masking import masked

if TYPE_CHECKING:
    from fengchao_core.types import Usage
    from fengchao_server.call import Call

log = structlog.get_logger()

Kind = tuple[str, str, int, str, str, str, str, type[BaseException] | None, str]
"""
Method, path, status; key and name of the caller, where the route asks for one; operator; model; what ended the request,
where something went wrong; provider.
"""


class Say(Protocol):
    """What logs the line of a request that ends now."""

    def __call__(
        self, call: Call, status: int, error: BaseException | None, begun: float, /
    ) -> None:
        """Log it. The request entered at `begun`, on `time.perf_counter`."""
        ...


_LONGEST: Final = 100
_USABLE_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def kind_of(call: Call, status: int, error: BaseException | None) -> Kind:
    """The kind of a request's line. What its caller chose is cut to a length that a log can bear."""
    exchange, operator, caller = call.exchange, call.operator, call.caller
    return (
        call.request.method,
        call.path if len(call.path) <= _LONGEST else masked(call.path)[:_LONGEST],
        status,
        "" if caller is EMBEDDED else caller.key,
        caller.name,
        "" if operator is None else operator.actor,
        call.model if len(call.model) <= _LONGEST else masked(call.model)[:_LONGEST],
        None if error is None else type(error),
        "" if exchange is None else exchange.meter.provider,
    )


def facts_of_kind(kind: Kind) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys and values that all lines of a kind share: those before the time it took, and those after it."""
    method, path, status, key, name, operator, model, error, provider = kind
    after = {}
    if key:
        after["key"], after["name"] = key[:12], name
    if operator:
        after["operator"] = operator
    if model:
        after["model"] = model
    if error is not None:
        after["error"] = error.__name__
    if provider:
        after["provider"] = provider
    return {"method": method, "path": path, "status": status}, after


def usage_of(call: Call) -> Usage | None:
    """What the request used; None where it asked no model."""
    return call.usage if call.exchange is None else call.exchange.meter.usage


def caller_id_of(call: Call) -> str:
    """The id that the caller itself gave the request; empty where that is none, or nothing to put into a log."""
    given = call.request.headers.get("X-Request-Id")
    return given if given and _USABLE_ID.fullmatch(given) else ""


def is_quiet(call: Call) -> bool:
    """Whether only those who debug want to see its line."""
    return call.route is not None and call.route.quiet


def facts_of(call: Call, status: int, error: BaseException | None, begun: float) -> dict[str, Any]:
    """
    The keys and values of the line of a request that ends now.

    Args:
        begun: when it entered, on `time.perf_counter`.
    """
    ms = (perf_counter() - begun) * 1000
    before, after = facts_of_kind(kind_of(call, status, error))
    facts = {**before, "ms": round(ms, 1), **after}
    if (usage := usage_of(call)) is not None:
        facts["prompt_tokens"] = usage.prompt_tokens
        facts["completion_tokens"] = usage.completion_tokens
    if caller_id := caller_id_of(call):
        facts["caller_id"] = caller_id
    return facts


def say(call: Call, status: int, error: BaseException | None, begun: float) -> None:
    """Log the line of a request that ends now through structlog, however that is configured."""
    (log.debug if is_quiet(call) else log.info)("request", **facts_of(call, status, error, begun))
