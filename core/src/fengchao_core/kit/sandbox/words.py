"""
Text as the sandboxes see it: its tokens, its language, and its pieces for a stream.

All pure and deterministic: the same text always gives the same tokens and the same pieces, on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from zlib import crc32

# Two ideographs, six letters or three digits to a token are about what the tokenizers of today's models need.
_TOKEN = re.compile(
    r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]{1,2}| ?[A-Za-z]{1,6}|[0-9]{1,3}|\s+|.", re.DOTALL
)
_IDEOGRAPH = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002fa1f]")


def tokenize(text: str) -> list[str]:
    """Cut a text into its tokens; joined again they are the text."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens a text has; 0 for the empty text."""
    return len(_TOKEN.findall(text))


def is_chinese(text: str) -> bool:
    """Whether a text holds at least one Chinese character."""
    return _IDEOGRAPH.search(text) is not None


def pieces(text: str, *, longest: int = 4) -> Iterator[str]:
    """
    Cut a text for a stream, regardless of words, so that every word is split somewhere.

    Args:
        text: any text.
        longest: the longest piece, in characters; the shortest is one.

    Yields:
        the pieces in order; joined they are the text.
    """
    state = crc32(text.encode("utf-8", "surrogatepass"))
    start = 0
    while start < len(text):
        # The constants of a well-known linear congruential generator; the high bits are the random ones.
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        length = 1 + (state >> 16) % longest
        yield text[start : start + length]
        start += length


def shorten(text: str, limit: int) -> str:
    """A text on one line, cut with an ellipsis where it is longer than `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
