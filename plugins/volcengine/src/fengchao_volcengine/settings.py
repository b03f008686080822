"""The settings of `[providers.volcengine]`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from fengchao_core.provider import ProviderSettings


class VolcengineSettings(ProviderSettings):
    """
    Where Volcengine is, and who we are there.

    Attributes:
        api_key: of Ark, sent as a bearer token.
        ak: id of the access key, which signs the requests of the legacy API; without an `api_key` it also gets
            temporary keys of Ark.
        sk: the secret of that access key; it never travels.
        session_token: of temporary access keys (STS).
        maas_base_url: where the legacy API is.
        control_base_url: where temporary keys are fetched.
        region: what signatures are made for.
        project: the project that models are asked in with a temporary key, where no endpoint of one's own is.
        endpoints: who answers for endpoint ids (`ep-…`): Ark, or the legacy API. `auto`: Ark where there is an
            `api_key`, otherwise the legacy API.
    """

    base_url: str = "https://ark.cn-beijing.volces.com/api/v3"
    api_key: SecretStr | None = None
    ak: SecretStr | None = None
    sk: SecretStr | None = None
    session_token: SecretStr | None = None
    maas_base_url: str = "https://maas-api.ml-platform-cn-beijing.volces.com"
    control_base_url: str = "https://open.volcengineapi.com"
    region: str = "cn-beijing"
    project: str = "default"
    endpoints: Literal["auto", "ark", "maas"] = "auto"

    @field_validator("api_key", "ak", "sk", "session_token")
    @classmethod
    def _can_travel(cls, secret: SecretStr | None) -> SecretStr | None:
        text = "" if secret is None else secret.get_secret_value().strip()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("expected printable ASCII without spaces")
        return SecretStr(text) if text else None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if (self.ak is None) != (self.sk is None):
            missing = "'ak'" if self.ak is None else "'sk'"
            raise ValueError(
                f"'ak' and 'sk' belong together, but {missing} is missing: set both or neither"
            )
        if self.api_key is None and self.ak is None:
            raise ValueError(
                "expected 'api_key' (Ark), or 'ak' and 'sk' (the legacy models), found none of them"
            )
        return self

    @property
    def endpoints_are_legacy(self) -> bool:
        """Whether endpoint ids go to the legacy API."""
        return self.endpoints == "maas" or (self.endpoints == "auto" and self.api_key is None)
