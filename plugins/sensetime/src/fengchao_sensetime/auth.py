"""
Tokens for SenseNova: a JWT signed with the secret access key.

Source: the requests of the vendor's SDK (sensenova 1.0.6), recorded; `tests/vectors/sensetime.json`. Times are whole
seconds, rounded down. The order of the members is the SDK's, so that the text of the token is, too.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from math import floor

import orjson

from fengchao_core.tokens import Token

LIFETIME_S = 1800
"""How long a token lives; the SDK's figure and that of the vendor's sample."""

_LEEWAY_S = 5  # the token is valid from a little earlier on, for clocks that differ a little
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


def sign(ak: str, sk: str, now: datetime) -> Token:
    """
    Make a token.

    Args:
        ak: the access key id.
        sk: the secret access key.
        now: an aware instant by the vendor's clock.
    """
    second = floor(now.timestamp())
    claims = orjson.dumps({"iss": ak, "exp": second + LIFETIME_S, "nbf": second - _LEEWAY_S})
    signed = _base64(_HEADER) + b"." + _base64(claims)
    signature = _base64(hmac.digest(sk.encode(), signed, sha256))
    expires_at = now.replace(microsecond=0) + timedelta(seconds=LIFETIME_S)
    return Token((signed + b"." + signature).decode(), expires_at)


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
