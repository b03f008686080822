"""
The tokens that callers sign: how they are written, how they are read, and which of them hold.

A token is a JWT: HS256 under the caller's secret, header `sign_type: SIGN`, claims `api_key`, `exp` and `timestamp`. The
two instants are in **milliseconds**, as the published SDKs write them, or in seconds, as the standard has it; which of
the two is told by their size. One algorithm and three claims need no library: what a library checks by itself (`exp` in
seconds) would have to be switched off, and it takes several times as long. Pure functions; they keep no secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
from dataclasses import dataclass
from typing import Any

import orjson

from fengchao_core.errors import AuthenticationFailed

SKEW_S = 300
"""How far a caller's clock may run ahead of ours."""

LONGEST_S = 24 * 3600
"""The longest lifetime a caller may give its tokens. A token cannot be called back, so none may live for years."""

_MALFORMED = (
    "the credentials are malformed; expected a token of this gateway, or sk-<api_key>.<secret_key>"
)

# Seconds reach this in the year 5138; milliseconds passed it in 1973.
_FIRST_MILLISECOND = 1e11

_BEGINNINGS = ("timestamp", "iat", "nbf")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_HEADER = base64.urlsafe_b64encode(
    orjson.dumps({"alg": "HS256", "sign_type": "SIGN", "typ": "JWT"})
).rstrip(b"=")


@dataclass(frozen=True, slots=True, repr=False)
class SignedToken:
    """
    A token that was read but not believed: check `is_signed_with`, then `end`.

    Attributes:
        api_key: whose token it says it is.
    """

    api_key: str
    _claims: dict[str, Any]
    _signed: bytes
    _signature: bytes

    def is_signed_with(self, secret: bytes) -> bool:
        """Whether this secret signed it; takes the same time for every wrong one."""
        return hmac.compare_digest(_signature(self._signed, secret), self._signature)

    def end(self, now: float) -> float:
        """
        When it expires, in epoch seconds.

        Args:
            now: the present, in epoch seconds.

        Raises:
            AuthenticationFailed: it expired, is not valid yet, or would be valid for too long.
        """
        end = _seconds(self._claims.get("exp"))
        begins = []
        for name in _BEGINNINGS:
            if name in self._claims:
                begins.append(_seconds(self._claims[name]))
                if begins[-1] > now + SKEW_S:
                    raise AuthenticationFailed(
                        f"the token is from the future ('{name}'); set the clock of the machine that signs it"
                    )
        if end <= now:
            raise AuthenticationFailed(
                "the token expired; sign a new one, or ask /aigc/token for one"
            )
        if end - min(begins, default=now) > LONGEST_S:
            raise AuthenticationFailed(
                f"the token would be valid for more than {LONGEST_S // 3600} hours; sign a shorter one"
            )
        return end


def sign(api_key: str, secret: bytes, *, begin: float, end: float) -> str:
    """A token of a key. The instants are epoch seconds."""
    claims = {
        "api_key": api_key,
        "exp": math.floor(end * 1000),
        "timestamp": math.floor(begin * 1000),
    }
    signed = _HEADER + b"." + base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=")
    return (signed + b"." + _signature(signed, secret)).decode()


def read_token(text: str) -> SignedToken:
    """
    Take a token apart.

    Raises:
        AuthenticationFailed: it is no token, or one of another algorithm.
    """
    signed, _, signature = text.rpartition(".")
    head, _, body = signed.partition(".")
    try:
        header = orjson.loads(_decode(head))
        claims = orjson.loads(_decode(body))
        covered, given = signed.encode("ascii"), signature.encode("ascii")
    except ValueError as error:
        raise AuthenticationFailed(_MALFORMED) from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise AuthenticationFailed(_MALFORMED)
    # A header that says how it wants to be checked is how tokens are forged: it has one thing to say.
    if header.get("alg") != "HS256" or "crit" in header:
        raise AuthenticationFailed("the token is not signed as expected; sign it with HS256")
    api_key = claims.get("api_key")
    if not isinstance(api_key, str):
        raise AuthenticationFailed(_MALFORMED)
    return SignedToken(api_key, claims, covered, given)


def _signature(signed: bytes, secret: bytes) -> bytes:
    digest = hmac.digest(secret, signed, "sha256")
    return binascii.b2a_base64(digest, newline=False).rstrip(b"=").translate(_TO_URL)


def _decode(part: str) -> bytes:
    data = part.encode("ascii").translate(_FROM_URL)
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)


def _seconds(value: object) -> float:
    """An instant in epoch seconds, of one that may be in milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AuthenticationFailed(
            "the token must say when it expires: 'exp' as a number, in milliseconds or seconds"
        )
    return value / 1000 if value >= _FIRST_MILLISECOND else float(value)
