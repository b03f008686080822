"""
Volcengine's signature, version 4: HMAC-SHA256 over method, path, query, some headers and the body's hash.

Pure. Source: the requests of the vendor's SDK (volcengine 1.0.229), recorded; `tests/vectors/volcengine.json`. A
signature is made for each request and never kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import quote

ALGORITHM = "HMAC-SHA256"
LIFETIME_S = 900
"""By how much the date of a signature may differ from the vendor's clock; about, not confirmed."""

DATE_FORMAT = "%Y%m%dT%H%M%SZ"

_TERMINATOR = "request"
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """
    Who signs, and for what.

    Attributes:
        ak: the key's id.
        sk: its secret, taken as the text it is, even where it looks like base64.
        service: `ml_maas` for the legacy API, `ark` for temporary keys.
        session_token: of temporary access keys.
    """

    ak: str
    sk: str = field(repr=False)
    service: str
    region: str = "cn-beijing"
    session_token: str = field(default="", repr=False)


def sign(
    key: AccessKey,
    *,
    method: str,
    host: str,
    path: str,
    query: Iterable[tuple[str, str]] = (),
    content_type: str | None = None,
    body: bytes = b"",
    now: datetime,
) -> dict[str, str]:
    """
    The headers that authorise a request.

    Args:
        key: who signs.
        method: in capitals.
        host: as the `Host` header will say it: without the usual port of its scheme, with any other.
        path: percent-encoded, as it is sent.
        query: names and values, decoded, in any order.
        content_type: as it is sent; None where none is.
        body: the exact bytes.
        now: an aware UTC instant by the vendor's clock.
    """
    date = now.strftime(DATE_FORMAT)
    body_hash = sha256(body).hexdigest()
    made = {"X-Date": date, "X-Content-Sha256": body_hash}
    if key.session_token:
        made["X-Security-Token"] = key.session_token
    signed = {name.lower(): value for name, value in made.items()}
    signed["host"] = host
    if content_type is not None:
        signed["content-type"] = content_type
    text = string_to_sign(
        date,
        scope(date, key.region, key.service),
        canonical(method, path, query, signed, body_hash),
    )
    credential = f"{key.ak}/{scope(date, key.region, key.service)}"
    proof = signature(signing_key(key.sk, date, key.region, key.service), text)
    made["Authorization"] = (
        f"{ALGORITHM} Credential={credential}, SignedHeaders={';'.join(sorted(signed))}, Signature={proof}"
    )
    return made


def scope(date: str, region: str, service: str) -> str:
    """What a signature is good for: one day, one region, one service."""
    return f"{date[:8]}/{region}/{service}/{_TERMINATOR}"


def canonical(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body_hash: str,
) -> str:
    """
    The request as it is signed.

    Args:
        headers: those that are signed, by their names in small letters.
        body_hash: SHA-256 in hexadecimal.
    """
    pairs = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in query
    )
    names = sorted(headers)
    block = "".join(f"{name}:{headers[name]}\n" for name in names)
    return "\n".join(
        (
            method,
            path or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            block,  # it ends its last line itself, so an empty line follows
            ";".join(names),
            body_hash,
        )
    )


def string_to_sign(date: str, scope: str, canonical_request: str) -> str:
    """What the signature is made of."""
    return f"{ALGORITHM}\n{date}\n{scope}\n{sha256(canonical_request.encode()).hexdigest()}"


def signing_key(sk: str, date: str, region: str, service: str) -> bytes:
    """The key of a day, a region and a service. Unlike at AWS, no prefix goes before the secret."""
    key = sk.encode()
    for part in (date[:8], region, service, _TERMINATOR):
        key = hmac.digest(key, part.encode(), sha256)
    return key


def signature(key: bytes, text: str) -> str:
    """The signature of a text, in hexadecimal."""
    return hmac.digest(key, text.encode(), sha256).hex()
