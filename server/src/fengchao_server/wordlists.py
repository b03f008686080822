"""How word lists are written, for those who bring or take them as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from fengchao_core.errors import InvalidParameter

if TYPE_CHECKING:
    from fengchao_core.sensitive import Format

FORMATS: Final = ("txt", "csv", "json")


def format_of(name: str) -> Format:
    """The format of this name, in any letter case. Raises `InvalidParameter`."""
    if name.lower() not in FORMATS:
        raise InvalidParameter(f"a word list is written as {', '.join(FORMATS)}", param="format")
    return cast("Format", name.lower())
