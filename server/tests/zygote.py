"""
Workers that start at once: a process that has imported all of the server, and forks for each.

    zygote.py FOLDER < orders      an order: one line, the settings as JSON; the answer: one line, the worker's pid

A worker's standard output is the file FOLDER/PID. It is the worker that the supervisor starts, in all but its imports.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

MODULES = (
    "aiosqlite",
    "fengchao_core.assembly",
    "fengchao_core.jobs",
    "fengchao_core.kit.http",
    "fengchao_openai.provider",
    "fengchao_server.serving",
    "fengchao_server.worker",
    "fengchao_sql.store",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)


def main(folder: Path) -> None:
    """Fork until stdin ends. The workers end with this process, as with a supervisor."""
    for module in MODULES:
        import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    held = []
    with os.fdopen(os.dup(0), "rb", buffering=0) as orders:
        while order := orders.readline():
            theirs, ours = os.pipe()
            pid = os.fork()
            if pid == 0:
                orders.close()
                _work(theirs, [*held, ours], folder)
            os.close(theirs)
            held.append(ours)
            os.write(ours, order)
            os.write(1, b"%d\n" % pid)


def _work(stdin: int, others: list[int], folder: Path) -> None:
    status = 1
    try:
        for fd in others:  # it is alone when the zygote is gone, and only then
            os.close(fd)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(stdin, 0)
        os.dup2(os.open(folder / str(os.getpid()), os.O_CREAT | os.O_WRONLY, 0o600), 1)
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115  # as long as the process
        status = import_module("fengchao_server.worker").main()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
