"""Forms that are uploaded, and replies that are no chats."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fengchao_core.errors import ProviderProtocolError, RateLimited
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.multipart import Field, form
from fengchao_core.kit.replies import read_reply


class Reply(BaseModel):
    """A reply that insists on one field."""

    id: str


def read(body: bytes) -> Reply:
    """The reply in a body."""
    return read_reply(Reply, body, classify_by({"fast": RateLimited}))


@given(st.binary(), st.text(alphabet=st.characters(codec="utf-8")))
def test_a_file_survives_its_form(content: bytes, filename: str) -> None:
    """Content is carried byte for byte, and no name breaks out of its header."""
    content_type, body = form([Field("purpose", "批"), Field("file", content, filename)])
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    before, purpose, file, after = body.split(boundary)
    assert (b"", b"--\r\n") == (before, after)
    assert purpose.endswith("\r\n\r\n批\r\n".encode())
    head, _, data = file.partition(b"\r\n\r\n")
    assert content + b"\r\n" == data
    assert 2 == head.count(b"\r\n")
    assert 4 == head.count(b'"')


def test_a_form_is_read_by_others() -> None:
    """A parser that is not ours finds the fields."""
    content_type, body = form([Field("purpose", "x"), Field("file", b"\0", "a.bin", "image/png")])
    parsed = message_from_bytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=HTTP
    )
    names = [part.get_param("name", header="content-disposition") for part in parsed.iter_parts()]
    assert ["purpose", "file"] == names


def test_a_reply_is_checked() -> None:
    """Fields that are not used may be there; the one that is must be."""
    assert Reply(id="a") == read(b'{"id": "a", "more": 1}')
    with pytest.raises(ProviderProtocolError, match="'id'") as caught:
        read(b'{"name": "a user\'s text"}')
    assert caught.value.__context__ is None


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"id": 1}', b"{", b"\xff"])
def test_nonsense_is_a_protocol_error(body: bytes) -> None:
    """Whatever else comes is refused."""
    with pytest.raises(ProviderProtocolError):
        read(body)


@pytest.mark.parametrize(
    "body", [b'{"error": {"code": "fast"}}', b'{"code": "fast", "message": "m"}']
)
def test_an_error_in_place_of_a_reply_is_classified(body: bytes) -> None:
    """An error under HTTP 200 is an error."""
    with pytest.raises(RateLimited):
        read(body)
