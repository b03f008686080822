"""
Pictures: what one in a message is, read from its address or its first bytes, and one drawn from a prompt.

Nothing is ever fetched.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass
from urllib.parse import urlsplit

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Picture:
    """
    Facts about a picture.

    Attributes:
        format: `PNG`, `JPEG`, `GIF`, `WEBP`; empty where unknown (an address, another format).
        width: in pixels; 0 where unknown.
        height: in pixels; 0 where unknown.
        size_bytes: 0 for an address.
        source: host and file name of an address; empty for data.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    size_bytes: int = 0
    source: str = ""


def look_at(url: str) -> Picture:
    """
    Read what can be known of a picture.

    Args:
        url: an http(s) URL, a `data:` URL, or bare base64 (as some vendors want it).

    Raises:
        ValueError: neither an http(s) URL nor valid base64.
    """
    if url.startswith(("http://", "https://")):
        parts = urlsplit(url)
        return Picture(source=f"{parts.hostname or ''}/{parts.path.rsplit('/', 1)[-1]}")
    if url.startswith("data:"):
        head, comma, url = url.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ValueError("a data URL must look like data:image/png;base64,…")
    try:
        data = base64.b64decode(url, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError("the picture is neither an http(s) URL nor valid base64") from exc
    if not data:
        raise ValueError("the picture is empty")
    return _from_bytes(data)


def draw(prompt: str, width: int, height: int) -> bytes:
    """A PNG of this size whose two colours come from the prompt; the same prompt gives the same picture."""
    seed = zlib.crc32(prompt.encode("utf-8", "surrogatepass"))
    palette = struct.pack(">IH", seed, seed & 0xFFFF)  # two colours of three bytes
    row = bytes(width)
    rows = (b"\0" + row) * (height // 2) + (b"\0" + b"\1" * width) * (height - height // 2)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return _PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def _from_bytes(data: bytes) -> Picture:
    big = int.from_bytes
    if data.startswith(_PNG):
        return Picture("PNG", big(data[16:20], "big"), big(data[20:24], "big"), len(data))
    if data[:4] == b"GIF8":
        return Picture("GIF", big(data[6:8], "little"), big(data[8:10], "little"), len(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Picture("WEBP", size_bytes=len(data))
    if data[:2] == b"\xff\xd8":
        height, width = _jpeg_size(data)
        return Picture("JPEG", width, height, len(data))
    return Picture(size_bytes=len(data))


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Height and width from the first frame header; zeros where none is found."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        # C0 to CF are frame headers, but for the tables C4, C8 and CC.
        if 0xC0 <= data[at + 1] <= 0xCF and data[at + 1] not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(
                data[at + 7 : at + 9], "big"
            )
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0
