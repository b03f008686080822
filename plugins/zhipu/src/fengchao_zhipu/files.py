"""Files on Zhipu's wire: uploads for batches, fine-tuning and knowledge bases, and what is known of them. Pure."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from fengchao_core.errors import InvalidParameter, ProviderProtocolError, RequestRejected
from fengchao_core.kit import multipart
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.replies import read_reply

FILES = "/files"
RETRIEVAL = "retrieval"
"""The purpose of documents of a knowledge base; `batch` and `fine-tune` are further ones."""

EXTRACT = "file-extract"
"""The purpose of files whose text is wanted; their content, asked for, is that text."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """
    A file at the vendor.

    Attributes:
        status: the vendor's word, where it has one; not a closed set.
    """

    id: str
    filename: str = ""
    purpose: str = ""
    size_bytes: int = 0
    created_at: datetime | None = None
    status: str = ""


class _File(BaseModel):
    id: str
    filename: str | None = None
    purpose: str | None = None
    bytes: int | None = None
    created_at: int | None = None
    status: str | None = None

    def stored(self) -> StoredFile:
        return StoredFile(
            id=self.id,
            filename=self.filename or "",
            purpose=self.purpose or "",
            size_bytes=self.bytes or 0,
            created_at=_instant(self.created_at),
            status=self.status or "",
        )


class _Files(BaseModel):
    data: list[_File]


class _Document(BaseModel):
    document_id: str | None = Field(default=None, alias="documentId")
    fail_reason: str | None = Field(default=None, alias="failReason")


class _Uploaded(BaseModel):
    # The documentation shows a file's own id; the SDK's type for documents of a knowledge base has these lists.
    id: str | None = None
    taken: list[_Document] | None = Field(default=None, alias="successInfos")
    refused: list[_Document] | None = Field(default=None, alias="failedInfos")


class _Text(BaseModel):
    content: str


class _Deleted(BaseModel):
    deleted: bool = True


def path_of(file_id: str) -> str:
    """Where a file is."""
    return f"{FILES}/{quote(file_id, safe='')}"


def encode_upload(
    filename: str, content: bytes, *, purpose: str, knowledge_id: str | None
) -> multipart.Form:
    """
    The form that uploads a file.

    Raises:
        InvalidParameter: a document without a knowledge base, or a knowledge base for a file that is no document.
    """
    if (purpose == RETRIEVAL) != (knowledge_id is not None):
        raise InvalidParameter(
            "a file for the purpose 'retrieval' needs the id of a knowledge base, and no other file takes one",
            param="knowledge_id",
        )
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    fields = [multipart.Field("purpose", purpose)]
    if knowledge_id is not None:
        fields.append(multipart.Field("knowledge_id", knowledge_id))
    return multipart.form((*fields, multipart.Field("file", content, filename, kind)))


def list_params(
    purpose: str | None, limit: int | None, after: str | None, order: str | None
) -> dict[str, str]:
    """The query that lists files."""
    given = {"purpose": purpose, "limit": limit, "after": after, "order": order}
    return {name: str(value) for name, value in given.items() if value is not None}


def decode_upload(body: bytes, classify: Classify) -> str:
    """
    The id of a file that was uploaded.

    Raises:
        ProviderError: the body is an error, or nonsense.
        RequestRejected: the knowledge base did not take the document.
    """
    uploaded = read_reply(_Uploaded, body, classify)
    taken = next((each.document_id for each in uploaded.taken or () if each.document_id), None)
    if (file_id := uploaded.id or taken) is not None:
        return file_id
    if uploaded.refused:
        raise RequestRejected(
            "the provider's knowledge base did not take the document",
            vendor_message=uploaded.refused[0].fail_reason,
        )
    # No field is insisted on by the model, so an error under HTTP 200 passes it.
    error = classify(200, {}, body)
    if error.vendor_code is not None:
        raise error
    raise ProviderProtocolError("the provider's reply to an upload names no file")


def decode_files(body: bytes, classify: Classify) -> tuple[StoredFile, ...]:
    """A list of files. Raises `ProviderError`, as `read_reply`."""
    return tuple(file.stored() for file in read_reply(_Files, body, classify).data)


def decode_text(body: bytes) -> str:
    """
    The text of a file that was uploaded for its text. Never fails: an answer of another shape is the text itself.

    An error cannot be told from a file that quotes one, so it must have come under its own HTTP status.
    """
    try:
        return _Text.model_validate_json(body).content
    except ValidationError:
        return body.decode("utf-8", "replace")


def check_deleted(body: bytes, classify: Classify) -> None:
    """Raises `RequestRejected` where the vendor says that the file is still there; `ProviderError` as `read_reply`."""
    if not read_reply(_Deleted, body, classify).deleted:
        raise RequestRejected("the provider did not delete the file")


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
