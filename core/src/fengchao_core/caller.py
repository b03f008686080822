"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass

from fengchao_core.limits import KeyLimits


@dataclass(frozen=True, slots=True)
class Caller:
    """
    A caller whose credentials were checked.

    Attributes:
        key: the public half of its key: what usage is booked under.
        name: for people.
        models: the models it may use; empty: all.
        limits: what it may use in a time; None: as much as it likes.
        group: the group of keys that it shares further limits with (`[groups.<name>]`); empty: none.
    """

    key: str
    name: str
    models: tuple[str, ...] = ()
    limits: KeyLimits | None = None
    group: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether anything may limit it."""
        return self.limits is not None or self.group != ""


EMBEDDED = Caller("embedded", "embedded")
"""The caller of an embedded gateway: the process itself, which needs no key."""
