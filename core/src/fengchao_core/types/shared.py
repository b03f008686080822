"""What the values share: the closed sets of words, and the one empty mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414  # re-exported to our own modules
else:

    def dataclass(**options: object) -> object:
        """
        As `dataclasses.dataclass`, but what is frozen is so for the type checker only.

        Python freezes by writing every field through `object.__setattr__`: a request makes some 150 fields, and that took
        a twentieth of its time. Equal values still have equal hashes.
        """
        if options.pop("frozen", False):
            options["unsafe_hash"] = True
        return dataclasses.dataclass(**options)


Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Currency = Literal["CNY", "USD"]
UsageSource = Literal["vendor", "tokenizer", "estimate", "none"]

EMPTY: Mapping[str, object] = MappingProxyType({})
"""The shared empty mapping: the default of every `extra`."""


def empty() -> Mapping[str, object]:
    """The empty mapping, as a default factory."""
    return EMPTY
