"""The settings of `[providers.template]`."""

from pydantic import SecretStr

from fengchao_core import ProviderSettings


class TemplateSettings(ProviderSettings):
    """Where the vendor is, and our key there."""

    base_url: str = "https://api.example.com/v1"
    api_key: SecretStr
