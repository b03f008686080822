"""Signed URLs, and the settings they are made from."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from fengchao_core.testing import FakeClock
from fengchao_spark.auth import sign_url, string_to_sign
from fengchao_spark.sandbox.codes import HandshakeError
from fengchao_spark.sandbox.signatures import verify
from fengchao_spark.settings import SparkSettings
from fengchao_spark.signer import SignedAuth

VECTORS = [
    case
    for case in json.loads((Path(__file__).parent / "vectors" / "spark.json").read_text("utf-8"))[
        "cases"
    ]
    if case["kind"] == "signed_url"
]
KEY, SECRET = "0123456789abcdef", "ZmFrZS1zZWNyZXQ="


@pytest.mark.parametrize("vector", VECTORS, ids=lambda case: case["id"])
def test_signed_urls_are_the_sdks(vector: dict[str, Any]) -> None:
    """A signed URL says what the vendor's SDK says at the same time, for every version and service."""
    inputs, expected = vector["inputs"], vector["expected"]
    url, value = sign_url(
        inputs["url"],
        method=inputs["method"],
        api_key=inputs["api_key"],
        api_secret=inputs["api_secret"],
        now=datetime.fromisoformat(inputs["frozen_time_utc"]),
    )
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    told = dict(re.findall(r'(\w+)="([^"]*)"', b64decode(value).decode()))
    assert expected["parts"]["authorization_fields"] == told
    assert expected["parts"]["netloc"] == parts.netloc == query["host"]
    assert expected["parts"]["path"] == parts.path
    assert expected["parts"]["scheme"] == parts.scheme
    assert expected["parts"]["query"]["date"] == query["date"]
    assert value == query["authorization"]
    assert expected["string_to_sign"] == string_to_sign(
        inputs["method"], parts.netloc, parts.path, query["date"]
    )
    if "extra-spaces" not in vector["id"] and "sign-canonical" in vector["id"]:
        assert expected["signed_url"] == url


@pytest.mark.parametrize("vector", VECTORS, ids=lambda case: case["id"])
def test_the_sdks_urls_are_verified(vector: dict[str, Any]) -> None:
    """The stand-in takes what the SDK signed, extra spaces and any order of parameters included."""
    inputs, query = vector["inputs"], vector["expected"]["parts"]["query"]
    how = {
        "method": inputs["method"],
        "path": vector["expected"]["parts"]["path"],
        "asked_host": vector["expected"]["parts"]["netloc"],
        "api_key": inputs["api_key"],
        "api_secret": inputs["api_secret"],
        "now": datetime.fromisoformat(inputs["frozen_time_utc"]),
    }
    verify(query, **how)
    for name, wrong in (
        ("method", "PUT"),
        ("path", "/v9/chat"),
        ("asked_host", "example.com"),
        ("api_key", "somebody"),
        ("api_secret", "secret"),
    ):
        with pytest.raises(HandshakeError) as caught:
            verify(query, **{**how, name: wrong})
        assert 401 == caught.value.status


@given(
    st.integers(946_684_800, 4_102_444_800),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["127.0.0.1:8000", "spark-api.xf-yun.com", "[::1]:9"]),
    st.text("abc/0123.", max_size=20),
)
def test_whatever_is_signed_is_verified(second: int, method: str, host: str, path: str) -> None:
    """Any signed URL is taken for 300 s by who knows the secret; neither secret nor signature shows in a repr."""
    now = datetime.fromtimestamp(second, UTC)
    auth = SignedAuth(KEY, SECRET, FakeClock(now), name="spark")
    signed = auth.signed(method, URL(f"https://{host}/{path}"))
    assert signed.query["authorization"] in auth.secrets()
    assert SECRET not in repr(auth) + str(signed)
    verify(
        signed.query,
        method=method,
        path=signed.raw_path,
        asked_host=host,
        api_key=KEY,
        api_secret=SECRET,
        now=now,
    )


# Settings.


def test_settings_do_not_show_secrets() -> None:
    """Keys are masked in a repr and in a dump; white space around them does not count."""
    settings = SparkSettings(
        app_id=" a1 ", api_key=f" {KEY}\n", api_secret=SECRET, api_password="pass-word"
    )
    shown = repr(settings) + settings.model_dump_json()
    assert not [each for each in (KEY, SECRET, "pass-word") if each in shown]
    assert ("a1", KEY) == (settings.app_id, settings.api_key.get_secret_value())
    assert "wss://spark-api.xf-yun.com" == settings.base_url


@pytest.mark.parametrize(
    ("uses_http", "password", "given_"),
    [
        (False, "", {"app_id": "a", "api_key": "k", "api_secret": "s"}),
        (False, "p", {"app_id": "a", "api_key": "k", "api_secret": "s", "api_password": "p"}),
        (True, "p", {"api_password": "p"}),
        (True, "k:s", {"app_id": "a", "api_key": "k", "api_secret": "s", "api": "http"}),
        (True, "p", {"api": "http", "api_password": "p"}),
    ],
)
def test_the_settings_choose_the_protocol(
    uses_http: bool, password: str, given_: dict[str, str]
) -> None:
    """The WebSocket where it can sign and nothing else is said; the HTTP API where it is asked for or all there is."""
    settings = SparkSettings(**given_)
    assert (uses_http, password) == (settings.uses_http, settings.password)


@pytest.mark.parametrize(
    ("missing", "given_"),
    [
        ("app_id, api_key, api_secret", {}),
        ("api_secret", {"app_id": "a", "api_key": "k"}),
        ("app_id", {"api": "websocket", "api_key": "k", "api_secret": "s", "api_password": "p"}),
        ("api_password", {"api": "http", "app_id": "a"}),
        ("printable", {"api_password": "new\nline"}),
        ("quotation", {"app_id": "a", "api_key": 'k"', "api_secret": "s"}),
    ],
)
def test_missing_credentials_are_named(missing: str, given_: dict[str, str]) -> None:
    """Settings that can do nothing are refused, with what is missing; no value is shown."""
    with pytest.raises(ValidationError) as caught:
        SparkSettings(**given_)
    assert missing in str(caught.value)
