"""How much memory there is, what a model will take of it, and how many tokens of cache fit."""

from __future__ import annotations

import os
from pathlib import Path

from fengchao_local_qwen.weights import FolderError, Weights

_OVERHEAD_BYTES = 300 * 1024**2
"""What the libraries themselves take, and the numbers between two layers."""

_CACHE_SHARE = 0.5
_MOST_CPU_CACHE_BYTES = 4 * 1024**3


def available_bytes() -> int | None:
    """Memory of the machine that can be had, a container's limit respected; None where nobody knows."""
    free = _meminfo()
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is not None and used is not None:
        left = max(0, limit - used)
        return left if free is None else min(free, left)
    return free


def check_memory(weights: Weights, dtype: str, available: int | None, *, where: str) -> None:
    """
    Refuse a model that cannot fit, before a byte of it is read.

    Raises:
        FolderError: with the figures.
    """
    needed = weights.needed_bytes(dtype) + _OVERHEAD_BYTES
    if available is not None and needed > available:
        raise FolderError(
            f"the weights in {weights.folder} need about {_gib(needed)} as {dtype}, and {where} has {_gib(available)} "
            "free; take a smaller or a quantised model, another dtype, or another device"
        )


def cache_tokens_for(
    weights: Weights, dtype: str, left: int | None, *, slots: int, context: int, is_cpu: bool
) -> int:
    """
    How many tokens of cache to keep, of the memory that is left after loading.

    No more than all slots could use; at least one page.
    """
    most = slots * context
    if left is None:
        return min(most, 4 * context)
    share = int(left * _CACHE_SHARE)
    if is_cpu:
        share = min(share, _MOST_CPU_CACHE_BYTES)
    per_token = max(1, weights.cache_bytes(1, dtype))
    return max(64, min(most, share // per_token))


def resident_bytes() -> int | None:
    """Memory of this process; None where nobody knows."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _cgroup(name: str) -> int | None:
    try:
        return int(Path("/sys/fs/cgroup", name).read_text("ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
