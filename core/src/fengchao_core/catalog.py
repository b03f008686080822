"""
Which models can be asked, and who serves them.

A name is an id or an alias, exactly. The cards come from the plugins, changed by the operator's `[models."…"]` sections;
an endpoint that no card describes (any OpenAI-compatible one) is asked which models it serves, when somebody first asks
for a name that nobody knows.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from pydantic import ValidationError

from fengchao_core.errors import ProviderError, SettingsError, UnknownModel
from fengchao_core.logs import Log
from fengchao_core.prices import read_prices
from fengchao_core.problems import explain
from fengchao_core.provider import ListsModels, Provider
from fengchao_core.routing import Breaker, Deployment
from fengchao_core.settings import ModelSettings, RoutingSettings
from fengchao_core.types import Capability, ModelCard

log = Log()

_DISCOVERY_PAUSE_S = 30.0


@dataclass(slots=True)
class Entry:
    """A model: its card for callers, who serves it, and what to ask when it fails."""

    card: ModelCard
    deployments: list[Deployment] = field(default_factory=list)
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenProvider:
    """
    A provider the gateway opened.

    Attributes:
        cards: the models it is known to serve.
        discovers: whether its endpoint is asked for further ones.
        weight: its share among the credentials of one provider.
    """

    name: str
    title: str
    provider: Provider
    cards: tuple[ModelCard, ...]
    discovers: bool = False
    weight: int = 1


class Catalog:
    """
    The models by name.

    Args:
        providers: in the order of the settings: the first that serves a model describes it.
        overrides: the operator's `[models]`.
        now: a monotonic clock for breakers and discovery.
    """

    def __init__(
        self,
        providers: Iterable[OpenProvider],
        overrides: Mapping[str, ModelSettings],
        routing: RoutingSettings,
        now: Callable[[], float],
    ) -> None:
        self._routing = routing
        self._now = now
        self._overrides = overrides
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, Entry] = {}
        self._discovering: list[OpenProvider] = []
        self._discovered_at: float | None = None
        self._discovery = asyncio.Lock()
        for provider in providers:
            for card in provider.cards:
                self._add(provider, card)
            if provider.discovers:
                self._discovering.append(provider)
        self._check_overrides()

    def cards(self) -> tuple[ModelCard, ...]:
        """Every model known now, in the order of the settings."""
        return tuple(entry.card for entry in self._entries.values())

    def entries(self) -> tuple[Entry, ...]:
        """Every model known now, with who serves it."""
        return tuple(self._entries.values())

    def canonical(self, model: str) -> str:
        """The id of a model by any name of it; a name that nobody has stays as it is."""
        entry = self.get(model)
        return entry.card.id if entry is not None else model

    def get(self, name: str) -> Entry | None:
        """The model of this id or alias, without I/O."""
        return self._names.get(name)

    async def find(self, name: str) -> Entry:
        """
        The model of this id or alias; endpoints without cards are asked where nobody knows it.

        Raises:
            UnknownModel: nobody serves it.
        """
        entry = self._names.get(name)
        if entry is None:
            await self.discover()
            entry = self._names.get(name)
        if entry is None:
            near = difflib.get_close_matches(name[:200], self._names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownModel(f"no configured provider serves this model{hint}", param="model")
        return entry

    async def discover(self) -> None:
        """Ask the endpoints that have no cards which models they serve; at most once in a while."""
        if not self._discovering:
            return
        async with self._discovery:
            if (
                self._discovered_at is not None
                and self._now() < self._discovered_at + _DISCOVERY_PAUSE_S
            ):
                return
            for provider in self._discovering:
                try:
                    ids = await cast("ListsModels", provider.provider).list_models()
                except ProviderError as error:
                    log.warning(
                        "catalog.discovery_failed",
                        provider=provider.name,
                        error=type(error).__name__,
                    )
                    continue
                for model in ids:
                    if not self._serves(provider, model):
                        self._add(provider, plain_card(model, provider.title))
            self._discovered_at = self._now()

    def _serves(self, provider: OpenProvider, model: str) -> bool:
        entry = self._names.get(model)
        return entry is not None and any(d.provider is provider.provider for d in entry.deployments)

    def _add(self, provider: OpenProvider, card: ModelCard) -> None:
        entry = self._entries.get(card.id)
        if entry is None:
            override = self._overrides.get(card.id)
            shown = override_card(card, override) if override else card
            entry = Entry(shown, fallbacks=override.fallbacks if override else ())
            self._entries[card.id] = entry
            for name in (card.id, *shown.aliases):
                self._names.setdefault(name, entry)
            self._names[card.id] = entry
        entry.deployments.append(
            Deployment(
                provider.name,
                provider.provider,
                replace(entry.card, upstream_id=card.upstream_id or card.id),
                Breaker(self._routing, self._now),
                provider.weight,
            )
        )

    def _check_overrides(self) -> None:
        """An override of a model that nobody serves is a typing mistake, unless an endpoint may still bring it."""
        if self._discovering:
            return
        problems = []
        for model, override in self._overrides.items():
            wanted = (
                (model, f"[models.{model!r}]"),
                *((f, f"a fallback of {model!r}") for f in override.fallbacks),
            )
            for name, what in wanted:
                if name not in self._names:
                    near = difflib.get_close_matches(name, self._names, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else ""
                    problems.append(f"settings: {what} is no model of a configured provider{hint}")
        if problems:
            raise SettingsError(*problems)


def plain_card(model: str, owner: str, *, upstream_id: str = "") -> ModelCard:
    """A card for a model of which nothing is known but its name."""
    return ModelCard(id=model, owned_by=owner, upstream_id=upstream_id or model, is_known=False)


def override_card(card: ModelCard, override: ModelSettings) -> ModelCard:
    """
    A card with an operator's changes.

    Raises:
        SettingsError: the prices are wrong.
    """
    if override.owned_by is not None:
        card = replace(card, owned_by=override.owned_by)
    if override.is_local is not None:
        card = replace(card, is_local=override.is_local)
    if override.aliases is not None:
        card = replace(card, aliases=override.aliases)
    if override.max_input_tokens is not None:
        card = replace(card, max_input_tokens=override.max_input_tokens)
    if override.max_output_tokens is not None:
        card = replace(card, max_output_tokens=override.max_output_tokens)
    if override.capabilities is not None:
        known = cast("frozenset[Capability]", frozenset(override.capabilities))
        card = replace(card, capabilities=known, is_known=True)
    if override.prices is not None:
        try:
            prices = read_prices(override.prices, known=card.prices)
        except ValidationError as error:
            raise SettingsError(
                *explain(error, None, where="settings", section=f"models.{card.id}.prices")
            ) from error
        except ValueError as error:
            raise SettingsError(f"settings: [models.{card.id}.prices]: {error}") from error
        card = replace(card, prices=prices)
    return card
