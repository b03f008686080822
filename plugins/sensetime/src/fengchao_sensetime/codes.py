"""
SenseNova's error codes to fengchao's classes. Pure.

Source: the vendor's error page for 1 to 12. The numbers are those of gRPC, and 13 to 16 follow it; 18 was seen by
others. In the chat-completions dialects the same numbers come as text, beside a `type`. In every row that the vendor
documents, code and HTTP status say the same, so the code, which tells more, comes first.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from fengchao_core.errors import (
    ContentRefused,
    ProviderAuthFailed,
    ProviderOverloaded,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import STATUSES, ErrorClass, ErrorFacts, classify_by, read_error

ERRORS: Mapping[str, ErrorClass] = {
    "1": ProviderUnavailable,  # cancelled on the way
    "2": ProviderUnavailable,
    "3": RequestRejected,
    "4": ProviderUnavailable,  # timed out inside
    "5": RequestRejected,  # no such model or resource, or a model that the account has not opened
    "6": RequestRejected,  # exists already
    "7": ProviderAuthFailed,
    # Too fast; an exhausted quota comes under the same number, and only its text would tell.
    "8": RateLimited,
    "9": ProviderUnavailable,  # not in the present state; the vendor advises to try again later
    "10": ProviderUnavailable,  # a conflict with another call
    "11": RequestRejected,
    "12": RequestRejected,  # not implemented
    "13": ProviderUnavailable,
    "14": ProviderOverloaded,
    "15": ProviderUnavailable,
    "16": ProviderAuthFailed,
    "18": ContentRefused,
    "invalid_request_error": RequestRejected,
    "authentication_error": ProviderAuthFailed,
    "not_found_error": RequestRejected,
}
"""The vendor's codes, and the types of its chat-completions dialects."""


def read(body: bytes) -> ErrorFacts:
    """The facts of an error body, or of an event whose `status` is not well."""
    facts = read_error(body)
    if facts.codes:
        return facts
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return facts
    status = tree.get("status") if isinstance(tree, dict) else None
    if not isinstance(status, dict) or not is_bad(status):
        return facts
    return ErrorFacts((str(status["code"])[:200],), str(status.get("message") or "") or None)


def is_bad(status: object) -> bool:
    """Whether the `status` beside an answer's data says that there is none."""
    return isinstance(status, dict) and status.get("code") not in (None, 0, "0", "")


classify = classify_by(ERRORS, statuses={**STATUSES, 501: RequestRejected}, read=read)
