"""
What the benchmarks ask of the machine: cores, processes, their processor time and memory, and two small C tools.

Linux only: processor time and memory are read from `/proc`, and the C tools use epoll.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"


class CannotMeasure(Exception):
    """Something the benchmarks need is missing, or a figure would not be one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Cores:
    """
    Where things run.

    Attributes:
        front: the core of the load driver and the upstream; None where nothing is pinned.
        target: the core of what is measured.
    """

    front: int | None = None
    target: int | None = None

    @classmethod
    def choose(cls) -> Cores:
        """The first and the last core this process may use; neither where there are not two."""
        if not hasattr(os, "sched_setaffinity"):
            return cls()
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[-1]) if len(usable) > 1 else cls()

    def describe(self) -> str:
        """One line for the head of the report."""
        if self.front is None:
            return "not pinned (fewer than two cores, or no affinity here): read ratios with care"
        return f"pinned: upstream and load driver on core {self.front}, what is measured on core {self.target}"


@contextmanager
def _on_core(core: int | None) -> Iterator[None]:
    """Processes started inside inherit the core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A process of ours and its children: measured, and ended by pid when its `with` block ends."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int | None,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        with _on_core(core), (log or Path(os.devnull)).open("ab") as errors:
            self._popen = subprocess.Popen(
                command,
                env=None if env is None else dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=errors if log else subprocess.PIPE,
                stderr=errors if log else None,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def line(self) -> str:
        """The first line it prints (only without a log)."""
        assert self._popen.stdout is not None
        return self._popen.stdout.readline()

    def insist_alive(self) -> None:
        """Raise `CannotMeasure` with the end of its log where it has ended."""
        code = self._popen.poll()
        if code is not None:
            tail = self.log.read_text("utf-8", "replace")[-1500:] if self.log else ""
            raise CannotMeasure(f"{self._popen.args!r} ended with {code}:\n{tail}")

    def stop(self, patience_s: float = 10) -> None:
        """Ask it to end (SIGTERM) and wait; its group is killed where it does not."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(patience_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def pids(self) -> list[int]:
        """It and its descendants."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found, todo = [], [self._popen.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """Processor seconds so far, of all threads of all its processes."""
        return sum(self.cpu_by_thread().values())

    def cpu_by_thread(self) -> dict[int, float]:
        """Processor seconds so far of each thread, by its id; a process's main thread has the process's own."""
        spent: dict[int, float] = {}
        for pid in self.pids():
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):  # it ended between the listing and the reading
                    spent[int(thread.parent.name)] = int(thread.read_text().split()[0]) / 1e9
        return spent

    def rss_mb(self) -> float:
        """Resident memory of all its processes, in MB."""
        total = 0
        for pid in self.pids():
            found = re.search(
                r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
            )
            total += int(found[1]) if found else 0
        return total / 1024


def build_tools() -> None:
    """Compile the upstream and the load driver where they are absent or older than their source."""
    if not sys.platform.startswith("linux"):
        raise CannotMeasure(
            "the benchmarks need Linux (epoll and /proc); run them in a Linux virtual machine or container"
        )
    CACHE.mkdir(exist_ok=True)
    for name in ("upstream", "load"):
        source, binary = HERE / f"{name}.c", CACHE / name
        if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
            continue
        compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
        if compiler is None:
            raise CannotMeasure(
                "no C compiler: the upstream and the load driver are small C programs; "
                "install gcc (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc) and repeat"
            )
        done = subprocess.run(
            [compiler, "-O2", "-Wall", "-o", str(binary), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotMeasure(
                f"{compiler} could not compile {source.name} (on Debian and Ubuntu libc6-dev is needed too):\n{done.stderr}"
            )


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
