"""
The process that reads one document: `child.py TARGET PATH MOST_CHARS MEMORY_BYTES CPU_S`, its text on stdout.

It is run by its path, imports nothing of the gateway and knows none of its secrets. How it ends says the rest: see
`STATUSES`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys

WHOLE, CUT, BROKEN, TOO_MUCH = 0, 20, 21, 22
REASONS = {23: "encrypted", 24: "unsafe", 25: "no_text", BROKEN: "broken", TOO_MUCH: "too_complex"}
"""Exit status to the reason why there is no text."""


def main(target: str, path: str, most_chars: int, memory_bytes: int, cpu_s: int) -> int:
    """Read a document; the exit status."""
    _limit(memory_bytes, cpu_s)
    out = sys.stdout.buffer
    written = 0
    try:
        module, _, function = target.partition(":")
        for piece in getattr(importlib.import_module(module), function)(path):
            piece = piece[: most_chars - written + 1]  # noqa: PLW2901  # one more tells that there is more
            written += len(piece)
            out.write(piece[: len(piece) - max(0, written - most_chars)].encode("utf-8", "ignore"))
            if written > most_chars:
                break
        out.flush()
    except MemoryError:
        return TOO_MUCH
    except RecursionError:
        return TOO_MUCH
    except Exception as error:  # whatever a parser makes of a hostile file
        reason = getattr(error, "reason", "broken")
        return next((status for status, known in REASONS.items() if known == reason), BROKEN)
    return CUT if written > most_chars else WHOLE


def _limit(memory_bytes: int, cpu_s: int) -> None:
    with contextlib.suppress(
        ImportError
    ):  # Windows has no such limits; the time limit outside holds there
        import resource

        for limit, value in (
            (resource.RLIMIT_AS, memory_bytes),
            (resource.RLIMIT_CPU, cpu_s),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 64),
        ):
            with contextlib.suppress(ValueError, OSError):  # a house limit that is lower already
                resource.setrlimit(limit, (value, value))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])))
