"""Files in messages, and what the vendor tells beside chats."""

from __future__ import annotations

import base64
from decimal import Decimal
from urllib.parse import quote_from_bytes

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.errors import (
    InvalidParameter,
    ProviderAuthFailed,
    ProviderError,
    ProviderProtocolError,
)
from fengchao_core.kit import attachments
from fengchao_core.types import FilePart, ImagePart, Message, TextPart
from fengchao_moonshot import account, files, wire
from fengchao_moonshot.settings import MoonshotSettings

_FIELDS = (
    "data",
    "id",
    "error",
    "type",
    "bytes",
    "created_at",
    "total_tokens",
    "available_balance",
    "content",
    "status",
    "code",
)

REPORT = FilePart("file-1")
NOTES = FilePart(filename="n.txt", data="data:text/plain;base64,aGk=")


def test_texts_of_files_go_before_the_question() -> None:
    """One system message for each file, before the message it first stood in, which keeps its other parts."""
    messages = (
        Message("system", "persona"),
        Message("user", (REPORT, NOTES, TextPart("first "), TextPart("question"))),
        Message("assistant", "answer"),
        Message("user", (REPORT, TextPart("look"), ImagePart("ms://file-2"))),
    )
    assert (REPORT, NOTES) == attachments.attached(messages)
    assert (
        Message("system", "persona"),
        Message("system", "R"),
        Message("system", "N"),
        Message("user", "first question"),
        Message("assistant", "answer"),
        Message("user", (TextPart("look"), ImagePart("ms://file-2"))),
    ) == attachments.inject(messages, {REPORT: "R", NOTES: "N"})


def test_texts_can_stand_within_their_messages() -> None:
    """For vendors that take one system message only: before the message's own text, with its pictures, each once."""
    messages = (
        Message("system", "persona"),
        Message("user", (REPORT, TextPart("first"))),
        Message("user", (REPORT, NOTES, TextPart("look"), ImagePart("ms://file-2"))),
        Message("user", (NOTES, TextPart("again"))),
    )
    assert (
        Message("system", "persona"),
        Message("user", "R\n\nfirst"),
        Message("user", (TextPart("N"), TextPart("look"), ImagePart("ms://file-2"))),
        Message("user", "again"),
    ) == attachments.put_within(messages, {REPORT: "R", NOTES: "N"})


def test_conversations_without_files_stay_as_they_are() -> None:
    """Texts, parts and empty turns are not touched."""
    messages = (Message("user", (TextPart("a"),)), Message("assistant"), Message("user", ()))
    assert () == attachments.attached(messages)
    assert messages == attachments.inject(messages, {})


def test_files_that_cannot_be_read_are_refused() -> None:
    """Neither id nor data, no text beside it, data that is none."""
    with pytest.raises(InvalidParameter, match="file_id"):
        attachments.attached((Message("user", (FilePart(filename="a"), TextPart("hi"))),))
    with pytest.raises(InvalidParameter, match="text beside"):
        attachments.attached((Message("user", (REPORT,)),))
    with pytest.raises(InvalidParameter, match="base64") as caught:
        attachments.decode_data("data:text/plain;base64,geheim!")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@given(st.binary(max_size=200))
def test_data_of_files_is_decoded(content: bytes) -> None:
    """Base64 with and without the head of a data URL, and the percent-encoded form."""
    text = base64.b64encode(content).decode()
    assert content == attachments.decode_data(text)
    assert content == attachments.decode_data(f"data:application/pdf;base64,{text}")
    assert content == attachments.decode_data(f"data:,{quote_from_bytes(content)}")


def test_files_are_read_with_tolerance() -> None:
    """Any word for the status, and fields that are missing or null."""
    body = {"id": "file-1", "bytes": 5, "created_at": 1_700_000_000, "filename": "a.txt"}
    body |= {"purpose": "file-extract", "status": "ready", "status_details": None}
    file = files.decode_file(orjson.dumps(body), wire.classify)
    assert ("file-1", "a.txt", 5, "ready", "") == (
        file.id,
        file.filename,
        file.size_bytes,
        file.status,
        file.status_details,
    )
    assert file.created_at is not None
    assert 2023 == file.created_at.year
    bare = b'{"id": "file-1", "created_at": 99999999999999999}'
    assert files.StoredFile("file-1") == files.decode_file(bare, wire.classify)
    assert (file, file) == files.decode_files(orjson.dumps({"data": [body, body]}), wire.classify)


@pytest.mark.parametrize(
    "body", [b"plain text", b'"text"', b'{"text": "other"}', b'{"content": 1}', b"\xff", b""]
)
def test_extracted_text_of_any_shape_is_text(body: bytes) -> None:
    """What is not the documented document is the text itself."""
    extracted = files.decode_content(body)
    assert body.decode("utf-8", "replace") == extracted.text == extracted.content


def test_balance() -> None:
    """Sums are exact, the currency is the platform's, and what is not said is None."""
    body = b'{"code":0,"data":{"available_balance":49.58894,"voucher_balance":46.58893,"cash_balance":-1}}'
    assert account.Balance(
        Decimal("49.58894"), Decimal("46.58893"), Decimal(-1), "CNY"
    ) == account.decode_balance(body, wire.classify, "CNY")
    assert account.Balance(Decimal(0)) == account.decode_balance(
        b'{"data":{"available_balance":0}}', wire.classify, None
    )


@pytest.mark.parametrize(
    ("base_url", "currency"),
    [
        ("https://api.moonshot.cn/v1", "CNY"),
        ("https://api.moonshot.ai/v1", "USD"),
        ("http://127.0.0.1:1/v1", None),
    ],
)
def test_currency_of_the_platform(base_url: str, currency: str | None) -> None:
    """Each platform bills in its own; behind another address nobody can tell."""
    assert currency == MoonshotSettings(base_url=base_url, api_key="sk-x").currency


def test_an_error_under_http_200_is_classified() -> None:
    """An error object in place of a list, an estimate or a balance becomes its class."""
    body = b'{"error": {"message": "m", "type": "invalid_authentication_error"}}'
    for read in (
        lambda: account.decode_models(body, wire.classify),
        lambda: account.decode_estimate(body, wire.classify),
        lambda: account.decode_balance(body, wire.classify, None),
        lambda: files.decode_file(body, wire.classify),
        lambda: files.decode_files(body, wire.classify),
    ):
        with pytest.raises(ProviderAuthFailed):
            read()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": {"total_tokens": -1}}'])
def test_nonsense_estimates_are_protocol_errors(body: bytes) -> None:
    """Whatever holds no number of tokens is refused."""
    with pytest.raises(ProviderProtocolError):
        account.decode_estimate(body, wire.classify)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(_FIELDS),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: object) -> None:
    """Whatever JSON comes, nothing but a provider error is raised."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits
        return
    files.decode_content(body)
    for read in (
        lambda: account.decode_models(body, wire.classify),
        lambda: account.decode_estimate(body, wire.classify),
        lambda: account.decode_balance(body, wire.classify, None),
        lambda: files.decode_file(body, wire.classify),
        lambda: files.decode_files(body, wire.classify),
    ):
        try:
            read()
        except ProviderError:
            continue


def test_settings_hide_the_key() -> None:
    """It shows in no repr and no dump."""
    settings = MoonshotSettings(api_key="sk-very-secret")
    assert "very" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
