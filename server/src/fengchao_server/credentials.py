"""
What a caller's key looks like, and what a caller sends to prove it.

A key is a public half (`api_key`, 32 hexadecimal digits), a secret half (`secret_key`, 43 letters and digits, about 256
bits) and, for clients that take one string only, both as `sk-<api_key>.<secret_key>`.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field

from fengchao_core.errors import AuthenticationFailed

LONGEST_HEADER = 4096

_PREFIX = "sk-"
_SCHEME = "bearer "
_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 43


@dataclass(frozen=True, slots=True)
class NewKey:
    """
    A key at the only moment when its secret can be read.

    Attributes:
        api_key: the public half.
        secret_key: the secret half.
        token: both in one string.
    """

    name: str
    api_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)


def new_api_key() -> str:
    """A public half that nobody has."""
    return secrets.token_hex(16)


def new_secret() -> str:
    """A secret half that nobody can guess."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))


def new_key(name: str, api_key: str, secret: str) -> NewKey:
    """The two halves as they are shown once."""
    return NewKey(name, api_key, secret, f"{_PREFIX}{api_key}.{secret}")


def read_header(authorization: str | None) -> str:
    """
    The credentials in an Authorization header: what follows `Bearer `, or all of it.

    Raises:
        AuthenticationFailed: there are none, or they are too long to be any.
    """
    if not authorization or not authorization.strip():
        raise AuthenticationFailed(
            "no credentials; send the header Authorization with a token, or Bearer sk-<api_key>.<secret_key>"
        )
    if len(authorization) > LONGEST_HEADER:
        raise AuthenticationFailed(
            f"the header Authorization is longer than {LONGEST_HEADER} characters"
        )
    if authorization[: len(_SCHEME)].lower() == _SCHEME:
        authorization = authorization[len(_SCHEME) :]
    return authorization.strip()


def split_key(credentials: str) -> tuple[str, str] | None:
    """The two halves of a key in one string; None where it is something else."""
    if not credentials.startswith(_PREFIX):
        return None
    api_key, _, secret = credentials.removeprefix(_PREFIX).partition(".")
    return api_key, secret
