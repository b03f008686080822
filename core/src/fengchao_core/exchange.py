"""One request under way: what was asked, sealed, and what has come of it so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fengchao_core.fold import Fold, merge_extra
from fengchao_core.types import (
    Capability,
    ChatRequest,
    Completion,
    Delta,
    Gathered,
    ModelCard,
    Money,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Span

    from fengchao_core.caller import Caller
    from fengchao_core.catalog import Entry
    from fengchao_core.files.attaching import Native
    from fengchao_core.meter import Meter
    from fengchao_core.provider import Provider
    from fengchao_core.reservation import Reservation
    from fengchao_core.retrieval import Passage
    from fengchao_core.retry import Retry
    from fengchao_core.screening import Screening


@dataclass(slots=True)
class Exchange:
    """
    What `Gateway.prepare` made and `Gateway.run` drains, once.

    Attributes:
        request_id: the caller's, or made.
        model: as the caller asked for it.
        entry: who can serve it.
        request: sealed; the deployment's own model name is put in per attempt.
        created: when it was prepared, in epoch seconds.
        passages: what the knowledge base gave.
        notes: what was adapted on the way, one sentence each.
        native: the files of the question, for deployments whose vendor reads them itself.
        needs: what a model must be able to do to take this request; a fallback that cannot is not asked.
        reservation: what it is expected to use; None where nobody asks.
        asked: the provider that was asked last.
        gathered: pages of the web and answers of other models; None where none were asked for.
    """

    request_id: str
    model: str
    caller: Caller
    entry: Entry
    request: ChatRequest
    meter: Meter
    span: Span
    screening: Screening | None = None
    retry: Retry | None = None
    passages: tuple[Passage, ...] = ()
    notes: list[str] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    started: bool = False
    needs: frozenset[Capability] = frozenset()
    native: Native | None = None
    reservation: Reservation | None = None
    asked: Provider | None = None
    gathered: Gathered | None = None

    @property
    def card(self) -> ModelCard:
        """The card of the model asked for."""
        return self.entry.card

    @property
    def provider(self) -> str:
        """Who was asked last; empty before anybody was."""
        return self.meter.provider

    @property
    def usage(self) -> Usage:
        """The usage; final when `run` has ended."""
        return self.meter.usage

    @property
    def cost(self) -> Money | None:
        """What it costs; final when `run` has ended; None where the model has no price."""
        return self.meter.cost

    def take_notes(self, batch: Sequence[Delta]) -> None:
        """Lift the notes that a provider put into its deltas."""
        for delta in batch:
            if delta.extra and isinstance(notes := delta.extra.get("notes"), list):
                self.notes.extend(str(note) for note in notes)
                delta.extra = {k: v for k, v in delta.extra.items() if k != "notes"} or None

    def complete(self, fold: Fold) -> Completion:
        """The whole answer. Raises `ProviderProtocolError` where the stream ended without one."""
        extra: dict[str, object] = {}
        merge_extra(extra, fold.extra)
        return Completion(
            request_id=self.request_id,
            model=self.model,
            provider=self.provider,
            choices=fold.choices(),
            usage=self.usage,
            created=self.created,
            cost=self.cost,
            notes=tuple(self.notes),
            extra=extra,
            gathered=self.gathered,
        )
