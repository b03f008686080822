"""
Sealing secrets under a master key that the database does not hold.

AES-256-GCM. A sealed secret is

    version (1 byte) | key id (4) | nonce (12) | ciphertext and tag

and is bound to what it belongs to, so that one record's secret cannot be moved into another. There may be several master
keys: the first seals, all of them open, so that a new one can be put in front and the old one taken away later.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fengchao_core.errors import FengChaoError, SetupError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY_VARIABLE = "FENGCHAO_MASTER_KEY"
MASTER_KEY_FILE = "master.key"

_KEY_BYTES = 32
_VERSION = b"\x01"
_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_VERSION) + _ID_BYTES
_URL_SAFE = str.maketrans("-_", "+/")
_SHORTEST = _HEAD_BYTES + _NONCE_BYTES + 16


class SealBroken(FengChaoError):
    """A sealed secret does not open: another master key sealed it, it belongs elsewhere, or it was changed."""


class Vault:
    """
    Seals and opens secrets. Shows none of its keys.

    Args:
        keys: master keys of 32 bytes each; the first seals, all open.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        # Imported here: the command line reads this module for commands that have no secrets.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise ValueError("a vault needs master keys of 32 bytes")
        self._ciphers: dict[bytes, AESGCM] = {_key_id(key): AESGCM(key) for key in keys}
        self._sealing = _key_id(keys[0])

    def seal(self, secret: str, *, owner: str) -> bytes:
        """
        Seal a secret.

        Args:
            owner: what the secret belongs to; it opens only for the same.
        """
        head = _VERSION + self._sealing
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._sealing].encrypt(nonce, secret.encode(), _bound(head, owner))
        return head + nonce + sealed

    def open(self, sealed: bytes, *, owner: str) -> str:
        """
        Open a sealed secret.

        Raises:
            SealBroken: it does not open with these keys for this owner.
        """
        from cryptography.exceptions import InvalidTag

        head, body = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if len(sealed) < _SHORTEST or head[:1] != _VERSION:
            raise SealBroken("the sealed secret has a form that this version does not know")
        cipher = self._ciphers.get(head[1:])
        if cipher is None:
            raise SealBroken("the secret was sealed under a master key that is not here")
        try:
            opened = cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _bound(head, owner))
        except InvalidTag as error:
            raise SealBroken("the sealed secret was changed, or belongs to another key") from error
        return opened.decode()


def open_vault(home: Path, *, env: Mapping[str, str] | None = None) -> Vault:
    """
    The vault of a gateway.

    Its master keys are those of the environment's `FENGCHAO_MASTER_KEY` (base64, several separated by commas), else those
    of the file `master.key` in `home` (one a line). The file is made where neither is there. Processes that start at
    once end up with the same one.

    Args:
        home: the gateway's data folder.
        env: the environment; the process's own by default.

    Raises:
        SetupError: a key is no key, or the file can be read by others or not at all.
    """
    env = os.environ if env is None else env
    if text := env.get(MASTER_KEY_VARIABLE, "").strip():
        return Vault(_decode(text.split(","), where=MASTER_KEY_VARIABLE))
    path = home / MASTER_KEY_FILE
    try:
        if not path.exists():
            _make(path)
        return Vault(_decode(_read(path).splitlines(), where=str(path)))
    except OSError as error:
        raise SetupError(
            f"the master key {path} cannot be kept or read: {error.strerror or type(error).__name__}; give this "
            f"user the right to, or set {MASTER_KEY_VARIABLE} to 32 bytes in base64"
        ) from error


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"fengchao master key id\0" + key).digest()[:_ID_BYTES]


def _bound(head: bytes, owner: str) -> bytes:
    return head + b"fengchao api key\0" + owner.encode()


def _decode(texts: Sequence[str], *, where: str) -> list[bytes]:
    keys = []
    for text in filter(None, map(str.strip, texts)):
        try:
            plain = text.rstrip("=").translate(_URL_SAFE)
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            # The text is not repeated: it may be nearly the key.
            raise SetupError(
                f"{where} holds something that is no master key; expected 32 bytes in base64 "
                "(44 characters), as from: openssl rand -base64 32"
            )
        keys.append(key)
    if not keys:
        raise SetupError(
            f"{where} holds no master key; put back the one that sealed this gateway's keys, or remove "
            "it and make new keys for every caller"
        )
    return keys


def _make(path: Path) -> None:
    """Make the file whole or not at all: nobody may ever read half a key, or put a second one in its place."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first; its key is the one
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise SetupError(
                f"the master key {path} can be read by others (mode {stat.S_IMODE(mode):o}); run: chmod 600 {path}"
            )
        return file.read(65536).decode("ascii", "replace")
