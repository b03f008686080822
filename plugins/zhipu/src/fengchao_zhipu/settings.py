"""The settings of `[providers.zhipu]`."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr, field_validator

from fengchao_core.provider import ProviderSettings


class ZhipuSettings(ProviderSettings):
    """
    Where Zhipu is, and who we are there.

    Attributes:
        api_key: `id.secret`, as the vendor's console shows it.
        auth: `jwt` sends tokens signed with the secret, which itself never travels; `raw` sends the key as it is.
    """

    base_url: str = "https://open.bigmodel.cn/api/paas/v4"
    api_key: SecretStr
    auth: Literal["jwt", "raw"] = "jwt"

    @field_validator("api_key")
    @classmethod
    def _two_parts(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value().strip()
        parts = text.split(".")
        if len(parts) != 2 or not all(parts):
            raise ValueError(
                f"expected 'id.secret' with exactly one dot between two parts, found {len(parts) - 1} dots"
                if len(parts) != 2
                else "expected 'id.secret', found an empty part beside the dot"
            )
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("expected printable ASCII without spaces")
        return SecretStr(text)
