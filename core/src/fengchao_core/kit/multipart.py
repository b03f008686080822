"""Forms with files, as `multipart/form-data` in one piece of bytes, so that they can be sent a second time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex

_QUOTED = {ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"}

Form = tuple[str, bytes]
"""The Content-Type and the body."""


@dataclass(frozen=True, slots=True)
class Field:
    """
    One field of a form: text, or a file where there is a `filename`.

    Names that are not ASCII travel as raw UTF-8, as browsers and the vendors' own clients send them.
    """

    name: str
    value: str | bytes
    filename: str | None = None
    content_type: str = "application/octet-stream"


def form(fields: Iterable[Field]) -> Form:
    """A form of fields, in the given order."""
    boundary = f"fengchao-{token_hex(16)}"
    pieces: list[bytes] = []
    for field in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field.name.translate(_QUOTED)}"'
        if field.filename is not None:
            head += f'; filename="{field.filename.translate(_QUOTED)}"\r\nContent-Type: {field.content_type}'
        value = field.value.encode() if isinstance(field.value, str) else field.value
        pieces += (head.encode(), b"\r\n\r\n", value, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)
