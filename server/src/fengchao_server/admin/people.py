"""Who signed in, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from fengchao_core.store import GrantRecord, Role


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
