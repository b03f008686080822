"""Why a document cannot be read."""

from __future__ import annotations


class UnreadableError(Exception):
    """
    A document that cannot be read.

    Args:
        reason: `encrypted`, `broken`, `unsafe` or `no_text`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
