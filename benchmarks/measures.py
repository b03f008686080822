"""
How each figure is taken: the load driver against a server, one side of the in-process comparison, the footprint.

Every function measures once and returns plain samples; `run.py` decides the order and `table.py` what they mean.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import CACHE, CannotMeasure, Cores, Process
from benchmarks.targets import (
    BODY,
    PATH,
    STREAM_BODY,
    STREAM_NEEDLE,
    WHOLE_NEEDLE,
    OurServer,
    Target,
    Upstream,
    ask_once,
    clean_environment,
    headers,
)

Sample = dict[str, float]
FORBIDDEN = ("sqlalchemy", "numpy", "torch", "cryptography", "opentelemetry.sdk", "aiohttp", "jwt")
IMPORT = f"""\
import json, sys, time
before = time.process_time()
import fengchao_core
spent = time.process_time() - before
print(json.dumps([spent * 1000, len(sys.modules), [m for m in {FORBIDDEN!r} if m in sys.modules]]))
"""


@dataclass(frozen=True, slots=True)
class Load:
    """
    A way to load a server.

    Attributes:
        event_us: time between the events of a stream at the upstream; 0: full speed.
        ramp_ms: over how long the first requests are spread, so that paced streams do not march in step.
    """

    key: str
    streamed: bool
    connections: int = 64
    event_us: int = 0
    ramp_ms: int = 0


WHOLE = Load("whole", streamed=False)
STREAM = Load("stream", streamed=True)
PACED = Load("paced", streamed=True, event_us=20_000, ramp_ms=1_300)
LOADS = (WHOLE, STREAM, PACED)


def under_load(
    load: Load, target: Target, upstream: Upstream, *, cores: Cores, seconds: float, folder: Path
) -> Sample:
    """Load a target for some seconds and wait for what is under way."""
    upstream.pace(load.event_us)
    body = folder / f"{load.key}.json"
    body.write_text(
        json.dumps(
            STREAM_BODY if load.streamed else BODY, ensure_ascii=False, separators=(",", ":")
        )
    )
    cpu = target.process.cpu_s()
    with Process(
        [
            str(CACHE / "load"),
            str(target.port),
            PATH,
            str(load.connections),
            str(seconds),
            str(load.ramp_ms),
            str(body),
            STREAM_NEEDLE if load.streamed else WHOLE_NEEDLE,
            f"Authorization: {headers(target)['Authorization']}",
        ],
        core=cores.front,
    ) as driver:
        line = driver.line()
    target.process.insist_alive()
    if not line:
        raise CannotMeasure(f"the load driver could not reach {target.name}")
    sample: Sample = json.loads(line)
    cpu = target.process.cpu_s() - cpu
    sample["cpu_us_per_request"] = cpu * 1e6 / max(1, sample["answered"])
    sample["cpu_us_per_event"] = cpu * 1e6 / max(1, sample["events"])
    sample["events_per_answer"] = sample["events"] / max(1, sample["answered"])
    sample["rss_mb"] = target.process.rss_mb()
    sample["spoiled"] = sample["bad_status"] + sample["no_needle"] + sample["lost"]
    if isinstance(target, OurServer):
        target.answered += int(sample["answered"])
    return sample


def in_process(
    side: str, mode: str, upstream: Upstream, *, cores: Cores, seconds: float, config: Path
) -> Sample:
    """Run one side (`bare`, `ours`) of one mode (`chat`, `stream`) in a process of its own."""
    root = Path(__file__).resolve().parents[1]
    env = {**clean_environment(), "FENGCHAO_HOME": str(config.parent / "home")}
    with Process(
        [
            sys.executable,
            "-m",
            "benchmarks.inprocess",
            side,
            mode,
            upstream.url,
            str(seconds),
            str(config),
        ],
        core=cores.target,
        cwd=root,
        env=env,
    ) as worker:
        line = worker.line()
    if not line:
        raise CannotMeasure(f"the in-process {side} side of {mode!r} failed; see the error above")
    sample: Sample = json.loads(line)
    expected = "狐狸跳过了懒狗" if mode == "chat" else "brown狐狸 brown狐狸"
    if expected not in str(sample.pop("text")):
        raise CannotMeasure(f"the in-process {side} side of {mode!r} got another answer")
    return sample


def importing(*, cores: Cores) -> Sample:
    """Import `fengchao_core` in a fresh interpreter: processor ms, modules, and the ones that must not be there."""
    with Process([sys.executable, "-c", IMPORT], core=cores.target) as worker:
        line = worker.line()
    if not line:
        raise CannotMeasure("fengchao_core cannot be imported; see the error above")
    spent_ms, modules, forbidden = json.loads(line)
    if forbidden:
        raise CannotMeasure(f"importing fengchao_core loads {', '.join(forbidden)}")
    return {"cpu_ms": spent_ms, "modules": modules}


def cold_start(server: OurServer, *, words: bool = True) -> Sample:
    """Start our server: seconds until its first answer, and its memory when it idles a second later."""
    began = time.monotonic()
    server.start(words=words)
    ask_once(server)
    took = time.monotonic() - began
    server.answered += 1
    time.sleep(1)
    return {"cold_start_s": took, "idle_rss_mb": server.process.rss_mb()}


def compile_bytecode(server: OurServer) -> None:
    """Serve once, so that no figure pays for compiling what is imported."""
    cold_start(server)
    server.stop()
