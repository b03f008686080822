"""What a file is, by its first bytes. Its name only tells one kind of text from another. Pure."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Group = Literal["text", "document", "picture", "film"]


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of file that is taken.

    Attributes:
        name: `pdf`, `png` …
        group: `text` is read as it is, `document` by a reader of its kind, the others are shown to the model.
        endings: which names such a file may have.
    """

    name: str
    group: Group
    media_type: str
    endings: tuple[str, ...]


PLAIN = Kind("text", "text", "text/plain", ("txt",))

KINDS = {
    kind.name: kind
    for kind in (
        PLAIN,
        Kind("markdown", "text", "text/markdown", ("md", "markdown")),
        Kind("csv", "text", "text/csv", ("csv", "tsv")),
        Kind("json", "text", "application/json", ("json", "jsonl")),
        Kind("html", "document", "text/html", ("html", "htm", "xhtml")),
        Kind("pdf", "document", "application/pdf", ("pdf",)),
        Kind(
            "docx",
            "document",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ("docx",),
        ),
        Kind(
            "xlsx",
            "document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            ("xlsx",),
        ),
        Kind(
            "pptx",
            "document",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            ("pptx",),
        ),
        Kind("png", "picture", "image/png", ("png",)),
        Kind("jpeg", "picture", "image/jpeg", ("jpg", "jpeg", "jfif")),
        Kind("gif", "picture", "image/gif", ("gif",)),
        Kind("webp", "picture", "image/webp", ("webp",)),
        Kind("bmp", "picture", "image/bmp", ("bmp",)),
        Kind("mp4", "film", "video/mp4", ("mp4", "m4v")),
        Kind("mov", "film", "video/quicktime", ("mov",)),
        Kind("webm", "film", "video/webm", ("webm",)),
    )
}
"""Every kind that is taken."""

HEAD_BYTES = 4096
"""How much of a file `tell` wants to see."""

_BY_ENDING = {ending: kind for kind in KINDS.values() for ending in kind.endings}
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
_OFFICE = (
    ("word/document.xml", "docx"),
    ("xl/workbook.xml", "xlsx"),
    ("ppt/presentation.xml", "pptx"),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"

ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""What Office files of before 2007 begin with, and encrypted ones of today."""


def tell_media(head: bytes) -> Kind | None:
    """The kind of a picture, film or PDF by its first bytes; None for anything else."""
    for start, name in _STARTS:
        if head.startswith(start):
            return KINDS[name]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return KINDS["webp"]
    if head[:2] == b"BM" and len(head) > 26 and head[14:18] in _BITMAP_HEADERS:
        return KINDS["bmp"]
    if head[4:8] == b"ftyp":
        return KINDS["mov" if head[8:12] == b"qt  " else "mp4"]
    if head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head[:64]:
        return KINDS["webm"]
    return None


_BITMAP_HEADERS = tuple(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def tell_office(names: frozenset[str]) -> Kind | None:
    """The kind of an Office file by the names within its archive; None for any other archive."""
    if "[Content_Types].xml" not in names:
        return None
    found = [KINDS[kind] for part, kind in _OFFICE if part in names]
    return found[0] if len(found) == 1 else None


def tell_text(head: bytes, name: str) -> Kind | None:
    """The kind of a text, by how it begins and by its name; None for what is no text."""
    if not head.startswith(_UTF16) and b"\0" in head:
        return None
    beginning = head.removeprefix(_UTF8_MARK)[:512].lstrip().lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        return KINDS["html"]
    kind = _BY_ENDING.get(ending_of(name), PLAIN)
    return kind if kind.group == "text" or kind.name == "html" else PLAIN


def contradicts(name: str, kind: Kind) -> bool:
    """Whether a file's name claims a kind that its content is not."""
    claimed = _BY_ENDING.get(ending_of(name))
    if claimed is None or claimed is kind:
        return False
    return not (_is_text(claimed) and _is_text(kind))


def ending_of(name: str) -> str:
    """The ending of a name, in small letters and without its dot."""
    return PurePosixPath(name).suffix[1:].lower()


def decode_text(content: bytes, *, is_whole: bool = True) -> str | None:
    """
    A text of any usual encoding: UTF-8, UTF-16 with its mark, or GB 18030; None where it is none of them.

    Control characters that no text has make it none.

    Args:
        is_whole: False where the content is only the beginning, and may end within a character.
    """
    text: str | None = None
    encodings = ("utf-16",) if content.startswith(_UTF16) else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(content, is_whole)
            break
        except UnicodeDecodeError:
            continue
    if text is None or _controls(text) > len(text) // 100:
        return None
    return text.replace("\r\n", "\n").replace("\0", "")


def _controls(text: str) -> int:
    return len(text) - len(text.translate(_NO_CONTROLS))


_NO_CONTROLS = {code: None for code in range(32) if chr(code) not in "\t\n\r\f\x1b"}


def _is_text(kind: Kind) -> bool:
    return kind.group == "text" or kind.name == "html"
