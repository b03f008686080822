"""A whole gateway in a process of its own, as a newcomer starts it: every vendor of the repository, emulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_HIDE_TORCH = "import sys\nsys.modules['torch'] = sys.modules['transformers'] = None\n"
"""What Python takes for modules that are not there."""


class Served(NamedTuple):
    """A server that serves: its address without a trailing slash, and a key of its own."""

    url: str
    token: str
    api_key: str
    secret_key: str
    setup: str
    """The link with which the first operator sets a password."""


@contextmanager
def served(
    home: Path, *arguments: str, env: Mapping[str, str] | None = None, engine: bool = False
) -> Iterator[Served]:
    """
    `fengchao serve --sandbox`, until the block ends.

    Args:
        home: an empty folder for its data.
        arguments: further ones of the command line.
        env: further settings.
        engine: whether local models run where torch is installed; else they are emulated, which starts at once.
    """
    if not engine:
        hidden = home / "without-torch"
        hidden.mkdir(exist_ok=True)
        (hidden / "sitecustomize.py").write_text(_HIDE_TORCH, "utf-8")
        env = {"PYTHONPATH": str(hidden), **(env or {})}
    command = [sys.executable, "-m", "fengchao_server", "serve", "--sandbox", "--json"]
    command += ["--port", "0", *arguments]
    environment = {**os.environ, "FENGCHAO_HOME": str(home), "FENGCHAO__LOG__LEVEL": "error"}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**environment, **(env or {})},
        cwd=home,
    ) as process:
        try:
            assert process.stdout is not None
            facts: dict[str, Any] = json.loads(process.stdout.readline())
            key = facts["key"]
            yield Served(
                facts["url"].rstrip("/"),
                key["token"],
                key["api_key"],
                key["secret_key"],
                facts["setup"],
            )
        finally:
            process.send_signal(signal.SIGTERM)
