"""Who asks: tokens as the stand-in for SenseNova verifies them."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import orjson

from fengchao_sensetime.sandbox.codes import RefusedError

_PREFIX = "Bearer "


def who(
    headers: Mapping[str, str], ak: str, sk: str, api_key: str, now: datetime, *, signed: bool
) -> str:
    """
    The public name of the credential that a request is authorised by.

    Args:
        headers: of the request.
        ak: the access key id that is taken.
        sk: its secret.
        api_key: the plain key that is taken.
        now: an aware instant.
        signed: whether tokens are taken, beside the plain key.

    Raises:
        RefusedError: with code 16.
    """
    text = headers.get("Authorization", "")
    if not text.startswith(_PREFIX):
        raise RefusedError(16, "no bearer token")
    token = text.removeprefix(_PREFIX).strip()
    if hmac.compare_digest(token.encode(), api_key.encode()):
        return "api_key"
    if not signed or token.count(".") != 2:
        raise RefusedError(16, "the key is not valid")
    _verify(token, ak, sk, now.timestamp())
    return ak


def _verify(token: str, ak: str, sk: str, now_s: float) -> None:
    body, _, signature = token.rpartition(".")
    head, _, claims = body.partition(".")
    header, payload = _decoded(head), _decoded(claims)
    if header.get("alg") != "HS256" or payload.get("iss") != ak:
        raise RefusedError(16, "the token is not valid")
    expected = hmac.digest(sk.encode(), body.encode(), sha256)
    if not hmac.compare_digest(expected, _bytes(signature)):
        raise RefusedError(16, "the signature of the token is not valid")
    expires_at, not_before = payload.get("exp"), payload.get("nbf", 0)
    if type(expires_at) is not int or type(not_before) is not int:
        raise RefusedError(16, "the times of the token are not whole seconds")
    if expires_at <= now_s:
        raise RefusedError(16, "the token has expired")
    if not_before > now_s:
        raise RefusedError(16, "the token is not valid yet")


def _decoded(part: str) -> Mapping[str, object]:
    try:
        value = orjson.loads(_bytes(part))
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise RefusedError(16, "the token is not valid")
    return value


def _bytes(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise RefusedError(16, "the token is not valid") from None
