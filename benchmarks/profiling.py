"""
Where our server's time goes under one load: `run.py --profile whole|stream|paced`.

With py-spy (on the PATH, or installed beside this Python) the running server is sampled from outside, which hardly disturbs
it; without it the server runs under cProfile, which makes small functions look dearer than they are.
"""

from __future__ import annotations

import io
import pstats
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import measures
from benchmarks.machine import Cores
from benchmarks.targets import OurServer, Upstream, ask_once

SECONDS = 8
TOP = 45
_SPY = ("record", "--format", "raw", "--rate", "500", "--duration", "600", "--threads")


def profile(key: str, *, cores: Cores, folder: Path) -> str:
    """Load our server and tell its hot spots, in microseconds a request (a stream counts as one)."""
    load = next(load for load in measures.LOADS if load.key == key)
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    upstream = Upstream(cores)
    with upstream.process:
        server = OurServer(upstream, cores, folder)
        dump = folder / "profile"
        try:
            server.start(() if spy else (sys.executable, "-m", "cProfile", "-o", str(dump)))
            ask_once(server)
            warm = measures.under_load(
                load, server, upstream, cores=cores, seconds=1, folder=folder
            )
            sampler = spy and subprocess.Popen(
                [spy, *_SPY, "--pid", str(server.process.pids()[0]), "--output", str(dump)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            before = server.process.cpu_by_thread()
            sample = measures.under_load(
                load, server, upstream, cores=cores, seconds=SECONDS, folder=folder
            )
            spent = {
                thread: (cpu - before.get(thread, 0)) / sample["answered"] * 1e6
                for thread, cpu in server.process.cpu_by_thread().items()
            }
            if sampler:
                sampler.send_signal(signal.SIGINT)
                sampler.wait(30)
        finally:
            server.stop()
    head = f"{sample['cpu_us_per_request']:.1f} us CPU a request, {sample['rps']:,.0f} requests/s under the profiler\n"
    if spy:
        return head + _from_samples(dump.read_text(), spent)
    return head + _from_cprofile(dump, int(sample["answered"] + warm["answered"]))


def _from_samples(text: str, us_by_thread: Mapping[int, float]) -> str:
    """
    The functions of the busiest thread.

    A sampler cannot tell a thread that waits in C from one that works, so the threads' own processor time is taken from the
    kernel, and only the shares within the busiest one from the samples.
    """
    busiest = max(us_by_thread, key=lambda thread: us_by_thread[thread])
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        root, *frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        if frames and str(busiest) in root:
            alone[frames[-1]] += int(count)
            for frame in set(frames):
                within[frame] += int(count)
    scale = us_by_thread[busiest] / max(1, alone.total())

    def lines(frames: Iterable[str]) -> Iterator[str]:
        yield "  own us  with callees  function"
        for frame in frames:
            yield f"{alone[frame] * scale:8.2f} {within[frame] * scale:13.2f}  {frame}"

    threads = ", ".join(
        f"{us:.1f} us in thread {thread}{' (the one below)' * (thread == busiest)}"
        for thread, us in us_by_thread.items()
        if us > 0.05
    )
    dearest = (frame for frame, _ in alone.most_common(TOP))
    widest = (frame for frame, _ in within.most_common(TOP))
    return "\n".join([threads, *lines(dearest), "", *lines(widest)])


def _from_cprofile(dump: Path, requests: int) -> str:
    out = io.StringIO()
    stats = pstats.Stats(str(dump), stream=out).strip_dirs()
    stats.sort_stats("tottime").print_stats(TOP)
    return f"cProfile over {requests} requests: divide by that\n{out.getvalue()}"
