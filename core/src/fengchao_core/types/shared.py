"""What the values share: the closed sets of words, and the one empty mapping."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Currency = Literal["CNY", "USD"]
UsageSource = Literal["vendor", "tokenizer", "estimate", "none"]

EMPTY: Mapping[str, object] = MappingProxyType({})
"""The shared empty mapping: the default of every `extra`."""


def empty() -> Mapping[str, object]:
    """The empty mapping, as a default factory."""
    return EMPTY
