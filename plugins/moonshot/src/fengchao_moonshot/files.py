"""Files on Moonshot's wire: uploads, what is known of one, and the text that was extracted from it."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ValidationError

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.multipart import Field, Form, form
from fengchao_core.kit.replies import read_reply

FILES = "/files"
EXTRACT = "file-extract"
"""The purpose of files whose text is wanted; `image` and `video` are for pictures and films in messages."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """
    A file at the vendor.

    Attributes:
        status: the vendor's word (`ok`, `ready`, `error` …); not a closed set.
        status_details: why, where something is wrong.
    """

    id: str
    filename: str = ""
    purpose: str = ""
    size_bytes: int = 0
    created_at: datetime | None = None
    status: str = ""
    status_details: str = ""


@dataclass(frozen=True, slots=True)
class ExtractedFile:
    """
    What the vendor read in a file.

    Attributes:
        text: its whole answer, to be put unchanged into a system message of its own.
        content: the text within it; the same as `text` where the answer has another shape.
        filename: as it was uploaded; empty where the vendor does not say, as the following.
        file_type: the media type.
    """

    text: str
    content: str
    filename: str = ""
    file_type: str = ""
    title: str = ""


class _File(BaseModel):
    id: str
    filename: str | None = None
    purpose: str | None = None
    bytes: int | None = None
    created_at: int | None = None
    status: str | None = None
    status_details: str | None = None

    def stored(self) -> StoredFile:
        return StoredFile(
            id=self.id,
            filename=self.filename or "",
            purpose=self.purpose or "",
            size_bytes=self.bytes or 0,
            created_at=_instant(self.created_at),
            status=self.status or "",
            status_details=self.status_details or "",
        )


class _Files(BaseModel):
    data: list[_File]


class _Content(BaseModel):
    content: str
    filename: str | None = None
    file_type: str | None = None
    title: str | None = None


def encode_file(filename: str, content: bytes, purpose: str) -> Form:
    """The form that uploads a file."""
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return form((Field("purpose", purpose), Field("file", content, filename, kind)))


def decode_file(body: bytes, classify: Classify) -> StoredFile:
    """One file. Raises `ProviderError`, as `read_reply`."""
    return read_reply(_File, body, classify).stored()


def decode_files(body: bytes, classify: Classify) -> tuple[StoredFile, ...]:
    """A list of files. Raises `ProviderError`, as `read_reply`."""
    return tuple(file.stored() for file in read_reply(_Files, body, classify).data)


def decode_content(body: bytes) -> ExtractedFile:
    """
    The text of a file. Never fails: its fields could not be confirmed, and the whole is text in any case.

    An error cannot be told from a file that quotes one, so it must have come under its own HTTP status.
    """
    text = body.decode("utf-8", "replace")
    try:
        inner = _Content.model_validate_json(body)
    except ValidationError:
        return ExtractedFile(text, text)
    return ExtractedFile(
        text, inner.content, inner.filename or "", inner.file_type or "", inner.title or ""
    )


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
