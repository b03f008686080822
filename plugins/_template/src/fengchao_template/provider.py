"""The provider. The vendor speaks chat completions; DIALECT and ERRORS hold what is its own."""

from contextlib import asynccontextmanager
from dataclasses import replace

from fengchao_core import Provider
from fengchao_core.errors import ProviderOverloaded
from fengchao_core.kit.auth import StaticAuth
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, clamp, converse

DIALECT = replace(CHAT_COMPLETIONS, adapt={"temperature": clamp(0, 1)})
ERRORS = {"busy": ProviderOverloaded}


class TemplateProvider(Provider):
    def __init__(self, http):
        self._http = http

    def stream(self, request):
        return converse(self._http, "/chat/completions", request, DIALECT)


@asynccontextmanager
async def open_template(settings, context):
    auth = StaticAuth({"Authorization": f"Bearer {settings.api_key.get_secret_value()}"})
    yield TemplateProvider(VendorHttp(context, settings, auth, classify_by(ERRORS)))
