"""The tokens of a byte-level tokenizer as bytes, and bytes back into text that never holds half a character."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from functools import cache
from typing import Any


class Vocabulary:
    """
    What a Qwen tokenizer's tokens mean in bytes.

    Args:
        tokenizer: a fast transformers tokenizer with a byte-level vocabulary.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added: Mapping[int, Any] = tokenizer.added_tokens_decoder
        self._bytes: dict[int, bytes] = {}
        self.special: frozenset[int] = frozenset(
            token for token, added in self._added.items() if added.special
        )

    def bytes_of(self, token: int) -> bytes:
        """The bytes of a token; empty for special tokens and numbers that stand for none."""
        known = self._bytes.get(token)
        if known is None:
            known = self._bytes[token] = self._read(token)
        return known

    def name_of(self, token: int) -> str:
        """A token as text for people, special ones by their names."""
        added = self._added.get(token)
        if added is not None:
            return str(added.content)
        return self.bytes_of(token).decode("utf-8", "replace")

    def single(self, byte: int) -> int | None:
        """The token that stands for one byte alone."""
        found = self._tokenizer.convert_tokens_to_ids(_alphabet()[byte])
        return found if isinstance(found, int) and self.bytes_of(found) == bytes([byte]) else None

    def _read(self, token: int) -> bytes:
        added = self._added.get(token)
        if added is not None:
            return b"" if added.special else str(added.content).encode()
        text = self._tokenizer.convert_ids_to_tokens(token)
        if text is None:  # the model's vocabulary is padded beyond the tokenizer's
            return b""
        back = _bytes_back()
        return bytes(back[c] for c in text) if all(c in back for c in text) else text.encode()


class TextReader:
    """Joins tokens to text: a character comes out when its last byte has come in."""

    __slots__ = ("_decoder", "_vocabulary")

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        # Bytes that cannot be UTF-8 become U+FFFD; those that may still become a character are held.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """The text that is certain after this token. What is held at the end is no whole character and is dropped."""
        return self._decoder.decode(self._vocabulary.bytes_of(token))


@cache
def _alphabet() -> tuple[str, ...]:
    """
    The character that stands for each byte in byte-level vocabularies.

    Printable bytes of Latin-1 stand for themselves; the others, in order, for the characters from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    rest = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printable else next(rest)) for byte in range(256))


@cache
def _bytes_back() -> Mapping[str, int]:
    return {character: byte for byte, character in enumerate(_alphabet())}
