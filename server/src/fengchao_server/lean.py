"""
Keeps rich out of the server: imported first of all by what starts a process.

structlog imports rich wherever it is installed, for tracebacks that we do not draw: 6 MB and a twentieth of a second in
every process. While structlog is imported here, rich is made to look absent; afterwards whoever wants it finds it.
"""

import sys

if "structlog" not in sys.modules and "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]  # how Python is told that a module is absent
    try:
        import structlog  # noqa: F401  # imported for its own sake, now
    finally:
        del sys.modules["rich"]
