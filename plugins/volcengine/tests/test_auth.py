"""Signatures, the settings they are made from, and the clock by which they are made."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from fengchao_core.testing import FakeClock
from fengchao_volcengine.auth import (
    DATE_FORMAT,
    AccessKey,
    canonical,
    scope,
    sign,
    signing_key,
    string_to_sign,
)
from fengchao_volcengine.settings import VolcengineSettings
from fengchao_volcengine.signer import SignedAuth

CASES = [
    case
    for case in json.loads((Path(__file__).parent / "vectors" / "volcengine.json").read_text())[
        "cases"
    ]
    if "signing" in case
]
NOW = datetime(2023, 11, 20, 12, tzinfo=UTC)
KEY = AccessKey("AKLTEXAMPLE", "secret-of-nobody", "ml_maas")


def signed(case: dict[str, Any]) -> dict[str, str]:
    """Our headers for a recorded request, at the recorded time."""
    request = case["request"]
    return sign(
        AccessKey(case["ak"], case["sk"], "ml_maas"),
        method=request["method"],
        host=case["host"],
        path=URL(request["url"]).raw_path,
        content_type=request["headers"]["Content-Type"],
        body=request["body_bytes_utf8"].encode(),
        now=datetime.strptime(case["x_date"], DATE_FORMAT).replace(tzinfo=UTC),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_signatures_are_the_sdks(case: dict[str, Any]) -> None:
    """Each header of a signature is, letter by letter, the one that the vendor's SDK makes at the same time."""
    recorded = case["request"]["headers"]
    made = signed(case)
    assert {
        name: recorded[name] for name in ("X-Date", "X-Content-Sha256", "Authorization")
    } == made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_step_is_the_sdks(case: dict[str, Any]) -> None:
    """What is signed, and the key it is signed with, are the recorded ones."""
    request, steps = case["request"], case["signing"]
    headers = {
        "content-type": "application/json",
        "host": case["host"],
        "x-content-sha256": request["headers"]["X-Content-Sha256"],
        "x-date": case["x_date"],
    }
    text = canonical("POST", URL(request["url"]).raw_path, (), headers, headers["x-content-sha256"])
    assert steps["canonical_request"] == text
    where = scope(case["x_date"], "cn-beijing", "ml_maas")
    assert steps["string_to_sign"] == string_to_sign(case["x_date"], where, text)
    key = signing_key(case["sk"], case["x_date"], "cn-beijing", "ml_maas")
    assert steps["signing_key_hex"] == key.hex()


def test_every_signed_vector_is_covered() -> None:
    """Both versions of the legacy API, whole and streamed, are among the recorded signatures."""
    assert {"maas_v1_chat", "maas_v1_stream", "maas_v2_chat_aksk"} == {c["name"] for c in CASES}


def test_a_session_token_is_signed_too() -> None:
    """Temporary access keys carry their token, and it is among what is signed."""
    key = AccessKey("AK", "SK", "ml_maas", session_token="sts-token")
    made = sign(key, method="POST", host="h", path="/", body=b"{}", now=NOW)
    assert "sts-token" == made["X-Security-Token"]
    assert "host;x-content-sha256;x-date;x-security-token" in made["Authorization"]


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_the_order_of_a_query_does_not_matter(query: list[tuple[str, str]]) -> None:
    """A query is sorted and percent-encoded before it is signed."""
    one, other = (
        sign(KEY, method="GET", host="h", path="/", query=each, now=NOW)
        for each in (query, reversed(query))
    )
    assert one == other


@given(st.binary(), st.binary())
def test_a_signature_is_of_one_body(body: bytes, other: bytes) -> None:
    """Another body has another signature, and the same has the same."""
    one, two = (
        sign(KEY, method="POST", host="h", path="/", body=each, now=NOW)["Authorization"]
        for each in (body, other)
    )
    assert (body == other) == (one == two)


def test_secrets_do_not_show() -> None:
    """Neither an access key nor the settings show a secret."""
    key = AccessKey("AK", "hidden-sk", "ml_maas", session_token="hidden-token")
    settings = VolcengineSettings(api_key="hidden-key", ak="hidden-ak", sk="hidden-sk")
    assert "hidden" not in repr(key) + repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "found none"),
        ({"ak": "a"}, "'sk' is missing"),
        ({"sk": "s"}, "'ak' is missing"),
        ({"api_key": "", "ak": " ", "sk": ""}, "found none"),
        ({"api_key": "a b"}, "printable ASCII"),
        ({"api_key": "秘密"}, "printable ASCII"),
        ({"ak": "a", "sk": "s\x00"}, "printable ASCII"),
    ],
)
def test_incomplete_credentials_are_refused(given_: dict[str, str], says: str) -> None:
    """A key that cannot travel, half of a pair, and nothing at all are refused with the settings."""
    with pytest.raises(ValidationError) as caught:
        VolcengineSettings.model_validate(given_)
    assert says in str(caught.value)
    assert not any(
        value.strip() and value in str(caught.value).split("'") for value in given_.values()
    )


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"api_key": "k"}, False),
        ({"ak": "a", "sk": "s"}, True),
        ({"api_key": "k", "endpoints": "maas"}, True),
        ({"ak": "a", "sk": "s", "endpoints": "ark"}, False),
    ],
)
def test_who_answers_for_endpoints(given_: dict[str, str], expected: bool) -> None:
    """Endpoints go to Ark where there is a key, to the legacy API otherwise, or as the setting says."""
    assert expected == VolcengineSettings.model_validate(given_).endpoints_are_legacy


async def test_a_wrong_clock_is_learned_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal whose Date is ten minutes off puts the clock right, once, and that is reported; then it is no help."""
    clock = FakeClock(NOW)
    signer = SignedAuth(KEY, clock, name="volcengine")
    url = URL("https://example.com/api/v1/chat")
    _, before, token = await signer.sign("POST", url, {"Content-Type": "application/json"}, b"{}")
    date = format_datetime(NOW + timedelta(minutes=10), usegmt=True)
    assert signer.rejected(token, date)
    _, after, token = await signer.sign("POST", url, {"Content-Type": "application/json"}, b"{}")
    assert ("20231120T120000Z", "20231120T121000Z") == (before["X-Date"], after["X-Date"])
    assert not signer.rejected(token, date)
    assert 1 == capsys.readouterr().out.count("token.clock_skew")


async def test_a_right_clock_gives_no_second_chance() -> None:
    """A refusal at the right time, or without a Date, is not tried again."""
    signer = SignedAuth(KEY, FakeClock(NOW), name="volcengine")
    _, _, token = await signer.sign("POST", URL("https://example.com/"), {}, None)
    assert not signer.rejected(token, format_datetime(NOW, usegmt=True))
    assert not signer.rejected(token, None)
