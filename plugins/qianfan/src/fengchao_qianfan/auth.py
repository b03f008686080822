"""
Credentials as pure functions: signatures of the access management (bce-auth-v1), and what its token endpoints say.

Source: the requests of the vendor's SDK (qianfan 0.4.12.3), recorded in `tests/vectors/qianfan.json`, and the vendor's
documentation of the authorization string.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, Field

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.replies import read_reply
from fengchao_core.tokens import Token
from fengchao_qianfan.codes import code_of

EXPIRATION_S = 300
"""How long a signature holds; the SDK's figure."""

OAUTH_PATH = "/oauth/2.0/token"
BEARER_PATH = "/v1/BCE-BEARER/token"
BEARER_LIFE_S = 43_200
"""How long a temporary key of V2 is asked to live; the SDK's figure."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """
    What of a request is signed.

    Attributes:
        path: as it is sent, `/` first.
        query: names and values, decoded.
        headers: those to be signed, `host` among them; the body is not signed.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    @property
    def canonical(self) -> str:
        """The text that is signed."""
        query = "&".join(sorted(f"{_enc(name)}={_enc(value)}" for name, value in self.query))
        headers = sorted(
            f"{_enc(name.lower())}:{_enc(value.strip())}"
            for name, value in self.headers.items()
            if value.strip()
        )
        return "\n".join((self.method.upper(), self.path, query, "\n".join(headers)))

    @property
    def signed_headers(self) -> str:
        """The names of the signed headers, in order."""
        return ";".join(
            sorted(name.lower() for name, value in self.headers.items() if value.strip())
        )


def date_of(now: datetime) -> str:
    """An instant as `x-bce-date` has it."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def prefix_of(access_key: str, date: str, expiration_s: int = EXPIRATION_S) -> str:
    """The beginning of an authorization, from which the signing key is made."""
    return f"bce-auth-v1/{access_key}/{date}/{expiration_s}"


def signing_key(secret_key: str, prefix: str) -> str:
    """The key that signs, as the hexadecimal text that it is used as."""
    return hmac.digest(secret_key.encode(), prefix.encode(), sha256).hex()


def signature(secret_key: str, prefix: str, canonical: str) -> str:
    """The signature of a canonical request."""
    return hmac.digest(signing_key(secret_key, prefix).encode(), canonical.encode(), sha256).hex()


def authorization(access_key: str, secret_key: str, request: SignedRequest, now: datetime) -> str:
    """
    The `Authorization` header of a request.

    Args:
        access_key: the Access Key ID.
        secret_key: the Secret Access Key.
        request: `headers` must hold `x-bce-date`, if it is sent.
        now: an aware instant by the vendor's clock.
    """
    prefix = prefix_of(access_key, date_of(now))
    signed = signature(secret_key, prefix, request.canonical)
    return f"{prefix}/{request.signed_headers}/{signed}"


class _AccessToken(BaseModel):
    access_token: str = Field(min_length=1)
    expires_in: float = Field(gt=0)


class _BearerToken(BaseModel):
    token: str = Field(min_length=1)
    createTime: AwareDatetime | None = None  # noqa: N815  # the wire's own name  # the vendor's names
    expireTime: AwareDatetime  # noqa: N815


def oauth_params(ak: str, sk: str) -> dict[str, str]:
    """The query that asks for an access token."""
    return {"grant_type": "client_credentials", "client_id": ak, "client_secret": sk}


def read_access_token(body: bytes, classify: Classify, now: datetime) -> Token:
    """
    An access token of V1.

    Args:
        body: the answer.
        classify: makes the error of an answer that is one, under whatever HTTP status.
        now: when it was asked for.

    Raises:
        ProviderError: the answer is an error, or nonsense.
    """
    if code_of(body) is not None:
        raise classify(200, {}, body)
    answer = read_reply(_AccessToken, body, classify)
    return Token(answer.access_token, _later(now, answer.expires_in))


def read_bearer_token(body: bytes, classify: Classify, now: datetime) -> Token:
    """A temporary key of V2. It lives as long as the vendor's two instants are apart, whatever our clock says."""
    answer = read_reply(_BearerToken, body, classify)
    life = (answer.expireTime - (answer.createTime or now)).total_seconds()
    return Token(answer.token, _later(now, life))


def _later(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        pass
    raise ProviderProtocolError("the provider's token expires beyond all time")


def _enc(text: str) -> str:
    return quote(text, safe="-._~")
