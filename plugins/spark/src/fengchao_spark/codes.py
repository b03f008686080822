"""
Spark's error codes, as one table, and its error bodies.

Source: the error table of the vendor's page 接口说明.html in copies of 2024 and 2025; 10022 and 10404 are known from other
clients only. Codes decide, never the words: 11200 stands for «not authorised» and for «used up» alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

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
from fengchao_core.kit.errors import ErrorFacts, classify_by, read_error

SOFT_REFUSAL = 10019
"""The conversation leans towards a violation; comes after a complete answer, which may be shown with a warning."""

ERRORS: Mapping[str, type[ProviderError]] = {
    # Sockets that failed: the upgrade, reading from us, writing to us.
    **dict.fromkeys(("10000", "10001", "10002"), ProviderUnavailable),
    # Format, schema, values; parameters that the engine refuses; a domain that does not fit the path.
    **dict.fromkeys(("10003", "10004", "10005", "10163", "10404"), RequestRejected),
    # The same user is connected, or is being answered.
    **dict.fromkeys(("10006", "10007"), RateLimited),
    **dict.fromkeys(("10008", "10110"), ProviderOverloaded),
    # The engine: connect, receive, send, inside, network, no node; clearing a history; an idle connection.
    **dict.fromkeys(("10009", "10010", "10011", "10012"), ProviderUnavailable),
    **dict.fromkeys(("10017", "10018", "10222", "10223"), ProviderUnavailable),
    # The audit of the prompt, of the answer, of the conversation, of a picture.
    **dict.fromkeys(("10013", "10014", "10019", "10021", "10022"), ContentRefused),
    # The application: blacklisted, not authorised.
    **dict.fromkeys(("10015", "10016"), ProviderAuthFailed),
    "10907": ContextTooLong,
    # The function is not authorised or its volume used up; the day's limit.
    **dict.fromkeys(("11200", "11201"), QuotaExhausted),
    # Per second, at the same time.
    **dict.fromkeys(("11202", "11203"), RateLimited),
}
"""The vendor's codes: `header.code` in frames and replies, `code` in answers of the HTTP API."""


def error_of(header: Mapping[str, Any]) -> ProviderError:
    """The error that the header of a frame or a reply means; not yet redacted."""
    code = str(header.get("code"))
    kind: type[ProviderError] = ERRORS.get(code, ProviderError)
    message, sid = header.get("message"), header.get("sid")
    return kind(
        "the provider answered with an error",
        vendor_code=code,
        vendor_message=message if isinstance(message, str) else None,
        vendor_request_id=sid if isinstance(sid, str) else None,
    )


def _read(body: bytes) -> ErrorFacts:
    """The facts of a body in any of the vendor's shapes: a frame's header, flat, or the chat-completions one."""
    header = _tree(body).get("header")
    return read_error(orjson.dumps(header) if isinstance(header, dict) else body)


_by_code = classify_by(ERRORS, read=_read)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error that an HTTP answer means, with the vendor's `sid`; not yet redacted."""
    error = _by_code(status, headers, body)
    tree = _tree(body)
    header = tree.get("header")
    sid = (header if isinstance(header, dict) else tree).get("sid")
    if isinstance(sid, str) and sid:
        error.vendor_request_id = sid
    return error


def _tree(body: bytes) -> dict[str, Any]:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return tree if isinstance(tree, dict) else {}
