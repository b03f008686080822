"""The vendor's prompt cache, as far as it shows in the usage: what was marked and seen before is read, not counted anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson

from fengchao_anthropic.sandbox.reading import items
from fengchao_core.kit.sandbox import count_tokens

_LEAST_TOKENS = 1024  # shorter prompts are not cached
_MOST_KEPT = 10_000


class PromptCache:
    """Remembers the prefixes of prompts that were marked with `cache_control`."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def look(self, body: Mapping[str, Any], prompt_tokens: int) -> tuple[int, int]:
        """
        Look a request up, and keep what it marks.

        Args:
            body: the request.
            prompt_tokens: what its whole prompt counts.

        Returns:
            input tokens that are read from the cache, and those that are written to it.
        """
        read = longest = 0
        for prefix, length in _marked(body):
            tokens = min(length, prompt_tokens)
            if tokens < _LEAST_TOKENS:
                continue
            longest = tokens
            if prefix in self._seen:
                read = tokens
            self._seen[prefix] = None
        while len(self._seen) > _MOST_KEPT:
            del self._seen[next(iter(self._seen))]
        return read, longest - read


def _marked(body: Mapping[str, Any]) -> Iterator[tuple[bytes, int]]:
    """The prefixes that end at a mark, as hashes, with their tokens; tools, system and messages in this order."""
    blocks: list[Mapping[str, Any]] = [
        *(body.get("tools") or ()),
        *items(body.get("system")),
        *(
            {**block, "role": message["role"]}
            for message in body["messages"]
            for block in items(message["content"])
        ),
    ]
    running = sha256(str(body.get("model")).encode())
    tokens = 0
    for at, block in enumerate(blocks):
        plain = orjson.dumps({k: v for k, v in block.items() if k != "cache_control"})
        running.update(plain)
        text = block.get("text")
        tokens += count_tokens(text if isinstance(text, str) else plain.decode())
        is_last = at == len(blocks) - 1
        if block.get("cache_control") or (is_last and body.get("cache_control")):
            yield running.digest(), tokens
