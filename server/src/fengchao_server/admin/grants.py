"""What is given out: 256 random bits, of which the store keeps a digest only."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

from fengchao_core.store import GrantKind, GrantRecord, Role

TOKEN_PREFIX: Final = "fca-"  # noqa: S105  # how a token for scripts begins


def new_grant(
    kind: GrantKind,
    operator: str,
    role: Role,
    now: datetime,
    lifetime_s: float | None,
    *,
    label: str = "",
) -> tuple[str, GrantRecord]:
    """What to give out, and what to keep of it."""
    token = (TOKEN_PREFIX if kind == "token" else "") + secrets.token_urlsafe(32)
    return token, GrantRecord(
        digest=digest(token),
        kind=kind,
        operator=operator,
        role=role,
        label=label,
        created_at=now,
        expires_at=None if lifetime_s is None else now + timedelta(seconds=lifetime_s),
    )


def digest(token: str) -> str:
    """What is kept of something. It is looked up by it, so that how long that takes tells nothing of the thing."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def is_live(grant: GrantRecord, now: datetime) -> bool:
    """Whether a grant has not expired."""
    return grant.expires_at is None or grant.expires_at > now
