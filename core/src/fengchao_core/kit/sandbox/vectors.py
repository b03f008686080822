"""Embedding vectors without a model: the same text gives the same vector, similar texts give similar ones."""

from __future__ import annotations

import math
from hashlib import blake2b


def embedding(text: str, dimensions: int) -> list[float]:
    """
    A vector of a text.

    Each run of one, two and three characters votes, by its hash, for one dimension and a sign; texts that share runs
    share votes, so their vectors point alike.

    Returns:
        [dimensions] floats, of length one.
    """
    votes = [0.0] * dimensions
    folded = f" {' '.join(text.lower().split())} "
    for size in (1, 2, 3):
        for start in range(len(folded) - size + 1):
            run = folded[start : start + size].encode("utf-8", "surrogatepass")
            number = int.from_bytes(blake2b(run, digest_size=8).digest(), "big")
            votes[(number >> 1) % dimensions] += (1.0 if number & 1 else -1.0) * size
    length = math.sqrt(sum(vote * vote for vote in votes))
    if (
        not length
    ):  # votes that cancel each other out: still a direction, the same for all such texts
        return [1.0] + [0.0] * (dimensions - 1)
    return [vote / length for vote in votes]
