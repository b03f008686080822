"""The tokens, and the settings they are made from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fengchao_zhipu.auth import sign
from fengchao_zhipu.settings import ZhipuSettings

_FILE = json.loads((Path(__file__).parent / "vectors" / "zhipu.json").read_text("utf-8"))
VECTORS = _FILE["jwt"]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if "token" in v["expected"]], ids=lambda v: v["name"]
)
def test_tokens_are_the_sdks(vector: dict[str, Any]) -> None:
    """A token is, letter by letter, the one that the vendor's SDK makes at the same time."""
    given_ = vector["input"]
    now = datetime.fromtimestamp(given_["frozen_time_s"], UTC)
    token = sign(given_["api_key"], now)
    assert vector["expected"]["token"] == token.value
    assert now + timedelta(seconds=210) == token.expires_at


@pytest.mark.parametrize(
    "vector",
    [v for v in _FILE["requests"] if v["input"]["auth_mode"] == "jwt"],
    ids=lambda v: v["name"],
)
def test_recorded_requests_carry_our_tokens(vector: dict[str, Any]) -> None:
    """Each recorded request is authorised by the token that we make at its time."""
    given_ = vector["input"]
    now = datetime.fromtimestamp(given_["frozen_time_s"], UTC)
    authorised = vector["expected"]["headers"]["Authorization"]
    assert f"Bearer {sign(given_['api_key'], now).value}" == authorised


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if "error" in v["expected"]], ids=lambda v: v["name"]
)
def test_keys_of_another_shape_are_refused(vector: dict[str, Any]) -> None:
    """A key without exactly one dot is refused with the settings, and not shown."""
    with pytest.raises(ValidationError) as caught:
        ZhipuSettings(api_key=vector["input"]["api_key"])
    assert "exactly one dot" in str(caught.value)
    assert vector["input"]["api_key"] not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["9f8e7d.", ".s3cr3t", "9f8e7d.s3 cr3t", "9f8e7d.秘密", "9f8e7d.s3\x00cr3t", ""]
)
def test_keys_that_cannot_travel_are_refused(key: str) -> None:
    """An empty half, white space and characters that no header carries are refused, and not shown."""
    with pytest.raises(ValidationError) as caught:
        ZhipuSettings(api_key=key)
    assert not key or key not in str(caught.value)


def test_white_space_around_a_key_does_not_count() -> None:
    """A key that was pasted with a line end is taken."""
    assert "id.secret" == ZhipuSettings(api_key=" id.secret\n").api_key.get_secret_value()


def test_settings_do_not_show_the_key() -> None:
    """The key is masked in a repr and in a dump."""
    settings = ZhipuSettings(api_key="0123456789.abcdefgh")
    assert "abcdefgh" not in repr(settings) + settings.model_dump_json()
    assert "https://open.bigmodel.cn/api/paas/v4" == settings.base_url
    assert "jwt" == settings.auth


@given(st.floats(946_684_800, 4_102_444_800))
def test_a_token_outlives_its_making(seconds: float) -> None:
    """A token expires 210 seconds after its making, and its repr does not show it."""
    now = datetime.fromtimestamp(seconds, UTC)
    token = sign("some-id.some-secret", now)
    assert token.expires_at - now == timedelta(seconds=210)
    assert 3 == len(token.value.split("."))
    assert token.value not in repr(token)
