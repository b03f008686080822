"""
The callers' keys: made, rotated and revoked in the store, known in memory.

Callers are checked by a `Doorkeeper`, which is told the keys whenever they changed. What another process changes is seen
within about a second by `watch()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from fengchao_core.caller import Caller
from fengchao_core.clock import Clock, SystemClock
from fengchao_core.errors import InvalidParameter, SetupError
from fengchao_core.store import KeyRecord, KeyStore
from fengchao_server.credentials import NewKey, new_api_key, new_key, new_secret
from fengchao_server.doorkeeper import Doorkeeper, Holder
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

_LONGEST_NAME = 64
_LONGEST_NOTE = 1000


class Keyring:
    """
    The keys of a gateway, for one event loop.

    `authenticate` and `issue_token` see the keys as of the last `refresh()`; the methods that change keys refresh.
    """

    def __init__(self, store: KeyStore, vault: Vault, *, clock: Clock | None = None) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock or SystemClock()
        self._doorkeeper = Doorkeeper(self._clock)
        self._records: tuple[KeyRecord, ...] = ()
        self._revision: int | None = None
        self._turn = asyncio.Lock()

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

    async def create(
        self,
        name: str,
        *,
        models: Iterable[str] = (),
        expires_at: datetime | None = None,
        note: str = "",
    ) -> NewKey:
        """
        Make a key.

        Args:
            name: who it is for; unique among live keys.
            models: the models it may use, by the ids that are listed; none given: all.
            expires_at: aware; when it stops working.

        Raises:
            InvalidParameter: an argument is wrong, or a live key has the name.
            SetupError: the master key here is not the one that the gateway's other keys are sealed under.
        """
        now = self._clock.now()
        name = name.strip()
        models = tuple(dict.fromkeys(model.strip() for model in models))
        _check_new(name, models, expires_at, note, now)
        await self._check_master_key()
        api_key, secret = new_api_key(), new_secret()
        await self._store.add(
            KeyRecord(
                api_key=api_key,
                name=name,
                sealed_secret=self._vault.seal(secret, owner=api_key),
                created_at=now,
                expires_at=expires_at,
                models=models,
                note=note,
            )
        )
        await self.refresh()
        return new_key(name, api_key, secret)

    async def rotate(self, which: str) -> NewKey:
        """
        Give a key a new secret. What the old one signed stops working.

        Args:
            which: the name of a live key, or an `api_key`.

        Raises:
            InvalidParameter: there is no such key, or it is revoked.
            SetupError: as for `create`.
        """
        record = await self._find(which)
        if record.revoked_at is not None:
            raise InvalidParameter("the key is revoked; make a new one", param="name")
        await self._check_master_key()
        secret = new_secret()
        sealed = self._vault.seal(secret, owner=record.api_key)
        await self._store.replace(record.api_key, replace(record, sealed_secret=sealed))
        await self.refresh()
        return new_key(record.name, record.api_key, secret)

    async def revoke(self, which: str) -> KeyRecord:
        """
        End a key for good; its name is free again.

        Args:
            which: the name of a live key, or an `api_key`.

        Raises:
            InvalidParameter: there is no such key.
        """
        record = await self._find(which)
        if record.revoked_at is None:
            record = replace(record, revoked_at=self._clock.now())
            await self._store.replace(record.api_key, record)
            await self.refresh()
        return record

    async def _find(self, which: str) -> KeyRecord:
        await self.refresh()
        for record in self._records:
            if record.api_key == which or (record.name == which and record.revoked_at is None):
                return record
        raise InvalidParameter(f"there is no live key named {which!r}", param="name")

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
            except SealBroken:
                shut.append(record.name)
                continue
            caller = Caller(record.api_key, record.name, record.models)
            holders.append(Holder(record, caller, secret))
        if shut:
            log.error(
                "keyring.sealed_shut",
                keys=shut,
                remedy="put back the master key that sealed them, or revoke them and make new ones",
            )
        self._records = records
        self._doorkeeper.tell(holders)

    def _secret(self, record: KeyRecord) -> bytes:
        known = self._doorkeeper.holder(record.api_key)
        if known is not None and known.record.sealed_secret == record.sealed_secret:
            return known.secret
        return self._vault.open(record.sealed_secret, owner=record.api_key).encode()


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


def _check_new(
    name: str, models: tuple[str, ...], expires_at: datetime | None, note: str, now: datetime
) -> None:
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidParameter(
            f"a key needs a name of 1 to {_LONGEST_NAME} printable characters", param="name"
        )
    if any(not model or not model.isprintable() for model in models):
        raise InvalidParameter("a model's name is blank or not printable", param="models")
    if expires_at is not None and (expires_at.utcoffset() is None or expires_at <= now):
        raise InvalidParameter(
            "a key must expire in the future, at an instant with a time zone", param="expires_at"
        )
    if len(note) > _LONGEST_NOTE or not note.replace("\n", "").isprintable():
        raise InvalidParameter(
            f"a note has at most {_LONGEST_NOTE} printable characters", param="note"
        )
