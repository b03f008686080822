"""How an API words its errors: what dispatch needs to know of `/aigc` and `/v1`."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fengchao_server.answers import Answer
    from fengchao_server.call import Call


class Shape(Protocol):
    """The wording of one API."""

    @property
    def failures(self) -> AbstractSet[int]:
        """Every HTTP status that a failure may be answered with, for the documentation."""
        ...

    @property
    def failure(self) -> type[BaseModel]:
        """The model of such an answer, for the documentation."""
        ...

    def refuse(self, error: Exception, call: Call) -> Answer:
        """The answer to a request that failed before its first byte."""
        ...

    def last_event(self, error: Exception, call: Call) -> bytes:
        """The server-sent events that end a stream which failed after its first byte."""
        ...
