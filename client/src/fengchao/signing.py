"""The tokens a client signs for itself, as the published SDKs do."""

from __future__ import annotations

import time
from collections.abc import Callable

from pydantic import SecretStr

from fengchao.errors import error_of
from fengchao.wire.codes import Code

LIFETIME_S = 30 * 60
RENEW_AFTER_S = 25 * 60


class Signer:
    """
    Signs tokens with a client's secret, and keeps each one until near its end.

    A token is a JWT (HS256, header `sign_type: SIGN`) with the claims `api_key`, `exp` and `timestamp`, both in
    **milliseconds**: not what the standard says, but what every published SDK sends.

    Args:
        now: the wall clock, in epoch seconds.
    """

    def __init__(
        self, api_key: str, secret_key: str, *, now: Callable[[], float] = time.time
    ) -> None:
        self._api_key = api_key
        self._secret_key = SecretStr(secret_key)
        self._now = now
        self._token = ""
        self._signed_at = 0.0

    def token(self) -> str:
        """
        A token that is good for five minutes at least.

        Raises:
            AuthenticationError: there are no keys to sign with.
        """
        now = self._now()
        # A clock that was set back makes the kept token one from the future, which the server refuses.
        if not self._token or not 0 <= now - self._signed_at < RENEW_AFTER_S:
            self._token = self._sign(now)
            self._signed_at = now
        return self._token

    def _sign(self, now: float) -> str:
        # Here, because it brings the cryptography package along where that is installed.
        import jwt

        secret = self._secret_key.get_secret_value()
        if not self._api_key or not secret:
            raise error_of(Code.UNAUTHORIZED, "未提供 api_key 或 secret_key")
        return jwt.encode(
            {
                "api_key": self._api_key,
                "exp": round((now + LIFETIME_S) * 1000),
                "timestamp": round(now * 1000),
            },
            secret,
            algorithm="HS256",
            headers={"sign_type": "SIGN"},
        )
