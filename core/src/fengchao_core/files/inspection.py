"""Looking at a file that came in: what it is, and whether it is safe to open at all. Reads little of it."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from fengchao_core.errors import FileRefused
from fengchao_core.files.kinds import (
    HEAD_BYTES,
    OLE,
    ZIP,
    Kind,
    contradicts,
    tell_media,
    tell_office,
    tell_text,
)

_END = struct.Struct("<4s4H2LH")
_END_MARK = b"PK\x05\x06"
_LONGEST_COMMENT = 65_535
_MOST_ENTRIES = 10_000
_MOST_DIRECTORY = 4 * 1024 * 1024
_MOST_UNPACKED = 256 * 1024 * 1024
_LARGE = 1024 * 1024
_MOST_RATIO = 500
_ENCRYPTED = 0x1


def inspect(path: Path, name: str) -> Kind:
    """
    The kind of a file.

    Args:
        name: as the caller called it.

    Raises:
        FileRefused: it is of no kind that is taken, not what its name says, or built to do harm.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise FileRefused("the file is empty", reason="empty")
        if head.startswith(OLE):
            raise FileRefused(
                "the file is an Office file of before 2007, or an encrypted one",
                reason="old_office",
            )
        kind: Kind | None
        if head.startswith(ZIP):
            kind = tell_office(_checked_names(file))
        else:
            kind = tell_media(head) or tell_text(head, name)
    if kind is None:
        raise FileRefused("the file is of no kind that is taken", reason="type")
    if contradicts(name, kind):
        raise FileRefused(
            f"its name says otherwise, but the file is {kind.name}", reason="mismatch"
        )
    return kind


def _checked_names(file: BinaryIO) -> frozenset[str]:
    """The names in an archive. Raises `FileRefused` where it is no decent one."""
    _check_end(file)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise FileRefused("the file is broken", reason="broken") from error
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names) or any(_is_hostile(name) for name in names):
        raise _unsafe()
    unpacked = 0
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.flag_bits & _ENCRYPTED:
            raise FileRefused("the file is encrypted", reason="encrypted")
        # Entries that share their packed bytes unpack to far more than there is.
        if entry.header_offset < end:
            raise _unsafe()
        end = entry.header_offset + entry.compress_size
        unpacked += entry.file_size
        is_bomb = entry.file_size > _LARGE and entry.file_size > _MOST_RATIO * max(
            1, entry.compress_size
        )
        if is_bomb or unpacked > _MOST_UNPACKED:
            raise _unsafe()
    return frozenset(names)


def _check_end(file: BinaryIO) -> None:
    """Refuse an archive whose directory alone would be too much, before it is read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = file.read()
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise FileRefused("the file is broken", reason="broken")
    _, disk, first_disk, _, entries, length, start, comment = _END.unpack_from(tail, at)
    if disk or first_disk or entries > _MOST_ENTRIES or length > _MOST_DIRECTORY:
        raise _unsafe()
    # Nothing before it, nothing after it: an archive that is something else as well is not taken.
    end_at = size - len(tail) + at
    if start + length != end_at or at + _END.size + comment != len(tail):
        raise _unsafe()


def _is_hostile(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in name


def _unsafe() -> FileRefused:
    return FileRefused("the file is built in a way that is not safe to open", reason="unsafe")
