"""The settings of `[providers.qianfan]`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from fengchao_core.provider import ProviderSettings

_NONE = SecretStr("")


class QianfanSettings(ProviderSettings):
    """
    Where Qianfan is, and who we are there.

    The first generation of the API (V1) takes `ak` and `sk`, the second one (V2) takes `api_key`; `iam_ak` and `iam_sk`
    open both. Any of the three will do, and each opens the models that its generation has.

    Attributes:
        base_url: V1 and its tokens.
        ak: an application's API Key.
        sk: the application's Secret Key; it travels only to get a token.
        api_key: `bce-v3/ALTAK-…/…`, sent as a bearer token.
        iam_ak: an IAM Access Key ID: V1 requests are signed with it, and V2 gets temporary keys by it.
        iam_sk: the IAM Secret Access Key; it never travels.
        app_id: `app-…`, the application that V2 calls are charged to.
        v2_base_url: V2.
        console_base_url: the list of the account's services.
        iam_base_url: where temporary keys are given out.
        prefer: which generation serves a model that both have, where both may be used.
    """

    base_url: str = "https://aip.baidubce.com"
    ak: SecretStr = _NONE
    sk: SecretStr = _NONE
    api_key: SecretStr = _NONE
    iam_ak: SecretStr = _NONE
    iam_sk: SecretStr = _NONE
    app_id: str | None = None
    v2_base_url: str = "https://qianfan.baidubce.com/v2"
    console_base_url: str = "https://qianfan.baidubce.com"
    iam_base_url: str = "https://iam.bj.baidubce.com"
    prefer: Literal["v1", "v2"] = "v1"

    @field_validator("ak", "sk", "api_key", "iam_ak", "iam_sk")
    @classmethod
    def _can_travel(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value().strip()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("expected printable ASCII without spaces")
        return SecretStr(text)

    @model_validator(mode="after")
    def _has_credentials(self) -> Self:
        for first, second in (("ak", "sk"), ("iam_ak", "iam_sk")):
            given = [name for name in (first, second) if self._has(name)]
            if len(given) == 1:
                missing = second if given[0] == first else first
                raise ValueError(f"'{given[0]}' is set without '{missing}'; expected both or none")
        if not (self._has("ak") or self._has("api_key") or self._has("iam_ak")):
            raise ValueError("expected 'ak' and 'sk', or 'api_key', or 'iam_ak' and 'iam_sk'")
        return self

    @property
    def has_v1(self) -> bool:
        """Whether the first generation of the API can be used."""
        return self._has("ak") or self._has("iam_ak")

    @property
    def has_v2(self) -> bool:
        """Whether the second generation of the API can be used."""
        return self._has("api_key") or self._has("iam_ak")

    def _has(self, name: str) -> bool:
        return bool(getattr(self, name).get_secret_value())
