"""
Files in messages, for vendors that read files but take none in a chat: the text goes before the question.

Pure: `attached` says which files a conversation holds; `inject` puts their texts in their place as system messages of
their own, `put_within` into the message itself, for vendors that take a system message only at the beginning.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote_to_bytes

from fengchao_core.errors import InvalidParameter
from fengchao_core.types import FilePart, Message, TextPart


def attached(messages: tuple[Message, ...]) -> tuple[FilePart, ...]:
    """
    The files of a conversation, each once.

    Raises:
        InvalidParameter: one has neither an id nor data, or a message holds nothing but files.
    """
    found: dict[FilePart, None] = {}
    for message in messages:
        files = _files(message)
        if files and len(files) == len(message.content or ()):
            raise InvalidParameter(
                "a message holds only files; expected a text beside them", param="messages"
            )
        for part in files:
            if not part.file_id and not part.data:
                raise InvalidParameter(
                    "a file needs a 'file_id' of this provider, or its data", param="messages"
                )
            found[part] = None
    return tuple(found)


def inject(messages: tuple[Message, ...], texts: Mapping[FilePart, str]) -> tuple[Message, ...]:
    """The conversation with one system message for each file, before the message that it first stood in."""
    left = dict(texts)
    written: list[Message] = []
    for message in messages:
        files = _files(message)
        written += [Message("system", left.pop(part)) for part in files if part in left]
        written.append(_without_files(message) if files else message)
    return tuple(written)


def put_within(messages: tuple[Message, ...], texts: Mapping[FilePart, str]) -> tuple[Message, ...]:
    """The conversation with each file's text in the message that it first stood in, before what that says itself."""
    left = dict(texts)
    written: list[Message] = []
    for message in messages:
        files = _files(message)
        if not files:
            written.append(message)
            continue
        found = "\n\n".join(left.pop(part) for part in files if part in left)
        bare = _without_files(message)
        content = bare.content
        if isinstance(content, tuple):
            written.append(replace(bare, content=(TextPart(found), *content)))
        else:
            written.append(replace(bare, content=f"{found}\n\n{content}" if found else content))
    return tuple(written)


def decode_data(data: str) -> bytes:
    """
    The bytes of a file that came within a message: a `data:` URL, or bare base64.

    Raises:
        InvalidParameter: it is neither.
    """
    if data.startswith("data:"):
        head, comma, data = data.partition(",")
        if comma and not head.endswith(";base64"):
            return unquote_to_bytes(data)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        pass  # and raised below: the decoder's own error would hold the file
    raise InvalidParameter("the data of a file is neither a data: URL nor base64", param="messages")


def _files(message: Message) -> tuple[FilePart, ...]:
    content = message.content
    if content is None or isinstance(content, str):
        return ()
    return tuple(part for part in content if isinstance(part, FilePart))


def _without_files(message: Message) -> Message:
    others = tuple(part for part in message.content or () if not isinstance(part, FilePart | str))
    # Models without eyes take text only, and not as a list.
    is_text = all(isinstance(part, TextPart) for part in others)
    return replace(message, content=message.text if is_text else others)
