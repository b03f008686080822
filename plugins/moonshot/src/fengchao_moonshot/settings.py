"""The settings of `[providers.moonshot]`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from fengchao_core.provider import ProviderSettings
from fengchao_core.types import Currency

_CURRENCIES: Mapping[str, Currency] = {"api.moonshot.cn": "CNY", "api.moonshot.ai": "USD"}


class MoonshotSettings(ProviderSettings):
    """
    Where Moonshot is, and who we are there.

    Attributes:
        base_url: the platform in China; the international one is `https://api.moonshot.ai/v1`, with keys of its own.
        api_key: sent as a bearer token.
    """

    base_url: str = "https://api.moonshot.cn/v1"
    api_key: SecretStr

    @property
    def currency(self) -> Currency | None:
        """What the platform bills in; None where it stands at another address, a proxy say."""
        return _CURRENCIES.get(urlsplit(self.base_url).hostname or "")
