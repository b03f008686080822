"""
Presets: vendors that speak this plugin's dialect, as kinds of their own that need only a key.

A preset is a row of `presets.toml`. It becomes a `ProviderSpec` whose settings are `OpenAISettings` with other defaults,
so that a section may still change each of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from importlib.resources import files
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from fengchao_core.cards import CardRow
from fengchao_core.errors import PluginError
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec
from fengchao_openai.settings import OpenAISettings


class Preset(BaseModel):
    """
    A vendor whose interface differs from OpenAI's by settings alone.

    Attributes:
        kind: its name in the settings.
        title: its name for people.
        env: the environment variable its key usually stands in; empty where it has no keys of its own.
        docs: where the vendor describes its interface.
        read: the month in which that was read; empty where nobody could confirm it.
        settings: the fields of `OpenAISettings` that differ. Without a `base_url` each section has to give one.
        models: those that the vendor's documentation names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(min_length=1)
    title: str
    env: str = ""
    docs: str
    read: str = Field(default="", pattern=r"^(\d{4}-\d{2})?$")
    settings: OpenAISettings
    models: tuple[CardRow, ...] = ()

    def settings_class(self) -> type[OpenAISettings]:
        """`OpenAISettings` with the preset's defaults."""
        known = OpenAISettings.model_fields
        fields: dict[str, Any] = {
            name: (known[name].annotation, getattr(self.settings, name))
            for name in self.settings.model_fields_set
        }
        fields.setdefault("base_url", (str, ...))
        made = create_model(
            f"{self.kind.capitalize()}Settings",
            __base__=OpenAISettings,
            __module__=__name__,
            __doc__=f"The settings of `[providers.{self.kind}]`: OpenAI's, with other defaults.",
            **fields,
        )
        return cast("type[OpenAISettings]", made)

    def spec(
        self, opener: Callable[[Any, ProviderContext], AbstractAsyncContextManager[Provider]]
    ) -> ProviderSpec:
        """As the gateway takes it; `opener` opens OpenAI's own provider."""
        return ProviderSpec(
            name=self.kind,
            title=self.title,
            settings=self.settings_class(),
            cards=lambda: tuple(row.card() for row in self.models),
            open=opener,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    presets: tuple[Preset, ...]


@cache
def load_presets() -> tuple[Preset, ...]:
    """
    The presets of `presets.toml`, in its order.

    Raises:
        PluginError: the file is missing or wrong.
    """
    try:
        text = (files("fengchao_openai") / "presets.toml").read_text(encoding="utf-8")
        return _File.model_validate(tomllib.loads(text)).presets
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise PluginError(
            f"fengchao_openai: presets.toml is not a valid list of presets: {error}"
        ) from error
