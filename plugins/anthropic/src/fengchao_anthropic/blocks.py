"""Our content parts as the vendor's content blocks. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import ContentPart, FilePart, ImagePart, TextPart

Block = dict[str, Any]

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def text_block(text: str) -> Block:
    """A block of text."""
    return {"type": "text", "text": text}


def is_blank(block: Block) -> bool:
    """Whether a block is text that holds nothing; the vendor refuses such ones."""
    return block.get("type") == "text" and not str(block.get("text", "")).strip()


def block_of(part: ContentPart, notes: list[str]) -> Block:
    """
    A content part as a block.

    Args:
        part: text, a picture or a file.
        notes: takes what had to be adapted.

    Raises:
        InvalidParameter: the vendor takes nothing like it.
    """
    if isinstance(part, TextPart):
        return text_block(part.text)
    if isinstance(part, ImagePart):
        if part.detail not in (None, "auto"):
            note = f"the image detail '{part.detail}' was left out: this provider has no such knob"
            if note not in notes:
                notes.append(note)
        return {"type": "image", "source": _image_source(part.url)}
    if isinstance(part, FilePart):
        return _document(part)
    kind = type(part).__name__.removesuffix("Part").lower()
    raise InvalidParameter(f"this provider takes no {kind} in messages", param="messages")


def _image_source(url: str) -> Block:
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    media_type, data = _data_url(url, "image")
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in IMAGE_TYPES:
        raise InvalidParameter(
            f"this provider takes pictures as {', '.join(sorted(IMAGE_TYPES))}, not as {media_type[:60]!r}",
            param="messages",
        )
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(part: FilePart) -> Block:
    titled: Block = {} if part.filename is None else {"title": part.filename}
    if part.file_id is not None:
        return {"type": "document", "source": {"type": "file", "file_id": part.file_id}, **titled}
    if part.data is None:
        raise InvalidParameter(
            "a file in a message needs a 'file_id' or a data URL", param="messages"
        )
    if part.data.startswith(("http://", "https://")):
        return {"type": "document", "source": {"type": "url", "url": part.data}, **titled}
    media_type, data = _data_url(part.data, "file")
    if media_type.startswith("image/"):
        return {"type": "image", "source": _image_source(part.data)}
    write = _DOCUMENTS.get(media_type)
    if write is None:
        raise InvalidParameter(
            f"this provider takes files as {', '.join(sorted(_DOCUMENTS))} or pictures, "
            f"not as {media_type[:60]!r}",
            param="messages",
        )
    return {"type": "document", "source": write(data), **titled}


def _pdf(data: str) -> Block:
    return {"type": "base64", "media_type": "application/pdf", "data": data}


def _plain(data: str) -> Block:
    try:
        text = base64.b64decode(data, validate=True).decode()
    except ValueError as error:
        raise InvalidParameter(
            "a text file in a message is not UTF-8; expected UTF-8 under text/plain",
            param="messages",
        ) from error
    return {"type": "text", "media_type": "text/plain", "data": text}


_DOCUMENTS: Mapping[str, Callable[[str], Block]] = {"application/pdf": _pdf, "text/plain": _plain}


def _data_url(url: str, what: str) -> tuple[str, str]:
    """
    Media type and base64 of a data URL; one that is percent-encoded is written anew.

    Raises:
        InvalidParameter: it is none.
    """
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:"):
        raise InvalidParameter(
            f"the {what} in a message is neither an http(s) URL nor a data URL", param="messages"
        )
    media_type, *options = head.removeprefix("data:").split(";")
    if "base64" not in options:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    elif not _is_base64(data):
        raise InvalidParameter(
            f"the data URL of the {what} in a message holds no valid base64", param="messages"
        )
    return media_type.lower() or "text/plain", data


def _is_base64(data: str) -> bool:
    # The ends tell what people get wrong (white space, a URL's alphabet, half a file); reading megabytes would only
    # cost time, and the vendor looks at the rest itself.
    if not data or len(data) % 4:
        return False
    try:
        base64.b64decode(data[:64], validate=True)
        base64.b64decode(data[-64:], validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
