"""
Passwords: argon2id, outside the event loop, a few at a time.

One hash takes tens of milliseconds and 64 MiB on purpose, so a crowd that tries passwords must neither stop the loop nor
fill the memory: more than a few wait, and more than may wait are refused.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from fengchao_server.refusals import Invalid, TooManyAttempts

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

SHORTEST: Final = 10
LONGEST: Final = 256

_AT_ONCE: Final = 2
_WAITING: Final = 16
_RETRY_S: Final = 2.0


class Passwords:
    """Hashes and checks passwords, for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A password's hash, with its parameters and salt."""
        return await self._apart(lambda: self._hasher.hash(_normal(password)))

    async def check(self, hashed: str | None, password: str) -> bool:
        """
        Whether this is the password. Takes as long for an operator that is not there.

        Args:
            hashed: as `hash` gave it; None: there is no such operator.

        Raises:
            TooManyAttempts: too many others are being checked.
        """
        return await self._apart(lambda: self._check(hashed, _normal(password)))

    def _check(self, hashed: str | None, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        stand_in = self._nobodys  # made in either case, or the first unknown name would take longer
        try:
            self._hasher.verify(stand_in if hashed is None else hashed, password)
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None

    async def _apart(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING:
            raise TooManyAttempts(_RETRY_S)
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody")

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher

        return PasswordHasher()


def check_new(password: str, name: str) -> None:
    """
    Refuse a password that is too easy to guess. Length is what counts.

    Raises:
        Invalid: it is too short, too long, the name itself, or one character again and again.
    """
    plain = _normal(password)
    if not SHORTEST <= len(plain) <= LONGEST:
        raise Invalid(
            f"a password has {SHORTEST} to {LONGEST} characters",
            msg=f"口令应有 {SHORTEST} 到 {LONGEST} 个字符",
            param="password",
        )
    if plain.casefold() == name.casefold() or len(set(plain)) < 4:
        raise Invalid("the password is too easy to guess", msg="口令太容易猜到", param="password")


def _normal(password: str) -> str:
    """Keyboards differ in how they compose a character; the password is the same."""
    return unicodedata.normalize("NFC", password)
