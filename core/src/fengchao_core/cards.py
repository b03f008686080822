"""Model cards and prices, read from a plugin's `models.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fengchao_core.errors import PluginError
from fengchao_core.types import Capability, Currency, Kind, ModelCard, Price, PriceTier


class TierRow(BaseModel):
    """A step of a price for long inputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    above_tokens: int = Field(ge=1)
    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)


class PriceRow(BaseModel):
    """A dated price per 1,000 tokens. Figures are text in TOML, so that they stay exact."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached_input: Decimal | None = Field(default=None, ge=0)
    per_image: Decimal | None = Field(default=None, ge=0)
    currency: Currency
    since: date
    source: str = Field(min_length=1)
    confirmed: bool = True
    tiers: tuple[TierRow, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _exact(cls, row: Any) -> Any:
        if isinstance(row, Mapping):
            for key in ("input", "output", "cached_input", "per_image"):
                if isinstance(row.get(key), float):
                    raise ValueError(  # noqa: TRY004  # pydantic reports a ValueError
                        f"'{key}' must be quoted, so that it stays exact: \"{row[key]}\""
                    )
        return row

    def price(self) -> Price:
        """As the pipeline takes it."""
        tiers = sorted(self.tiers, key=lambda tier: tier.above_tokens)
        return Price(
            input=self.input,
            output=self.output,
            cached_input=self.cached_input,
            per_image=self.per_image,
            currency=self.currency,
            since=self.since,
            source=self.source,
            confirmed=self.confirmed,
            tiers=tuple(
                PriceTier(t.above_tokens, t.input, t.output, t.cached_input) for t in tiers
            ),
        )


class CardRow(BaseModel):
    """A model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    owned_by: str
    kind: Kind = "chat"
    upstream_id: str = ""
    max_input_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    capabilities: frozenset[Capability] = frozenset()
    is_local: bool = False
    aliases: tuple[str, ...] = ()
    created: date | None = None
    prices: tuple[PriceRow, ...] = ()

    def card(self) -> ModelCard:
        """As the pipeline takes it."""
        return ModelCard(
            id=self.id,
            owned_by=self.owned_by,
            kind=self.kind,
            upstream_id=self.upstream_id or self.id,
            max_input_tokens=self.max_input_tokens,
            max_output_tokens=self.max_output_tokens,
            prices=tuple(row.price() for row in self.prices),
            capabilities=self.capabilities,
            is_local=self.is_local,
            aliases=self.aliases,
            created=self.created,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    models: tuple[CardRow, ...]


def load_cards(package: str, resource: str = "models.toml") -> tuple[ModelCard, ...]:
    """
    The cards of a plugin.

    Args:
        package: the import name of the plugin.
        resource: a TOML file in it: `[[models]]` with the fields of `ModelCard`, each with `[[models.prices]]` whose
            figures are text, per 1,000 tokens.

    Raises:
        PluginError: the file is missing or wrong.
    """
    try:
        tree = tomllib.loads((files(package) / resource).read_text(encoding="utf-8"))
        return tuple(row.card() for row in _File.model_validate(tree).models)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise PluginError(
            f"{package}: {resource} is not a valid list of model cards: {error}"
        ) from error


def read_prices(rows: tuple[dict[str, Any], ...]) -> tuple[Price, ...]:
    """Prices out of an operator's settings. Raises `ValidationError`."""
    return tuple(PriceRow.model_validate(row).price() for row in rows)
