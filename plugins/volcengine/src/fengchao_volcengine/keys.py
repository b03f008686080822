"""
Temporary keys of Ark, for those who have an access key only: fetched from the control plane, one for each endpoint.

Source: the vendor's SDK (volcengine-python-sdk 5.0.54): `GetApiKey` of the service `ark`, version 2024-01-01, signed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.http import VendorHttp
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.tokens import Token
from fengchao_volcengine.wire import is_bot, is_endpoint

QUERY = {"Action": "GetApiKey", "Version": "2024-01-01"}
LIFETIME_S = 7 * 24 * 3600
"""How long a key lives; the SDK's figure."""
MARGIN_S = 600.0
"""How long before its end a key is no longer used; the SDK's figure."""


class _Result(BaseModel):
    ApiKey: str
    ExpiredTime: int = Field(ge=0, le=253_402_300_799)  # the last second of the year 9999


class _Answer(BaseModel):
    Result: _Result


class TemporaryKeys:
    """
    Fetches temporary keys.

    Args:
        http: the control plane, its requests signed.
        project: the project that models are asked in where no endpoint is named.
    """

    def __init__(self, http: VendorHttp, project: str) -> None:
        self._http = http
        self._project = project

    async def fetch(self, resource: str) -> Token:
        """A key for an endpoint, a bot or a model. Raises `ProviderError`."""
        async with self._http.exchange(
            "POST",
            "/",
            params=QUERY,
            body=encode(resource, self._project),
            content_type="application/json",
        ) as answer:
            return decode(await answer.read(), self._http.classify)


def encode(resource: str, project: str) -> bytes:
    """The body that asks for a key."""
    kind = "presetendpoint"
    if is_bot(resource):
        kind = "bot"
    elif is_endpoint(resource) and not resource.startswith("ep-m-"):
        kind = "endpoint"
    body: dict[str, object] = {
        "DurationSeconds": LIFETIME_S,
        "ResourceType": kind,
        "ResourceIds": [resource],
    }
    if kind == "presetendpoint":
        body["ProjectName"] = project
    return dump(body)


def decode(body: bytes, classify: Classify) -> Token:
    """The key. Raises `ProviderError` where the body is an error, or not what the vendor documents."""
    result = read_reply(_Answer, body, classify).Result
    return Token(
        result.ApiKey, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=result.ExpiredTime)
    )
