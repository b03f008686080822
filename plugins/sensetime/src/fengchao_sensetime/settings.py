"""The settings of `[providers.sensetime]`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from fengchao_core.provider import ProviderSettings


class SenseTimeSettings(ProviderSettings):
    """
    Where SenseNova is, and who we are there.

    Attributes:
        base_url: the native API; `/chat-completions` and its like are appended.
        ak: the access key id. It travels in every token, in the open.
        sk: the secret access key. It signs the tokens, and never travels itself.
        api_key: of the newer platform. The token plan takes nothing else; elsewhere it stands in for `ak` and `sk`
            where those are missing.
        dialect: how the models of `base_url` are asked: in the vendor's own shape, or in its compatible mode.
        compatible_base_url: the compatible mode.
        token_base_url: the token plan, which has models of its own (`sensenova-…`, in small letters).
        file_base_url: the host of the files.
    """

    base_url: str = "https://api.sensenova.cn/v1/llm"
    ak: SecretStr = SecretStr("")
    sk: SecretStr = SecretStr("")
    api_key: SecretStr = SecretStr("")
    dialect: Literal["native", "compatible"] = "native"
    compatible_base_url: str = "https://api.sensenova.cn/compatible-mode/v1"
    token_base_url: str = "https://token.sensenova.cn/v1"  # noqa: S105  # an address
    file_base_url: str = "https://file.sensenova.cn/v1"

    @field_validator("ak", "sk", "api_key")
    @classmethod
    def _can_travel(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("expected printable ASCII without spaces")
        return SecretStr(text)

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        given = {"ak": self.ak.get_secret_value(), "sk": self.sk.get_secret_value()}
        missing = [name for name, value in given.items() if not value]
        if len(missing) == 1:
            raise ValueError(f"expected 'ak' and 'sk' together; missing: {missing[0]}")
        if missing and not self.api_key.get_secret_value():
            raise ValueError("expected 'ak' and 'sk', or 'api_key'; found neither")
        return self

    @property
    def signs(self) -> bool:
        """Whether there is a key pair to sign tokens with."""
        return bool(self.ak.get_secret_value())
