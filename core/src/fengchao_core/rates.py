"""What is left of a caller's rates: told with good answers and with refusals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RatesLeft:
    """
    What is left of a caller's rates, of the scarcest where several hold; None: not limited.

    Attributes:
        requests_reset_s: seconds until the whole limit is free again.
        tokens_reset_s: likewise.
    """

    requests_limit: int | None = None
    requests_remaining: int = 0
    requests_reset_s: float = 0.0
    tokens_limit: int | None = None
    tokens_remaining: int = 0
    tokens_reset_s: float = 0.0
