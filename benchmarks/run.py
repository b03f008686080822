"""
The benchmarks of fengchao, side by side with a bare aiohttp forwarder, in one run; see README.md beside this file.

    python benchmarks/run.py [--quick] [--rounds N] [--only server,inprocess,footprint] [--profile whole|stream|paced]

Exit status 0: every limit holds; 1: one does not, or a figure is spoiled; 2: something needed is missing.
"""

# ruff: noqa: E402  # the imports of this package need its parent on the path

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # so that `benchmarks` is a package

from benchmarks import measures, table
from benchmarks.machine import HERE, CannotMeasure, Cores, build_tools
from benchmarks.targets import (
    EVENTS,
    Direct,
    Forwarder,
    OurServer,
    Target,
    Upstream,
    ask_once,
    write_settings,
)

PARTS = ("footprint", "inprocess", "server")


@dataclass(slots=True)
class Run:
    """One run: how long, where, and what it has found so far."""

    rounds: int
    seconds: float
    cores: Cores
    folder: Path
    samples: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def keep(self, measure: str, side: str, sample: dict[str, float]) -> None:
        """Remember a sample and say that it was taken."""
        self.samples.setdefault(measure, {}).setdefault(side, []).append(sample)
        print(f"\r\x1b[K{measure}: {side}" if sys.stderr.isatty() else ".", end="", file=sys.stderr)
        sys.stderr.flush()


def footprint(run: Run, server: OurServer) -> Iterator[table.Row]:
    """Import, start and idle, the latter without a word list, which takes what it takes; leaves the server running."""
    measures.compile_bytecode(server)
    run.keep("idle", "ours", measures.cold_start(server, words=False))
    server.stop()
    for again in range(run.rounds):
        run.keep("import", "ours", measures.importing(cores=run.cores))
        if again:
            server.stop()
        run.keep("start", "ours", measures.cold_start(server))
    imported, started = run.samples["import"]["ours"], run.samples["start"]["ours"]
    yield table.alone("import fengchao_core", "cpu_ms", "ms CPU", imported, 300)
    yield table.alone("cold start to first answer", "cold_start_s", "s", started, 1.5)
    yield table.alone("server idle", "idle_rss_mb", "MB RSS", run.samples["idle"]["ours"], 90)
    held = statistics.median(sample["idle_rss_mb"] for sample in started)
    run.notes.append(f"with its 10,000 words the idle server holds {held:.0f} MB")


def inprocess(run: Run, upstream: Upstream) -> Iterator[table.Row]:
    """`gateway.chat` and `gateway.stream` beside bare aiohttp calls, with words and a database as the server has."""
    folder = run.folder / "inprocess"
    folder.mkdir()
    config = write_settings(folder, upstream.url, 0)
    upstream.pace(0)
    for turn in range(run.rounds):
        for mode in ("chat", "stream"):
            for side in _turns("bare", "ours", turn):
                sample = measures.in_process(
                    side, mode, upstream, cores=run.cores, seconds=run.seconds / 2, config=config
                )
                run.keep(f"gateway.{mode}", side, sample)
    for mode, limit, what in (
        ("chat", 1.6, "gateway.chat"),
        ("stream", 4, "gateway.stream, 64 chunks"),
    ):
        samples = run.samples[f"gateway.{mode}"]
        yield table.compare(what, "cpu_us_per_call", "us CPU a call", samples, limit)


def server_load(run: Run, upstream: Upstream, ours: OurServer) -> Iterator[table.Row]:
    """Our server and the bare forwarder, turn by turn, under the three loads."""
    forwarder = Forwarder(upstream, run.cores, run.folder)
    with forwarder.process:
        ask_once(forwarder)
        sides: dict[str, Target] = {"bare": forwarder, "ours": ours}
        for load in measures.LOADS[:2]:  # warm both up
            for target in sides.values():
                _load(run, load, target, upstream, seconds=0.7)
            direct = _load(run, load, Direct(upstream), upstream, seconds=run.seconds / 3)
            run.keep(load.key, "upstream alone", direct)
        for turn in range(run.rounds):
            for load in measures.LOADS:
                for side in _turns("bare", "ours", turn):
                    run.keep(load.key, side, _load(run, load, sides[side], upstream))
    for load in (measures.STREAM, measures.PACED):
        if any(abs(s["events_per_answer"] - EVENTS) > 1e-9 for s in run.samples[load.key]["ours"]):
            seen = run.samples[load.key]["ours"][0]["events_per_answer"]
            run.notes.append(
                f"{load.key}: our streams have {seen:.2f} events, the upstream's {EVENTS}"
            )
    whole, stream, paced = (run.samples[load.key] for load in measures.LOADS)
    for name, samples, rate, cpu in (
        ("whole", whole, "rps", "cpu_us_per_request"),
        ("stream", stream, "events_s", "cpu_us_per_event"),
    ):
        by_rate, by_cpu = (
            _ratio(samples, "ours", "bare", rate),
            _ratio(samples, "bare", "ours", cpu),
        )
        if not 0.87 < by_rate / by_cpu < 1.15:
            run.notes.append(
                f"{name}: the ratio is {by_rate:.2f} by the clock but {by_cpu:.2f} by processor time: "
                "others used the cores meanwhile; trust the latter"
            )
    yield table.compare("whole, 64 connections", "rps", "requests/s", whole, 0.6, at_least=True)
    yield table.compare(
        "64 streams, full speed", "events_s", "events/s", stream, 0.4, at_least=True
    )
    yield table.compare(
        "64 streams, 20 ms an event", "cpu_us_per_event", "us CPU an event", paced, 1.6
    )


def _load(
    run: Run, load: measures.Load, target: Target, upstream: Upstream, *, seconds: float = 0
) -> dict[str, float]:
    return measures.under_load(
        load, target, upstream, cores=run.cores, seconds=seconds or run.seconds, folder=run.folder
    )


def _ratio(samples: Mapping[str, table.Samples], above: str, below: str, key: str) -> float:
    return statistics.median(s[key] for s in samples[above]) / statistics.median(
        s[key] for s in samples[below]
    )


def _turns(first: str, second: str, turn: int) -> tuple[str, str]:
    """Who goes first changes from round to round, so that neither always inherits the other's warmth."""
    return (first, second) if turn % 2 == 0 else (second, first)


def measure(run: Run, parts: tuple[str, ...]) -> list[table.Row]:
    """Take all figures of the parts asked for."""
    rows: list[table.Row] = []
    with ExitStack() as stack:
        upstream = Upstream(run.cores)
        stack.enter_context(upstream.process)
        ours = OurServer(upstream, run.cores, run.folder)
        stack.callback(ours.stop)
        if "footprint" in parts:
            rows += footprint(run, ours)
        elif "server" in parts:
            measures.cold_start(ours)
        if "server" in parts:
            rows = [*server_load(run, upstream, ours), *rows]
        ours.stop()
        if ours.answered:
            booked = ours.check_ledger()
            run.notes.append(f"ledger: {booked:,} requests answered, {booked:,} usage rows booked")
        if "inprocess" in parts:
            at = 3 if "server" in parts else 0
            rows[at:at] = inprocess(run, upstream)
    return rows


def supplement(run: Run) -> list[str]:
    """Figures beside the table: processor time per unit, latency, the ceiling of the upstream."""
    lines = []
    for key, unit, figure, latency in (
        ("whole", "a request", "cpu_us_per_request", "whole"),
        ("stream", "an event", "cpu_us_per_event", "first_event"),
        ("paced", "an event", "cpu_us_per_event", "first_event"),
    ):
        for side, samples in run.samples.get(key, {}).items():
            middle = {k: sorted(s[k] for s in samples)[len(samples) // 2] for k in samples[0]}
            rate = "rps" if key == "whole" else "events_s"
            cpu = "" if side == "upstream alone" else f", {middle[figure]:.1f} us CPU {unit}"
            lines.append(
                f"{key:7} {side:15} {middle[rate]:10,.0f} /s{cpu}, {latency} p50 {middle[latency + '_p50_us']:,.0f} us, "
                f"p99 {middle[latency + '_p99_us']:,.0f} us, {middle['rss_mb']:.0f} MB"
            )
    return lines


def main() -> int:
    """Measure, print the table, keep the samples."""
    parser = argparse.ArgumentParser(description="fengchao beside a bare aiohttp forwarder")
    parser.add_argument("--quick", action="store_true", help="about a minute; rougher figures")
    parser.add_argument("--rounds", type=int, help="how often each figure is taken (5, quick 3)")
    parser.add_argument(
        "--only", default=",".join(PARTS), help="parts to measure: " + ",".join(PARTS)
    )
    parser.add_argument("--profile", choices=[load.key for load in measures.LOADS])
    args = parser.parse_args()
    parts = tuple(args.only.split(","))
    if unknown := set(parts) - set(PARTS):
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    began = time.monotonic()
    try:
        build_tools()
        with tempfile.TemporaryDirectory(prefix="fengchao-bench-") as folder:
            run = Run(
                rounds=args.rounds or (3 if args.quick else 5),
                seconds=1.2 if args.quick else 3,
                cores=Cores.choose(),
                folder=Path(folder),
            )
            if args.profile:
                from benchmarks.profiling import profile

                print(profile(args.profile, cores=run.cores, folder=run.folder))
                return 0
            rows = measure(run, parts)
    except CannotMeasure as exc:
        print(f"\nbenchmarks: {exc}", file=sys.stderr)
        return 2
    print(file=sys.stderr)
    print(table.render(rows))
    print(
        "\nmedians over the rounds, smallest and largest in brackets; ratios are taken within a round"
    )
    print("\n".join([*supplement(run), run.cores.describe(), *run.notes]))
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    kept = results / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    kept.write_text(
        json.dumps(
            {
                "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load_average": os.getloadavg(),
                "pinned": run.cores.front is not None,
                "rounds": run.rounds,
                "seconds": run.seconds,
                "rows": [row.as_dict() for row in rows],
                "notes": run.notes,
                "samples": run.samples,
            },
            indent=1,
        )
    )
    print(f"took {time.monotonic() - began:.0f} s; samples in {kept.relative_to(HERE.parent)}")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
