"""Who signed in, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypedDict

from fengchao_core.store import GrantRecord, Role
from fengchao_server.refusals import Invalid

LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Operator:
    """
    Somebody who signed in.

    Attributes:
        role: what this way of signing in allows.
        grant: what let it in.
    """

    name: str
    role: Role
    grant: GrantRecord

    @property
    def actor(self) -> str:
        """How the audit log names it."""
        if self.grant.kind == "token":
            return f"token:{self.name}/{self.grant.label}"
        return f"operator:{self.name}"


class TokenFacts(TypedDict):
    """A token for scripts, as it is shown: not the token itself."""

    label: str
    role: Role
    created_at: str
    expires_at: str | None


class Person(TypedDict):
    """An operator, as it is shown."""

    name: str
    role: Role
    created_at: str
    tokens: list[TokenFacts]


def check_name(name: str, *, param: str = "name") -> str:
    """
    The name of an operator or a token, trimmed.

    Raises:
        Invalid: it is empty, long, or holds something that would look like another name in a list or a log.
    """
    name = name.strip()
    if not is_name(name):
        raise Invalid(
            f"a name has 1 to {LONGEST_NAME} letters, digits and . _ - @",
            msg=f"名字应为 1 到 {LONGEST_NAME} 个字母、数字或 . _ - @",
            param=param,
        )
    return name


def is_name(name: str) -> bool:
    """Whether somebody may be called so."""
    return 1 <= len(name) <= LONGEST_NAME and all(ch.isalnum() or ch in "._-@" for ch in name)
