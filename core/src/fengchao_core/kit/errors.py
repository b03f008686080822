"""
Vendor errors to fengchao's classes, by table: first the vendor's own code, then the HTTP status.

The text of a message never decides. Vendors extend the tables (`classify_by({"1301": ContentRefused, ...})`); the
transport calls the result, and adds name, waiting time and redaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from types import MappingProxyType
from typing import Any

import orjson

from fengchao_core.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)

ErrorClass = Callable[..., ProviderError]
"""A subclass of `ProviderError` with its constructor (so not `ProviderTimeout`)."""

Classify = Callable[[int, Mapping[str, str], bytes], ProviderError]
"""From HTTP status, headers and body (at most 64 KiB of it) to an error that is not yet redacted."""

STATUSES: Mapping[int, ErrorClass] = MappingProxyType(
    {
        400: RequestRejected,
        401: ProviderAuthFailed,
        402: QuotaExhausted,
        403: ProviderAuthFailed,
        404: RequestRejected,
        408: ProviderUnavailable,
        409: ProviderUnavailable,
        413: RequestRejected,
        422: RequestRejected,
        425: ProviderUnavailable,
        429: RateLimited,
        500: ProviderUnavailable,
        502: ProviderUnavailable,
        503: ProviderOverloaded,
        504: ProviderUnavailable,
        529: ProviderOverloaded,
    }
)
"""What an HTTP status means where the vendor's code says nothing."""


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """
    What an error body says.

    Attributes:
        codes: the vendor's codes as text, the most telling first.
        message: the vendor's words, raw.
        status: an HTTP status that the body itself names.
    """

    codes: tuple[str, ...] = ()
    message: str | None = None
    status: int | None = None


def read_error(body: bytes) -> ErrorFacts:
    """
    The facts of an error body of the chat-completions family, whichever of its shapes it has.

    `{"error": {"message", "type", "code"}}`, `{"error": "text"}`, the same fields at top level (vLLM, SiliconFlow),
    `{"detail": …}` (FastAPI) and `{"base_resp": {"status_code", "status_msg"}}` (MiniMax; its codes read
    `base_resp.1008`). Anything else gives no code, and the text itself as the message.
    """
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorFacts(message=body.decode("utf-8", "replace") or None)
    if isinstance(tree, list) and tree:
        tree = tree[0]
    if not isinstance(tree, dict):
        return ErrorFacts()
    if isinstance(base := tree.get("base_resp"), dict) and base.get("status_code"):
        return ErrorFacts((f"base_resp.{base['status_code']}",), _text(base.get("status_msg")))
    inner: Mapping[str, Any] = tree
    message = None
    if isinstance(error := tree.get("error"), dict):
        inner = error
    elif isinstance(error, str):
        message = error
    code = inner.get("code")
    codes = tuple(c for c in (_code(code), _code(inner.get("type"))) if c is not None)
    message = message or next(
        (text for key in ("message", "msg", "detail") if (text := _text(inner.get(key)))), None
    )
    is_status = type(code) is int and 400 <= code < 600
    return ErrorFacts(codes, message, code if is_status else None)


def classify_by(
    codes: Mapping[str, ErrorClass],
    *,
    statuses: Mapping[int, ErrorClass] = STATUSES,
    read: Callable[[bytes], ErrorFacts] = read_error,
) -> Classify:
    """
    A classifier for one vendor.

    A dotted code that is not in the table is looked up by its parts before the dots (`RateLimitExceeded.EndpointRPM`
    falls back to `RateLimitExceeded`). Where no code is known, the HTTP status decides; an unknown code under HTTP 200
    becomes a plain `ProviderError` that keeps the code.

    Args:
        codes: the vendor's codes and error types, as text.
        statuses: by HTTP status; other statuses go by their hundred.
        read: takes the vendor's error body apart.
    """

    def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:  # noqa: ARG001  # a Classify
        facts = read(body)
        known = next((kind for code in facts.codes if (kind := _by_code(codes, code))), None)
        kind = known or class_of_status(status if status >= 400 else facts.status, statuses)
        return kind(
            f"the provider answered with an error under HTTP status {status}",
            status=status,
            vendor_code=facts.codes[0] if facts.codes else None,
            vendor_message=facts.message,
        )

    return classify


def class_of_status(
    status: int | None, statuses: Mapping[int, ErrorClass] = STATUSES
) -> ErrorClass:
    """The class of an HTTP status; `ProviderError` where there is none."""
    if status is None or status < 400:
        return ProviderError
    return statuses.get(status) or (RequestRejected if status < 500 else ProviderUnavailable)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """
    How many seconds the vendor asks us to wait, never negative; None where it does not say.

    Reads `retry-after-ms` first, then `retry-after` as seconds or as an HTTP date.

    Args:
        headers: with case-insensitive keys, as aiohttp gives them.
        now: an aware instant to count an HTTP date from.
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        until = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def _by_code(codes: Mapping[str, ErrorClass], code: str) -> ErrorClass | None:
    return next((codes[prefix] for prefix in _prefixes(code) if prefix in codes), None)


def _prefixes(code: str) -> Iterator[str]:
    yield code
    while "." in code:
        code = code.rpartition(".")[0]
        yield code


def _code(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)[:200] or None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return orjson.dumps(value).decode()


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
