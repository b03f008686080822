"""Secrets out of what vendors say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from fengchao_core.errors import ProviderError
from fengchao_core.kit.redaction import Redactor, secrets_of
from fengchao_core.provider import ProviderSettings

KEY = "k3y/with+odd=chars"


def clean(text: str, *secrets: str) -> str:
    """What is left of a text."""
    return Redactor(lambda: secrets).text(text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"bad key {KEY}!", "bad key ***!"),
        ("bad key k3y%2Fwith%2Bodd%3Dchars!", "bad key ***!"),
        ("see https://a.b/c?sign=abc&x=1#f for more", "see https://a.b/c?*** for more"),
        ("see https://user:pass@a.b/c", "see https://a.b/c"),
        ("wss://spark.example/v3.5/chat?authorization=xyz", "wss://spark.example/v3.5/chat?***"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("Incorrect API key provided: sk-abcd***wxyz.", "Incorrect API key provided: ***"),
        ("token eyJhbGciOiJI.eyJhcGlfa2V5.c2lnbmF0dXJl is old", "token *** is old"),
        ("line one\r\nline\x00two\x1b[31m\u202e", "line one line two [31m"),
        ("nothing to hide", "nothing to hide"),
        ("", ""),
    ],
)
def test_secrets_and_controls_are_removed(said: str, shown: str) -> None:
    """Known secrets, whatever looks like one, queries of URLs and control characters."""
    assert shown == clean(said, KEY)


def test_a_long_text_is_cut() -> None:
    """At most 500 characters are kept, and no half of a secret at the end."""
    shown = clean("x" * 495 + KEY + "y" * 100, KEY)
    assert len(shown) == 500
    assert shown.endswith("…")
    assert "k3y" not in shown
    assert "k3y" not in clean("a " * 32_765 + KEY * 10, KEY)


def test_short_values_are_not_hunted() -> None:
    """A secret of a letter or two would blot out every word."""
    assert "a cat" == clean("a cat", "a")


@given(st.text(), st.text(alphabet="abcdefXYZ0123456789-_.+/=", min_size=4), st.text())
def test_a_secret_never_survives(before: str, secret: str, after: str) -> None:
    """Wherever a secret stands, it is gone."""
    assert secret not in clean(before + secret + after, secret).replace("***", "")


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    """Nothing a vendor says breaks the redaction, its bound, or a terminal."""
    shown = clean(text)
    assert len(shown) <= 500
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown)


def test_errors_are_redacted_in_place() -> None:
    """Message, vendor's words, code and request id of an error are redacted."""
    error = ProviderError(
        f"no {KEY}",
        vendor_message=f"no {KEY}",
        vendor_code=f"{KEY}",
        vendor_request_id=f"r-{KEY}" + "x" * 500,
    )
    Redactor(lambda: (KEY,)).error(error)
    assert KEY not in f"{error} {error.args} {vars(error)}"
    assert len(error.vendor_request_id or "") == 100


def test_secrets_of_settings_are_found_however_deep() -> None:
    """Every secret value counts: in tables, in lists, in sections, and a proxy's password."""

    class Inner(BaseModel):
        sk: SecretStr

    class Outer(ProviderSettings):
        api_key: SecretStr = SecretStr("one-secret")
        headers: dict[str, SecretStr] = Field(default={"a": SecretStr("two-secret")})
        credentials: tuple[Inner, ...] = (Inner(sk=SecretStr("three-secret")),)
        plain: str = "no-secret"

    found = secrets_of(Outer(proxy="http://user:four-secret@127.0.0.1:8080"))
    assert {"one-secret", "two-secret", "three-secret", "four-secret"} == set(found)
