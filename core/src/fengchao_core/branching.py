"""Further requests that one request makes on its way: whole, limited and booked each on its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

from fengchao_core.types import ChatParams, Delta, Message

if TYPE_CHECKING:
    from fengchao_core.exchange import Exchange


class Branching(Protocol):
    """What the pipeline offers to those who need a further answer in the midst of a request."""

    async def branch(
        self,
        exchange: Exchange,
        label: str,
        *,
        model: str,
        messages: tuple[Message, ...],
        params: ChatParams,
    ) -> Exchange:
        """
        Prepare a further request.

        Args:
            label: ends the id of its usage row, which begins with that of the exchange's row.
            messages: checked and screened already.

        Raises:
            CallError: the caller may not ask this model.
        """
        ...

    def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Delta], None]:
        """Ask, as `Gateway.run`."""
        ...
