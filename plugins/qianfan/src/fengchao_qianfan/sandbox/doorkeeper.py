"""
Who may come in: the tokens the stand-in gave out, the signatures it computes anew, the keys it knows.

It computes signatures from what really arrived, by the vendor's documentation, and shares no code with the plugin's own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from secrets import token_hex
from urllib.parse import quote

from aiohttp import web

from fengchao_core.clock import Clock
from fengchao_qianfan.sandbox.refusals import NotLetInError, RefusedError

AK = "SandboxApiKeyOfNoWorth00"
SK = "SandboxSecretKeyOfNoWorth0123456"
API_KEY = "bce-v3/ALTAK-SandboxPermanent/0123456789abcdef0123456789abcdef01234567"
IAM_AK = "ALTAKSandboxAccessKey001"
IAM_SK = "sandboxsecretaccesskeyofnoworth01"

MONTH_S = 2_592_000
_MOST_TOKENS = 10_000
_SKEW_S = 300


class Doorkeeper:
    """
    Gives out tokens and lets calls in.

    Args:
        clock: the time by which tokens and signatures expire.
        token_life_s: how long a token lives.

    Attributes:
        given_out: how many tokens of V1 were given out.
    """

    def __init__(self, clock: Clock, token_life_s: float) -> None:
        self._clock = clock
        self._life = timedelta(seconds=token_life_s)
        self._tokens: dict[str, datetime] = {}
        self._bearers: dict[str, datetime] = {}
        self._numbers = count(1)
        self.given_out = 0

    # Tokens of V1.

    def access_token(self, query: Mapping[str, str]) -> web.Response:
        """What the token endpoint answers."""
        if query.get("grant_type") != "client_credentials":
            return _oauth_error("invalid_request", "unsupported grant type")
        if not _same(query.get("client_id", ""), AK):
            return _oauth_error("invalid_client", "unknown client id")
        if not _same(query.get("client_secret", ""), SK):
            return _oauth_error("invalid_client", "Client authentication failed")
        self.given_out += 1
        now = self._clock.now()
        life_s = int(self._life.total_seconds())
        expires = int((now + self._life).timestamp())
        token = f"24.{token_hex(16)}.{life_s}.{expires}.{next(self._numbers)}-sandbox"
        self._tokens[token] = now + self._life
        while len(self._tokens) > _MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return web.json_response(
            {
                "access_token": token,
                "expires_in": life_s,
                "refresh_token": f"25.{token_hex(16)}",
                "scope": "public wise_adapt ai_custom_yiyan_com",
                "session_key": "",
                "session_secret": "",
            }
        )

    def expire(self, request: web.Request) -> None:
        """Let the token of a request have expired."""
        token = request.query.get("access_token", "")
        if token in self._tokens:
            self._tokens[token] = self._clock.now()

    def let_in_v1(self, request: web.Request) -> str:
        """The public name of who calls V1. Raises `RefusedError` or `NotLetInError`."""
        if request.headers.get("Authorization", "").startswith("bce-auth-v1/"):
            return self.let_in_signed(request)
        token = request.query.get("access_token", "")
        if not token or not token.isascii() or " " in token:
            raise RefusedError("100")
        expires_at = self._tokens.get(token)
        if expires_at is None:
            raise RefusedError("110")
        if expires_at <= self._clock.now():
            raise RefusedError("111")
        return AK

    # Signatures of the access management.

    def let_in_signed(self, request: web.Request) -> str:
        """The public name of who signed a request. Raises `NotLetInError`."""
        parts = request.headers.get("Authorization", "").split("/")
        if len(parts) != 6 or parts[0] != "bce-auth-v1":
            raise NotLetInError(400, "InvalidHTTPAuthHeader", "The authorization is malformed.")
        _, access_key, date, expiration, names, given = parts
        if not _same(access_key, IAM_AK):
            raise NotLetInError(403, "InvalidAccessKeyId", "Could not find credential.")
        try:
            signed_at = datetime.strptime(date, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            lives_s = int(expiration)
        except ValueError:
            raise NotLetInError(400, "InvalidHTTPAuthHeader", "A date is malformed.") from None
        now = self._clock.now()
        if (
            not signed_at - timedelta(seconds=_SKEW_S)
            <= now
            <= signed_at + timedelta(seconds=lives_s)
        ):
            raise NotLetInError(403, "RequestExpired", "The request has expired.")
        signed = names.split(";") if names else _by_default(request)
        if "host" not in signed or not all(name in request.headers for name in signed):
            raise NotLetInError(400, "SignatureDoesNotMatch", "A header that is signed is missing.")
        key = _sign(IAM_SK, "/".join(parts[:4]))
        if not _same(given, _sign(key, _canonical(request, signed))):
            raise NotLetInError(400, "SignatureDoesNotMatch", "Signature does not match")
        return IAM_AK

    # Keys of V2.

    def bearer_token(self, request: web.Request) -> web.Response:
        """A temporary key of V2 for who signs for it."""
        self.let_in_signed(request)
        text = request.query.get("expireInSeconds", "")
        if not text.isdecimal() or int(text) < 1:
            raise NotLetInError(400, "BadRequest", "expireInSeconds is malformed.")
        now = self._clock.now()
        expires_at = now + timedelta(seconds=int(text))
        token = f"bce-v3/ALTAK-Sandbox{next(self._numbers)}/{token_hex(20)}"
        self._bearers[token] = expires_at
        return web.json_response(
            {
                "userId": "sandbox",
                "token": token,
                "status": "enable",
                "createTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "expireTime": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    def let_in_v2(self, request: web.Request) -> str:
        """The public name of who calls V2. Raises `RefusedError`."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not _same(token, API_KEY):
            expires_at = self._bearers.get(token)
            if expires_at is None or expires_at <= self._clock.now():
                raise RefusedError("invalid_iam_token", "IAM Certification failed")
        appid = request.headers.get("appid")
        if appid is not None and not appid.startswith("app-"):
            raise RefusedError("invalid_appid")
        return token.split("/")[1]


def _canonical(request: web.Request, signed: list[str]) -> str:
    query = sorted(f"{_enc(name)}={_enc(value)}" for name, value in request.query.items())
    headers = sorted(
        f"{_enc(name)}:{_enc(request.headers[name].strip())}"
        for name in signed
        if request.headers[name].strip()
    )
    path = request.rel_url.raw_path
    return "\n".join([request.method, path, "&".join(query), "\n".join(headers)])


def _by_default(request: web.Request) -> list[str]:
    known = {"host", "content-length", "content-type", "content-md5"}
    return [
        name
        for name in map(str.lower, request.headers)
        if name in known or name.startswith("x-bce-")
    ]


def _sign(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _enc(text: str) -> str:
    return quote(text, safe="-._~")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _oauth_error(code: str, description: str) -> web.Response:
    return web.json_response({"error": code, "error_description": description}, status=401)
