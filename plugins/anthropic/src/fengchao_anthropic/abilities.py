"""
What the generations of Claude can and cannot, by the model's name.

Sources: the fact sheet of autumn 2026 for the fifth generation and claude-haiku-4-5; for the models between claude-3
and those, the vendor's model pages as they were when each came out, not confirmed since. See the README.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Thinking = Literal["none", "budget", "adaptive", "always"]
"""`budget`: takes `enabled` with a budget; `adaptive`: decides itself, and can be told not to; `always`: cannot."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """
    What a model takes.

    Attributes:
        sampling: temperature, top_p and top_k other than the defaults.
        one_sampler: temperature or top_p, not both.
        thinking: how it can be told to think.
        schemas: answers after a JSON schema, by `output_config.format`.
    """

    sampling: bool
    thinking: Thinking
    schemas: bool = True
    one_sampler: bool = False


_FIRST = Abilities(sampling=True, thinking="none", schemas=False)
_BUDGET = Abilities(sampling=True, thinking="budget", schemas=False)
_BUDGET_AND_SCHEMAS = Abilities(sampling=True, thinking="budget", one_sampler=True)
_ADAPTIVE_AND_SAMPLING = Abilities(sampling=True, thinking="adaptive", one_sampler=True)
_ADAPTIVE = Abilities(sampling=False, thinking="adaptive")
_ALWAYS = Abilities(sampling=False, thinking="always")

# The first match counts.
_BY_PREFIX: tuple[tuple[str, Abilities], ...] = (
    ("claude-3-7", _BUDGET),
    ("claude-3", _FIRST),
    ("claude-2", _FIRST),
    ("claude-instant", _FIRST),
    ("claude-opus-4-1", _BUDGET_AND_SCHEMAS),
    ("claude-opus-4-5", _BUDGET_AND_SCHEMAS),
    ("claude-sonnet-4-5", _BUDGET_AND_SCHEMAS),
    ("claude-haiku-4-5", _BUDGET_AND_SCHEMAS),
    ("claude-opus-4-6", _ADAPTIVE_AND_SAMPLING),
    ("claude-sonnet-4-6", _ADAPTIVE_AND_SAMPLING),
    ("claude-opus-4-7", _ADAPTIVE),
    ("claude-opus-4-8", _ADAPTIVE),
    ("claude-opus-4", _BUDGET),
    ("claude-sonnet-4", _BUDGET),
    ("claude-fable", _ALWAYS),
    ("claude-mythos", _ALWAYS),
    ("claude-opus-5-5", _ALWAYS),
)


def abilities_of(model: str) -> Abilities:
    """
    The abilities of a model; those of the newest generation where the name is not known.

    Args:
        model: the vendor's name of it, maybe with something before it, as resellers have it.
    """
    name = model[max(model.rfind("claude-"), 0) :]
    return next((able for prefix, able in _BY_PREFIX if name.startswith(prefix)), _ADAPTIVE)
