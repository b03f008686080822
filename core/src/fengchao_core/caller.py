"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """
    A caller whose credentials were checked.

    Attributes:
        key: the public half of its key: what usage is booked under.
        name: for people.
        models: the models it may use; empty: all.
    """

    key: str
    name: str
    models: tuple[str, ...] = ()


EMBEDDED = Caller("embedded", "embedded")
"""The caller of an embedded gateway: the process itself, which needs no key."""
