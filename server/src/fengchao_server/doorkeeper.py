"""
Who asks: callers are checked in memory, at the speed of requests.

A caller proves who it is by one of

- a token of `/aigc/token`, or one it signed itself with its secret (see `signing.py`), with or without `Bearer `;
- `Bearer sk-<api_key>.<secret_key>`, the key as one string, for clients that know of no tokens.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock
from fengchao_core.errors import AuthenticationFailed
from fengchao_core.store import KeyRecord
from fengchao_server.credentials import new_secret, read_header, split_key
from fengchao_server.signing import read_token, sign

TOKEN_LIFETIME = timedelta(minutes=30)

REMEMBERED = 4096
"""Headers that are remembered as good; beyond it the one unused for longest is checked again when it comes."""

_FOREVER = datetime.max.replace(tzinfo=UTC)
_REFUSED = "the credentials are not valid; check the key and its secret"


@dataclass(frozen=True, slots=True)
class Holder:
    """A key and its opened secret, as they are checked. Revoked keys are among them: their holders are told."""

    record: KeyRecord
    caller: Caller
    secret: bytes = field(repr=False)


class Doorkeeper:
    """
    Checks callers against the keys it was last told.

    Neither waits nor reads anything. Unknown keys and wrong secrets are refused in the same words after the same work;
    only who holds the secret is told that the key or the token is no longer good.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._holders: dict[str, Holder] = {}
        self._good: OrderedDict[str | None, tuple[Caller, datetime]] = OrderedDict()
        # Stands in for a key that is not there, so that looking for it takes as long as checking one that is.
        nobody = KeyRecord(api_key="", name="", sealed_secret=b"", created_at=_FOREVER)
        self._nobody = Holder(nobody, Caller("", ""), new_secret().encode())

    def tell(self, holders: Iterable[Holder]) -> None:
        """Take these keys for all there are, and forget what was found good by others."""
        self._holders = {holder.record.api_key: holder for holder in holders}
        self._good.clear()

    def holder(self, api_key: str) -> Holder | None:
        """The key of this public half, if it can be checked."""
        return self._holders.get(api_key)

    def authenticate(self, authorization: str | None) -> Caller:
        """
        Who sent an Authorization header.

        Raises:
            AuthenticationFailed: it proves nobody.
        """
        now = self._clock.now()
        if known := self._good.get(authorization):
            caller, until = known
            if now < until:
                self._good.move_to_end(authorization)
                return caller
            del self._good[authorization]
        credentials = read_header(authorization)
        if halves := split_key(credentials):
            holder, until = self._prove(*halves, now), _FOREVER
        else:
            token = read_token(credentials)
            holder = self._holders.get(token.api_key, self._nobody)
            if not token.is_signed_with(holder.secret):
                raise AuthenticationFailed(_REFUSED)
            _check_live(holder, now)
            until = datetime.fromtimestamp(token.end(now.timestamp()), UTC)
        self._good[authorization] = holder.caller, min(until, holder.record.expires_at or _FOREVER)
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)
        return holder.caller

    def caller(self, api_key: str) -> Caller:
        """
        Who holds a key, for what is done in its name later.

        Raises:
            AuthenticationFailed: there is no such key, or it is expired or revoked.
        """
        holder = self._holders.get(api_key)
        if holder is None:
            raise AuthenticationFailed("the key is no more; ask for a new one")
        _check_live(holder, self._clock.now())
        return holder.caller

    def issue_token(self, api_key: str, secret_key: str) -> str:
        """
        A token that is good for 30 minutes, or until its key expires.

        Raises:
            AuthenticationFailed: the two do not belong together, or the key is expired or revoked.
        """
        now = self._clock.now()
        holder = self._prove(api_key, secret_key, now)
        end = min(now + TOKEN_LIFETIME, holder.record.expires_at or _FOREVER)
        return sign(
            holder.record.api_key, holder.secret, begin=now.timestamp(), end=end.timestamp()
        )

    def _prove(self, api_key: str, secret: str, now: datetime) -> Holder:
        holder = self._holders.get(api_key, self._nobody)
        if not hmac.compare_digest(holder.secret, secret.encode("utf-8", "replace")):
            raise AuthenticationFailed(_REFUSED)
        _check_live(holder, now)
        return holder


def _check_live(holder: Holder, now: datetime) -> None:
    record = holder.record
    if record.revoked_at is not None:
        raise AuthenticationFailed("the key was revoked; ask for a new one")
    if record.expires_at is not None and record.expires_at <= now:
        raise AuthenticationFailed("the key expired; ask for a new one")
