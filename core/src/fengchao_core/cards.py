"""Model cards, read from a plugin's `models.toml`."""

from __future__ import annotations

import tomllib
from datetime import date
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fengchao_core.errors import PluginError
from fengchao_core.prices import PriceRow
from fengchao_core.types import Capability, Kind, ModelCard


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
