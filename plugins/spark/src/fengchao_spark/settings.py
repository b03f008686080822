"""The settings of `[providers.spark]`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from fengchao_core.provider import ProviderSettings

_MISSING = (
    "expected 'app_id', 'api_key' and 'api_secret' for the WebSocket API, or 'api_password' for the HTTP API; "
    "missing: {names}"
)


class SparkSettings(ProviderSettings):
    """
    Where Spark is, and who we are there.

    Attributes:
        base_url: the host of the WebSocket chats.
        app_id: the application's id, as the vendor's console shows it. It is sent in every call and is no secret.
        api_key: the public half of the signature, which travels in every signed URL.
        api_secret: signs; it never travels, but in the password that `api = "http"` makes of it.
        api_password: of the HTTP API. Each version of the models has its own; where none is given,
            `api_key:api_secret` is sent, which the vendor takes for some versions.
        api: which of the two protocols chats use. `auto` takes the WebSocket where its three credentials are there.
        http_base_url: the HTTP API, with or without its `/v1`.
        image_base_url: the host that looks at pictures (WebSocket) and draws them (HTTP).
        embedding_base_url: the host of the embeddings with a domain.
        embedding_private_base_url: the host of the embeddings with one address for each kind.
        maas_base_url: the host of fine-tuned models: all that have no card of ours.
        literature_base_url: the host of the science-literature model.
        patch_ids: from the vendor's name of a fine-tuned model to its resource id.
    """

    base_url: str = "wss://spark-api.xf-yun.com"
    app_id: str = ""
    api_key: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")
    api_password: SecretStr = SecretStr("")
    api: Literal["auto", "websocket", "http"] = "auto"
    http_base_url: str = "https://spark-api-open.xf-yun.com/v1"
    image_base_url: str = "wss://spark-api.cn-huabei-1.xf-yun.com"
    embedding_base_url: str = "https://emb-cn-huabei-1.xf-yun.com"
    embedding_private_base_url: str = "https://cn-huabei-1.xf-yun.com"
    maas_base_url: str = "wss://maas-api.cn-huabei-1.xf-yun.com"
    literature_base_url: str = "wss://spark-openapi-n.cn-huabei-1.xf-yun.com"
    patch_ids: dict[str, str] = Field(default_factory=dict)

    @field_validator("api_key", "api_secret", "api_password")
    @classmethod
    def _can_travel(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text.isascii() or not text.isprintable() or " " in text or '"' in text:
            raise ValueError("expected printable ASCII without spaces and quotation marks")
        return SecretStr(text)

    @field_validator("app_id")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        return value.strip()

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        missing = self._missing()
        if self.api == "websocket" or (self.api == "auto" and not self.password):
            if missing:
                raise ValueError(_MISSING.format(names=", ".join(missing)))
        elif not self.password:
            raise ValueError(_MISSING.format(names="api_password"))
        return self

    @property
    def can_sign(self) -> bool:
        """Whether all that a signed URL needs is there."""
        return not self._missing()

    @property
    def uses_http(self) -> bool:
        """Whether chats go over the HTTP API, where it has the model."""
        return self.api == "http" or (self.api == "auto" and not self.can_sign)

    @property
    def password(self) -> str:
        """The HTTP API's password; made of key and secret where none is given."""
        if given := self.api_password.get_secret_value():
            return given
        key, secret = self.api_key.get_secret_value(), self.api_secret.get_secret_value()
        return f"{key}:{secret}" if self.api == "http" and key and secret else ""

    def _missing(self) -> list[str]:
        given = {
            "app_id": self.app_id,
            "api_key": self.api_key.get_secret_value(),
            "api_secret": self.api_secret.get_secret_value(),
        }
        return [name for name, value in given.items() if not value]
