"""The settings of `[providers.anthropic]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from fengchao_core.provider import ProviderSettings


class AnthropicSettings(ProviderSettings):
    """
    Where the API is, who we are there, and which of its two generations we speak.

    Attributes:
        base_url: without `/v1`, as the vendor's own clients want it.
        version: the generation that a request is sent by. `auto` takes the newest, and the older one for requests that
            hold what only it accepts (temperature, top_p, top_k, a document in an assistant turn). Endpoints that only
            imitate the vendor usually want `2023-06-01`.
        auth: how the key travels. `auto`: as a bearer token with the newest generation, in `x-api-key` with the older.
        betas: names for the `anthropic-beta` header.
        default_max_tokens: the longest answer where a call names none, since the vendor insists on one; by the model's
            card where absent.
    """

    base_url: str = "https://api.anthropic.com"
    api_key: SecretStr
    version: Literal["auto", "2023-06-01", "2026-10-21"] = "auto"
    auth: Literal["auto", "x-api-key", "bearer"] = "auto"
    betas: tuple[str, ...] = ()
    default_max_tokens: int | None = Field(default=None, ge=1)

    @field_validator("api_key")
    @classmethod
    def _printable(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value().strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("expected a key of printable ASCII without spaces")
        return SecretStr(text)

    @field_validator("base_url")
    @classmethod
    def _without_version(cls, url: str) -> str:
        """People copy `…/v1` from other vendors; `/v1/messages` is appended to what stands here."""
        return url.rstrip("/").removesuffix("/v1")
