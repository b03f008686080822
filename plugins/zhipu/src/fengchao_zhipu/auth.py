"""
Tokens for Zhipu: a JWT signed with the secret half of the key.

Source: the requests of the vendor's SDK (zhipuai 2.1.5.20250725), recorded; `tests/vectors/zhipu.json`. Times are in
milliseconds, and the order of the members is the SDK's, so that the text of the token is, too.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from hashlib import sha256

import orjson

from fengchao_core.tokens import Token

LIFETIME_S = 210
"""How long a token lives; the SDK's figure."""

_HEADER = b'{"alg":"HS256","sign_type":"SIGN","typ":"JWT"}'


def sign(api_key: str, now: datetime) -> Token:
    """
    Make a token.

    Args:
        api_key: `id.secret`.
        now: an aware instant by the vendor's clock.
    """
    key_id, _, secret = api_key.partition(".")
    timestamp = round(now.timestamp() * 1000)
    claims = orjson.dumps(
        {"api_key": key_id, "exp": timestamp + LIFETIME_S * 1000, "timestamp": timestamp}
    )
    signed = _base64(_HEADER) + b"." + _base64(claims)
    signature = _base64(hmac.digest(secret.encode(), signed, sha256))
    token = (signed + b"." + signature).decode()
    return Token(token, now + timedelta(seconds=LIFETIME_S))


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
