"""What an operator sets of a key: who it is for, and what it may do, from where and how long."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network
from typing import Final

from fengchao_core.errors import InvalidParameter
from fengchao_core.limits import KeyLimits
from fengchao_core.store import KeyRecord

LONGEST_NAME: Final = 64
LONGEST_NOTE: Final = 1000
MOST_MODELS: Final = 1000
MOST_ADDRESSES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """
    The terms of a key.

    Attributes:
        name: who it is for; unique among live keys.
        models: the models it may use, by the ids that are listed; empty: all.
        addresses: the networks it may be used from, as `10.0.0.0/8` or `192.0.2.7`; empty: from everywhere.
        group: the group whose limits it shares; empty: none.
        limits: what it may use in a time; None: as much as it likes.
        expires_at: aware; when it stops working; None: never.
    """

    name: str
    models: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    group: str = ""
    limits: KeyLimits | None = None
    expires_at: datetime | None = None
    note: str = ""


def terms_of(record: KeyRecord) -> KeyTerms:
    """The terms of a key that is there."""
    return KeyTerms(
        name=record.name,
        models=record.models,
        addresses=record.addresses,
        group=record.group,
        limits=record.limits,
        expires_at=record.expires_at,
        note=record.note,
    )


def with_terms(record: KeyRecord, terms: KeyTerms) -> KeyRecord:
    """A key with these terms."""
    return replace(
        record,
        name=terms.name,
        models=terms.models,
        addresses=terms.addresses,
        group=terms.group,
        limits=terms.limits,
        expires_at=terms.expires_at,
        note=terms.note,
    )


def check_terms(terms: KeyTerms, now: datetime, *, was: KeyTerms | None = None) -> KeyTerms:
    """
    The terms as they are kept: trimmed, without doubles, networks written as networks.

    Args:
        was: the terms before, where the key is there already: it may have expired before now.

    Raises:
        InvalidParameter: one of them cannot be; `param` says which.
    """
    name = terms.name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidParameter(
            f"a key needs a name of 1 to {LONGEST_NAME} printable characters", param="name"
        )
    models = tuple(dict.fromkeys(model.strip() for model in terms.models))
    if len(models) > MOST_MODELS or any(not m or not m.isprintable() for m in models):
        raise InvalidParameter("a model's name is blank or not printable", param="models")
    addresses = tuple(dict.fromkeys(map(_network, terms.addresses)))
    if len(addresses) > MOST_ADDRESSES:
        raise InvalidParameter(
            f"a key has at most {MOST_ADDRESSES} addresses; name networks", param="addresses"
        )
    group = terms.group.strip()
    if len(group) > LONGEST_NAME or not group.isprintable():
        raise InvalidParameter(
            f"a group's name has at most {LONGEST_NAME} printable characters", param="group"
        )
    expires = terms.expires_at
    is_old = was is not None and was.expires_at == expires
    if expires is not None and not is_old and (expires.utcoffset() is None or expires <= now):
        raise InvalidParameter(
            "a key must expire in the future, at an instant with a time zone", param="expires_at"
        )
    if len(terms.note) > LONGEST_NOTE or not terms.note.replace("\n", "").isprintable():
        raise InvalidParameter(
            f"a note has at most {LONGEST_NOTE} printable characters", param="note"
        )
    limits = terms.limits or None  # limits that limit nothing are none
    return replace(terms, name=name, models=models, addresses=addresses, group=group, limits=limits)


def check_group(group: str, known: Container[str]) -> None:
    """
    Refuse a group that settings do not have: a slip of the pen would leave a key without the limits it was to share.

    Raises:
        InvalidParameter: there is no such group.
    """
    if group.strip() and group.strip() not in known:
        raise InvalidParameter(
            f"settings have no group {group.strip()[:LONGEST_NAME]!r}; add [groups.<name>], which may be empty",
            param="group",
        )


def facts(record: KeyRecord) -> dict[str, object]:
    """A key for people and programs, in JSON's own types: everything but its secrets."""
    return {
        "name": record.name,
        "api_key": record.api_key,
        "created_at": _text(record.created_at),
        "expires_at": _text(record.expires_at),
        "revoked_at": _text(record.revoked_at),
        "old_secret_until": _text(record.previous_until) if record.previous_secret else None,
        "models": list(record.models),
        "addresses": list(record.addresses),
        "group": record.group,
        "limits": record.limits.to_json() if record.limits else {},
        "note": record.note,
    }


def state_of(record: KeyRecord, now: datetime) -> str:
    """`live`, `expired` or `revoked`."""
    if record.revoked_at is not None:
        return "revoked"
    is_over = record.expires_at is not None and record.expires_at <= now
    return "expired" if is_over else "live"


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError as error:
        raise InvalidParameter(
            f"an address must be like 192.0.2.7 or 10.0.0.0/8: {error}", param="addresses"
        ) from None


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
