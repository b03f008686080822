"""What a vendor sends beside an answer, in its own shape: a tree of JSON in which every text is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

_DEEPEST: Final = 32
_LONGEST_TOKEN: Final = 2000


def screened_extra(
    extra: Mapping[str, object], screen: Callable[[str], str]
) -> Mapping[str, object]:
    """
    The same facts, with every text as `screen` gives it back. Names of fields are the vendor's, and stay.

    What is no text to be read (a picture or a sound in base64) is left alone; what nests beyond reason is left out.
    """
    return {name: _screened(value, screen, _DEEPEST) for name, value in extra.items()}


def text_length(value: object, depth: int = _DEEPEST) -> int:
    """How many characters of text there are in such facts."""
    if isinstance(value, str):
        return len(value)
    if depth and isinstance(value, Mapping):
        return sum([text_length(inner, depth - 1) for inner in value.values()])
    if depth and isinstance(value, list | tuple):
        return sum([text_length(inner, depth - 1) for inner in value])
    return 0


def _screened(value: object, screen: Callable[[str], str], depth: int) -> object:
    if isinstance(value, str):
        return value if _is_data(value) else screen(value)
    if depth and isinstance(value, Mapping):
        return {name: _screened(inner, screen, depth - 1) for name, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_screened(inner, screen, depth - 1) for inner in value]
    return None if isinstance(value, Mapping | list | tuple) else value


def _is_data(text: str) -> bool:
    """Whether a text is a long unbroken row of ASCII characters, as base64 is."""
    return len(text) > _LONGEST_TOKEN and text.isascii() and not any(map(str.isspace, text))
