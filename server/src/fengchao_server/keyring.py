"""
The callers' keys: made, rotated and revoked in the store, known in memory.

Callers are checked by a `Doorkeeper`, which is told the keys whenever they changed. What another process changes is seen
within about a second by `watch()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock, SystemClock
from fengchao_core.errors import InvalidParameter, SetupError, StoreUnavailable
from fengchao_core.limits import KeyLimits
from fengchao_core.store import KeyRecord, KeyStore
from fengchao_server.addresses import Address
from fengchao_server.auditing import Auditor, auditor, changed
from fengchao_server.credentials import NewKey, new_api_key, new_key, new_secret
from fengchao_server.doorkeeper import Doorkeeper, Holder
from fengchao_server.refusals import UnknownKey
from fengchao_server.terms import KeyTerms, check_terms, facts, terms_of, with_terms
from fengchao_server.vault import (
    MASTER_KEY_FILE,
    MASTER_KEY_VARIABLE,
    SealBroken,
    Vault,
    open_vault,
)

__all__ = ["WATCH_EVERY_S", "Keyring", "NewKey", "open_keyring"]

log = structlog.get_logger()

WATCH_EVERY_S = 1.0

GRACE = timedelta(hours=24)
"""How long the old secret works beside the new one after a rotation, where nobody says otherwise."""

LONGEST_GRACE = timedelta(days=90)

_TRIES = 8


class Keyring:
    """
    The keys of a gateway, for one event loop.

    `authenticate` and `issue_token` see the keys as of the last `refresh()`; the methods that change keys refresh.

    Attributes:
        binds: whether any key is bound to networks, so that `check_place` has something to look at.
    """

    def __init__(self, store: KeyStore, vault: Vault, *, clock: Clock | None = None) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock or SystemClock()
        self._doorkeeper = Doorkeeper(self._clock)
        self._records: tuple[KeyRecord, ...] = ()
        self.binds = False
        self._revision: int | None = None
        self._turn = asyncio.Lock()
        self._gateway = auditor("gateway", self._clock)

    @property
    def records(self) -> tuple[KeyRecord, ...]:
        """Every key as of the last refresh, revoked ones included, oldest first."""
        return self._records

    def authenticate(self, authorization: str | None) -> Caller:
        """
        Who sent an Authorization header. Neither waits nor reads the store.

        Raises:
            AuthenticationFailed: it proves nobody.
        """
        return self._doorkeeper.authenticate(authorization)

    def caller(self, api_key: str) -> Caller:
        """
        Who holds a key, for what is done in its name later.

        Raises:
            AuthenticationFailed: there is no such key, or it is expired or revoked.
        """
        return self._doorkeeper.caller(api_key)

    def issue_token(self, api_key: str, secret_key: str) -> str:
        """
        A token that is good for 30 minutes, or until its key expires.

        Raises:
            AuthenticationFailed: the two do not belong together, or the key is expired or revoked.
        """
        return self._doorkeeper.issue_token(api_key, secret_key)

    async def refresh(self) -> bool:
        """
        Read the keys again if they changed.

        Returns:
            Whether they did.
        """
        async with self._turn:
            # The revision first: a change between the two reads is then seen as one more change.
            revision = await self._store.revision()
            if revision == self._revision:
                return False
            self._take(await self._store.all())
            self._revision = revision
            return True

    async def watch(self, *, every_s: float = WATCH_EVERY_S) -> None:
        """Refresh again and again, until cancelled. While the store is away the keys stay as they were."""
        is_away = False
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except (
                Exception
            ) as error:  # whatever a store's driver raises, revocations must be seen afterwards
                if not is_away:
                    log.warning("keyring.store_away", error=type(error).__name__)
                is_away = True
            else:
                if is_away:
                    log.info("keyring.store_back")
                is_away = False

    def check_place(self, api_key: str, address: Address | None) -> None:
        """Refuse a key that is used from where it may not be. Raises `AuthenticationFailed`."""
        self._doorkeeper.check_place(api_key, address)

    async def create(
        self,
        name: str,
        *,
        models: Iterable[str] = (),
        addresses: Iterable[str] = (),
        group: str = "",
        limits: KeyLimits | None = None,
        expires_at: datetime | None = None,
        note: str = "",
        by: Auditor | None = None,
    ) -> NewKey:
        """
        Make a key. The arguments are those of `KeyTerms`.

        Args:
            by: who does it, for the audit log; None: the gateway itself.

        Raises:
            InvalidParameter: an argument is wrong, or a live key has the name.
            SetupError: the master key here is not the one that the gateway's other keys are sealed under.
        """
        now = self._clock.now()
        asked = KeyTerms(
            name=name,
            models=tuple(models),
            addresses=tuple(addresses),
            group=group,
            limits=limits,
            expires_at=expires_at,
            note=note,
        )
        terms = check_terms(asked, now)
        await self._check_master_key()
        api_key, secret = new_api_key(), new_secret()
        sealed = self._vault.seal(secret, owner=api_key)
        bare = KeyRecord(api_key=api_key, name="", sealed_secret=sealed, created_at=now)
        record = with_terms(bare, terms)
        _, after = changed(facts(bare), facts(record))
        audit = (by or self._gateway)("key.create", api_key, after=after)
        await self._store.add(record, audit=audit)
        await self.refresh()
        return new_key(record.name, api_key, secret)

    async def update(
        self, which: str, change: Callable[[KeyTerms], KeyTerms], *, by: Auditor | None = None
    ) -> KeyRecord:
        """
        Change the terms of a key.

        Args:
            which: the name of a live key, or an `api_key`.
            change: takes the terms as they are, and gives them as they shall be. It may be called again, where another
                process changes the key at the same time.
            by: as for `create`.

        Raises:
            InvalidParameter: there is no such key, it is revoked, or a term is wrong.
        """

        def with_changed_terms(record: KeyRecord) -> KeyRecord:
            _check_live(record)
            was = terms_of(record)
            return with_terms(record, check_terms(change(was), self._clock.now(), was=was))

        return await self._change(which, with_changed_terms, "key.update", by)

    async def rotate(
        self, which: str, *, grace: timedelta = GRACE, by: Auditor | None = None
    ) -> NewKey:
        """
        Give a key a new secret. The old one, and what it signed, works until the time of grace ends.

        Args:
            which: the name of a live key, or an `api_key`.
            grace: 0: the old secret stops working at once. The secret before the old one does so in any case.
            by: as for `create`.

        Raises:
            InvalidParameter: there is no such key, it is revoked, or the grace is negative or too long.
            SetupError: as for `create`.
        """
        if not timedelta() <= grace <= LONGEST_GRACE:
            raise InvalidParameter(
                f"the time of grace must be 0 to {LONGEST_GRACE.days} days", param="grace"
            )
        await self._check_master_key()
        secret = new_secret()

        def with_new_secret(record: KeyRecord) -> KeyRecord:
            _check_live(record)
            return replace(
                record,
                sealed_secret=self._vault.seal(secret, owner=record.api_key),
                previous_secret=record.sealed_secret if grace else None,
                previous_until=self._clock.now() + grace if grace else None,
            )

        record = await self._change(which, with_new_secret, "key.rotate", by)
        return new_key(record.name, record.api_key, secret)

    async def end_grace(self, which: str, *, by: Auditor | None = None) -> KeyRecord:
        """
        End the time of grace of a key's old secret at once.

        Raises:
            InvalidParameter: there is no such key, or it is revoked.
        """

        def without_old_secret(record: KeyRecord) -> KeyRecord:
            _check_live(record)
            return replace(record, previous_secret=None, previous_until=None)

        return await self._change(which, without_old_secret, "key.end_grace", by)

    async def revoke(self, which: str, *, by: Auditor | None = None) -> KeyRecord:
        """
        End a key for good; its name is free again.

        Args:
            which: the name of a live key, or an `api_key`.
            by: as for `create`.

        Raises:
            InvalidParameter: there is no such key.
        """

        def revoked(record: KeyRecord) -> KeyRecord:
            if record.revoked_at is not None:
                return record
            return replace(
                record, revoked_at=self._clock.now(), previous_secret=None, previous_until=None
            )

        return await self._change(which, revoked, "key.revoke", by)

    async def find(self, which: str) -> KeyRecord:
        """
        A key as it is in the store now.

        Args:
            which: the name of a live key, or an `api_key`.

        Raises:
            UnknownKey: there is no such key.
        """
        await self.refresh()
        for record in self._records:
            if record.api_key == which or (record.name == which and record.revoked_at is None):
                return record
        raise UnknownKey(f"there is no live key named {which!r}", param="name")

    async def _change(
        self,
        which: str,
        make: Callable[[KeyRecord], KeyRecord],
        action: str,
        by: Auditor | None,
    ) -> KeyRecord:
        """Change a key as it is now; where somebody else was faster, as that one left it."""
        for _ in range(_TRIES):
            record = await self.find(which)
            which = record.api_key  # it stays the one that was meant, whatever its name becomes
            after = make(record)
            if after == record:
                return record
            told = {"name": after.name}
            was, now = changed(facts(record), facts(after))
            audit = (by or self._gateway)(action, which, before=told | was, after=told | now)
            if await self._store.replace(which, after, audit=audit):
                await self.refresh()
                return after
        raise StoreUnavailable("the key is being changed by others again and again; try later")

    async def _check_master_key(self) -> None:
        """Refuse to seal under a key that was made by mistake, where the server has another."""
        await self.refresh()
        live = [record for record in self._records if record.revoked_at is None]
        if live and not any(self._doorkeeper.holder(record.api_key) for record in live):
            raise SetupError(
                f"the master key here opens none of the gateway's {len(live)} live keys; set {MASTER_KEY_VARIABLE} or "
                f"{MASTER_KEY_FILE} as the server has it, or, if it is lost, revoke these keys first"
            )

    def _take(self, records: tuple[KeyRecord, ...]) -> None:
        holders, shut = [], []
        for record in records:
            try:
                secret = self._secret(record)
                previous = self._previous(record)
            except SealBroken:
                shut.append(record.name)
                continue
            caller = Caller(record.api_key, record.name, record.models, record.limits, record.group)
            holders.append(Holder(record, caller, secret, previous))
        if shut:
            log.error(
                "keyring.sealed_shut",
                keys=shut,
                remedy="put back the master key that sealed them, or revoke them and make new ones",
            )
        self._records = records
        self._doorkeeper.tell(holders)
        self.binds = any(record.addresses for record in records)

    def _secret(self, record: KeyRecord) -> bytes:
        known = self._doorkeeper.holder(record.api_key)
        if known is not None and known.record.sealed_secret == record.sealed_secret:
            return known.secret
        return self._vault.open(record.sealed_secret, owner=record.api_key).encode()

    def _previous(self, record: KeyRecord) -> bytes:
        if record.previous_secret is None:
            return b""
        known = self._doorkeeper.holder(record.api_key)
        if known is not None and known.record.previous_secret == record.previous_secret:
            return known.previous
        try:
            return self._vault.open(record.previous_secret, owner=record.api_key).encode()
        except SealBroken:  # its own secret opens, and that is the one to use
            return b""


@asynccontextmanager
async def open_keyring(
    store: KeyStore,
    home: Path,
    *,
    clock: Clock | None = None,
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Keyring]:
    """
    Open the keys of a gateway. Whoever serves runs `watch()` beside it.

    Args:
        store: where the keys are kept.
        home: the gateway's data folder, for the master key.
        env: the environment; the process's own by default.

    Raises:
        SetupError: there is no usable master key.
    """
    keyring = Keyring(store, open_vault(home, env=env), clock=clock)
    await keyring.refresh()
    yield keyring


def _check_live(record: KeyRecord) -> None:
    if record.revoked_at is not None:
        raise InvalidParameter("the key is revoked; make a new one", param="name")
