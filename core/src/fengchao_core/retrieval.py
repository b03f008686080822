"""What a knowledge base is to the pipeline: a question goes in, passages come out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Passage:
    """
    A piece of a document.

    Attributes:
        distance: 0 is the same; about 1100 is unrelated. The product's `threshold` is compared with it.
        source: the document's name.
    """

    text: str
    distance: float
    source: str


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A knowledge base as callers see it in the list."""

    id: str
    description: str
    created: datetime


class Retriever(Protocol):
    """Finds passages."""

    def bases(self) -> tuple[KnowledgeBase, ...]:
        """The knowledge bases it answers for, without I/O."""
        ...

    async def retrieve(
        self, base: str, query: str, *, top_k: int, threshold: float
    ) -> tuple[Passage, ...]:
        """
        The nearest passages, nearest first.

        Args:
            top_k: how many at most.
            threshold: largest distance; 0 means no threshold.
        """
        ...


@dataclass(frozen=True, slots=True)
class RetrieverSpec:
    """A retriever as a plugin describes it; `open` takes its settings section."""

    name: str
    settings: type[BaseModel]
    open: Callable[[Any], AbstractAsyncContextManager[Retriever]]
