"""Signatures, verified as the vendor does: recomputed from what the request says of itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256

from fengchao_volcengine.auth import (
    ALGORITHM,
    DATE_FORMAT,
    LIFETIME_S,
    canonical,
    scope,
    signature,
    signing_key,
    string_to_sign,
)
from fengchao_volcengine.sandbox.refusals import Refusal

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^/\s,]+)/([^\s,]+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{{64}})"
)
_REQUIRED = {"host", "x-date", "x-content-sha256"}


def verify(
    *,
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    ak: str,
    sk: str,
    service: str,
    region: str,
    now: datetime,
) -> None:
    """
    Verify a signed request. Raises `Refusal` with a code of the legacy API.

    Args:
        path: as it was sent, percent-encoded.
        headers: with keys in any case.
        ak: the only access key there is.
    """
    text = headers.get("Authorization", "")
    if not text:
        raise Refusal("MissingAuthenticationHeader")
    match = _AUTHORIZATION.fullmatch(text)
    if match is None:
        raise Refusal("AuthenticationHeaderIsInvalid", "the header does not parse")
    key_id, claimed, names, proof = match.groups()
    date = headers.get("X-Date", "")
    if claimed != scope(date, region, service):
        raise Refusal("AuthenticationHeaderIsInvalid", "the scope is not of this service and day")
    if key_id != ak:
        raise Refusal("AuthenticationHeaderIsInvalid", "the access key does not exist")
    signed = names.split(";")
    if not set(signed) >= _REQUIRED or signed != sorted(signed):
        raise Refusal("AuthenticationHeaderIsInvalid", "the signed headers are incomplete")
    if abs((_instant(date) - now).total_seconds()) > LIFETIME_S:
        raise Refusal("AuthenticationExpire", "the date is too far from ours")
    body_hash = sha256(body).hexdigest()
    said = {name: headers.get(name, "") for name in signed}
    request = canonical(method, path, query, said, body_hash)
    key = signing_key(sk, date, region, service)
    expected = signature(key, string_to_sign(date, claimed, request))
    said_hash = headers.get("X-Content-Sha256")
    if said_hash != body_hash or not hmac.compare_digest(expected, proof):
        raise Refusal("SignatureDoesNotMatch")


def _instant(date: str) -> datetime:
    try:
        return datetime.strptime(date, DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Refusal("AuthenticationHeaderIsInvalid", "X-Date is no date") from None
