"""The transports of Volcengine's three APIs, each with the credentials that it takes."""

from __future__ import annotations

from fengchao_core.errors import ProviderAuthFailed
from fengchao_core.kit.auth import Authoriser, StaticAuth, TokenAuth
from fengchao_core.kit.http import VendorHttp
from fengchao_core.provider import ProviderContext
from fengchao_core.tokens import TokenManager
from fengchao_volcengine import codes
from fengchao_volcengine.auth import AccessKey
from fengchao_volcengine.keys import MARGIN_S, TemporaryKeys
from fengchao_volcengine.settings import VolcengineSettings
from fengchao_volcengine.signer import SignedAuth


class Access:
    """
    Gives the transport for a call, or says which credentials it lacks.

    Raises:
        SettingsError: a base URL is not usable.
    """

    def __init__(self, settings: VolcengineSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        bearer: Authoriser | None = None
        if settings.api_key is not None:
            key = settings.api_key.get_secret_value()
            bearer = StaticAuth({"Authorization": f"Bearer {key}"})
        self._ark = None if bearer is None else self._open_ark(bearer)
        self._keys: TemporaryKeys | None = None
        self._by_resource: dict[str, VendorHttp] = {}
        self._maas: VendorHttp | None = None
        if settings.ak is not None and settings.sk is not None:
            ak, sk = settings.ak.get_secret_value(), settings.sk.get_secret_value()
            self._maas = self._open_maas(self._signer(ak, sk, "ml_maas"))
            self._keys = TemporaryKeys(
                self._open_control(self._signer(ak, sk, "ark")), settings.project
            )
        elif bearer is not None and settings.endpoints_are_legacy:
            self._maas = self._open_maas(bearer)  # version 2 takes a key, too

    def ark(self) -> VendorHttp:
        """Ark, by its key. Raises `ProviderAuthFailed` where there is none."""
        if self._ark is None:
            raise self._lacks("'api_key': temporary keys do not open this part of Ark")
        return self._ark

    def ark_for(self, resource: str) -> VendorHttp:
        """Ark, by its key where there is one, otherwise by a temporary key for this endpoint, bot or model."""
        if self._ark is not None:
            return self._ark
        http = self._by_resource.get(resource)
        if http is None:
            http = self._by_resource[resource] = self._open_ark(self._temporary(resource))
        return http

    def legacy(self) -> VendorHttp:
        """The legacy API. Raises `ProviderAuthFailed` where there is nothing to sign with."""
        if self._maas is None:
            raise self._lacks("'ak' and 'sk': the legacy models take no 'api_key'")
        return self._maas

    def _temporary(self, resource: str) -> TokenAuth:
        keys = self._keys
        if keys is None:
            raise self._lacks("'api_key', or 'ak' and 'sk'")
        context = self._context
        return TokenAuth(
            TokenManager(
                lambda _: keys.fetch(resource),
                context.clock,
                name=context.name,
                margin_s=MARGIN_S,
            )
        )

    def _open_ark(self, authoriser: Authoriser) -> VendorHttp:
        return VendorHttp(self._context, self._settings, authoriser, codes.classify)

    def _open_maas(self, authoriser: Authoriser) -> VendorHttp:
        return VendorHttp(
            self._context,
            self._settings,
            authoriser,
            codes.classify_maas,
            base_url=self._settings.maas_base_url,
        )

    def _open_control(self, authoriser: Authoriser) -> VendorHttp:
        return VendorHttp(
            self._context,
            self._settings,
            authoriser,
            codes.classify_control,
            base_url=self._settings.control_base_url,
        )

    def _signer(self, ak: str, sk: str, service: str) -> SignedAuth:
        token = self._settings.session_token
        key = AccessKey(
            ak,
            sk,
            service,
            self._settings.region,
            "" if token is None else token.get_secret_value(),
        )
        return SignedAuth(key, self._context.clock, name=self._context.name)

    def _lacks(self, what: str) -> ProviderAuthFailed:
        name = self._context.name
        return ProviderAuthFailed(
            f"provider '{name}': expected {what}; set it under [providers.{name}]", provider=name
        )
