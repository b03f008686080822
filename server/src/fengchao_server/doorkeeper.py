"""
Who asks: callers are checked in memory, at the speed of requests.

A caller proves who it is by one of

- a token of `/aigc/token`, or one it signed itself with its secret (see `signing.py`), with or without `Bearer `;
- `Bearer sk-<api_key>.<secret_key>`, the key as one string, for clients that know of no tokens.

After a rotation the secret before it is as good as the new one, until its time of grace ends. A key may be bound to
networks: where its caller is, is looked at for each request, and not remembered with its credentials.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock
from fengchao_core.errors import AuthenticationFailed
from fengchao_core.store import KeyRecord
from fengchao_server.addresses import Address, Network, is_in
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
    previous: bytes = field(repr=False, default=b"")

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks it may be used from; none: from everywhere."""
        return tuple(map(ip_network, self.record.addresses))


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
        self._bound: dict[str, tuple[Network, ...]] = {}
        # These stand in for a key that is not there, and for a secret before the last that is not there, so that
        # looking for them takes as long as checking those that are.
        self._no_secret = new_secret().encode()
        nobody = KeyRecord(api_key="", name="", sealed_secret=b"", created_at=_FOREVER)
        self._nobody = Holder(nobody, Caller("", ""), new_secret().encode())

    def tell(self, holders: Iterable[Holder]) -> None:
        """Take these keys for all there are, and forget what was found good by others."""
        self._holders = {holder.record.api_key: holder for holder in holders}
        self._bound = {
            api_key: networks
            for api_key, holder in self._holders.items()
            if (networks := holder.networks)
        }
        self._good.clear()

    def check_place(self, api_key: str, address: Address | None) -> None:
        """
        Refuse a key that is used from where it may not be.

        Raises:
            AuthenticationFailed: the address is in none of the key's networks, or not known.
        """
        networks = self._bound.get(api_key)
        if networks is not None and (address is None or not is_in(address, networks)):
            raise AuthenticationFailed(
                f"this key may not be used from {address or 'an unknown address'}; "
                "ask for the address to be allowed"
            )

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
            holder, _, until = self._prove(*halves, now)
        else:
            token = read_token(credentials)
            holder = self._holders.get(token.api_key, self._nobody)
            is_now = token.is_signed_with(holder.secret)
            was = token.is_signed_with(holder.previous or self._no_secret)
            until = _good_until(holder, now, is_now=is_now, was=was)
            until = min(until, datetime.fromtimestamp(token.end(now.timestamp()), UTC))
        self._good[authorization] = holder.caller, until
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
        holder, secret, until = self._prove(api_key, secret_key, now)
        end = min(now + TOKEN_LIFETIME, until)
        return sign(holder.record.api_key, secret, begin=now.timestamp(), end=end.timestamp())

    def _prove(self, api_key: str, secret: str, now: datetime) -> tuple[Holder, bytes, datetime]:
        """Whose key it is, which of its secrets was given, and until when that is good."""
        holder = self._holders.get(api_key, self._nobody)
        given = secret.encode("utf-8", "replace")
        previous = holder.previous or self._no_secret
        is_now = hmac.compare_digest(holder.secret, given)
        was = hmac.compare_digest(previous, given)
        until = _good_until(holder, now, is_now=is_now, was=was)
        return holder, holder.secret if is_now else previous, until


def _good_until(holder: Holder, now: datetime, *, is_now: bool, was: bool) -> datetime:
    """Until when credentials of a key's secret, or of the one before, are good."""
    record = holder.record
    if is_now:
        until = _FOREVER
    elif was and holder.previous and record.previous_until is not None:
        until = record.previous_until
    else:
        raise AuthenticationFailed(_REFUSED)
    _check_live(holder, now)
    if until <= now:
        raise AuthenticationFailed("the key was rotated; use its new secret")
    return min(until, record.expires_at or _FOREVER)


def _check_live(holder: Holder, now: datetime) -> None:
    record = holder.record
    if record.revoked_at is not None:
        raise AuthenticationFailed("the key was revoked; ask for a new one")
    if record.expires_at is not None and record.expires_at <= now:
        raise AuthenticationFailed("the key expired; ask for a new one")
