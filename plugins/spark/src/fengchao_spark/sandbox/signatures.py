"""
Who asks: the signed URL, verified as the vendor does.

Tolerated are the variations that clients in the wild have: fields in any spacing, `hmac username=` instead of `api_key=`,
`UTC` instead of `GMT`, and the host with or without its port, as long as it is the one that was signed.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fengchao_spark.auth import LIFETIME_S, signature, string_to_sign
from fengchao_spark.sandbox.codes import HandshakeError

_FIELD = re.compile(r'(\w+)="([^"]*)"')
_UNVERIFIABLE = "HMAC signature cannot be verified"
_OUT_OF_DATE = f"{_UNVERIFIABLE}, a valid date or x-date header is required for HMAC Authentication"
_NO_MATCH = "HMAC signature does not match"


def verify(
    query: Mapping[str, str],
    *,
    method: str,
    path: str,
    asked_host: str,
    api_key: str,
    api_secret: str,
    now: datetime,
) -> None:
    """
    Verify a signed URL.

    Args:
        asked_host: the host that the request went to, from its Host header.
        now: an aware UTC instant.

    Raises:
        HandshakeError: it is absent, unreadable, by somebody else, too old or too new, or does not match.
    """
    if not (given := query.get("authorization")):
        raise HandshakeError(401, "Unauthorized")
    fields = _fields(given)
    key = fields.get("api_key") or fields.get("username")
    if (
        key != api_key
        or fields.get("algorithm") != "hmac-sha256"
        or fields.get("headers") != "host date request-line"
    ):
        raise HandshakeError(401, _UNVERIFIABLE)
    date, host = query.get("date", ""), query.get("host", "")
    if abs((_instant(date) - now).total_seconds()) > LIFETIME_S:
        raise HandshakeError(403, _OUT_OF_DATE)
    if _name(host) != _name(asked_host):
        raise HandshakeError(401, _NO_MATCH)
    expected = signature(api_secret, string_to_sign(method, host, path, date))
    if not hmac.compare_digest(expected.encode(), fields.get("signature", "").encode()):
        raise HandshakeError(401, _NO_MATCH)


def expired() -> HandshakeError:
    """What the vendor says of a signature that is too old."""
    return HandshakeError(403, _OUT_OF_DATE)


def _fields(authorization: str) -> Mapping[str, str]:
    try:
        text = b64decode(authorization, validate=True).decode()
    except (binascii.Error, ValueError):
        raise HandshakeError(401, _UNVERIFIABLE) from None
    return dict(_FIELD.findall(text))


def _instant(date: str) -> datetime:
    try:
        instant = parsedate_to_datetime(date.replace("UTC", "GMT"))
    except (TypeError, ValueError, OverflowError):
        raise expired() from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _name(host: str) -> str:
    return host.rpartition(":")[0] or host if host[-1:] != "]" else host
