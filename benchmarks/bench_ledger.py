"""
What the ledger costs, and what its sums save.

    python benchmarks/bench_ledger.py [--quick] [--only settle,server,report]

settle    processor time of one request's beginning and row, in the thread that serves it: at most 30 us
server    requests per second of `fengchao serve` with its ledger and without, turn by turn in one run, for whole answers and
          for streams, from a vendor that answers at once: at most 5 % less
report    a month of a million rows, by model, out of the sums: under a second

Exit status 0: every limit holds; 1: one does not.
"""

# ruff: noqa: E402  # the imports of this package need its parent on the path

from __future__ import annotations

import argparse
import asyncio
import random
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # so that `benchmarks` is a package

from fengchao_core.ledger import StoreLedger
from fengchao_core.ledger.journal import Journal
from fengchao_core.reports import UsageQuery
from fengchao_core.reservation import expected_prompt
from fengchao_core.settings import LedgerSettings
from fengchao_core.telemetry import Telemetry
from fengchao_core.types import Message, ModelCard, Price
from fengchao_core.usage import Begun, UsageRecord

WITHOUT = "--without-ledger"
DAY = datetime(2026, 11, 1, tzinfo=UTC)
PRICE = Price(
    input=Decimal("0.1"), output=Decimal("0.1"), currency="CNY", since=date(2024, 1, 1), source="x"
)
CARD = ModelCard(id="glm-4", owned_by="x", prices=(PRICE,))
PROMPT = (Message("system", "你是一个助手。" * 8), Message("user", "请写一段介绍北京的短文。" * 10))

Row = tuple[str, float, str, float]


class Nowhere:
    """A store that keeps nothing, so that only the ledger is measured."""

    async def add(self, rows: Sequence[UsageRecord]) -> None:
        """Take rows."""

    async def forget(self, before: datetime, most: int) -> int:  # noqa: ARG002  # as a store has it
        """There is nothing to forget."""
        return 0


def make_row(number: int, at: datetime) -> UsageRecord:
    """A usual row."""
    return UsageRecord(
        id=f"{number:032x}",
        request_id=f"{number:032x}",
        key=f"{number % 50:032x}",
        model=f"model-{number % 10}",
        provider="zhipu",
        outcome="ok",
        error="",
        streamed=True,
        attempts=1,
        started_at=at,
        duration_ms=1234,
        first_delta_ms=321,
        prompt_tokens=250,
        completion_tokens=180,
        cached_tokens=0,
        reasoning_tokens=0,
        usage_source="vendor",
        cost=Decimal("0.043"),
        currency="CNY",
        price_since="2024-01-16",
    )


async def settle(folder: Path, requests: int) -> Iterator[Row]:
    """Begin and settle as the pipeline does; the row itself is made by the pipeline in any case."""
    journal = Journal(folder / "journal", most_bytes=1 << 40)
    ledger = StoreLedger(Nowhere(), LedgerSettings(), Telemetry(), journal)  # type: ignore[arg-type]  # all it asks
    task = asyncio.create_task(ledger.run())
    slowest, spent = 0.0, 0.0
    for number in range(requests):
        row = make_row(number, DAY)
        begun, cpu = time.perf_counter(), time.thread_time()
        expected = expected_prompt(PROMPT)
        ledger.begin(Begun(row.id, row.id, row.key, "", row.model, expected, DAY, streamed=True))
        ledger.settle(row)
        spent += time.thread_time() - cpu
        slowest = max(slowest, time.perf_counter() - begun)
        if number % 500 == 0:
            await asyncio.sleep(0)
    await ledger.flush()
    await ledger.close()
    await task
    print(
        f"  the slowest of {requests:,} took {slowest * 1e6:.0f} us by the clock", file=sys.stderr
    )
    return iter([("begin and settle, us CPU a request", spent / requests * 1e6, "at most", 30.0)])


async def report(folder: Path, rows: int) -> Iterator[Row]:
    """A month by model, after so many rows were added."""
    from fengchao_sql.store import open_store

    chance = random.Random(1)
    took: list[float] = []
    async with open_store("sqlite:///report.db", folder) as store:
        begun = time.perf_counter()
        for start in range(0, rows, 500):
            await store.usage.add(
                [
                    make_row(n, DAY + timedelta(seconds=chance.randrange(30 * 86_400)))
                    for n in range(start, start + 500)
                ]
            )
        rate = rows / (time.perf_counter() - begun)
        size = (folder / "report.db").stat().st_size / rows
        print(f"  {rate:,.0f} rows/s written, {size:.0f} bytes a row", file=sys.stderr)
        for _ in range(5):
            begun = time.perf_counter()
            found = await store.usage.sums(
                UsageQuery(by=("model",), since=DAY, until=DAY + timedelta(days=30))
            )
            took.append(time.perf_counter() - begun)
            assert rows == sum(one.requests for one in found)
    return iter(
        [(f"a month of {rows:,} rows by model, s", statistics.median(took), "at most", 1.0)]
    )


def server(folder: Path, rounds: int, seconds: float) -> Iterator[Row]:
    """Whole answers and streams over 64 connections, with and without, turn by turn."""
    from benchmarks import measures
    from benchmarks.machine import Cores, build_tools
    from benchmarks.targets import OurServer, Upstream, ask_once

    build_tools()
    cores = Cores.choose()
    upstream = Upstream(cores)
    samples: dict[str, dict[str, list[measures.Sample]]] = {}
    sides: dict[str, OurServer] = {}
    with upstream.process:
        try:
            for side in ("with", "without"):
                (folder / side).mkdir()
                sides[side] = OurServer(upstream, cores, folder / side)
                wrapper = (sys.executable, __file__, WITHOUT) if side == "without" else ()
                sides[side].start(wrapper)
                ask_once(sides[side])
            for turn in range(rounds + 1):
                for load in (measures.WHOLE, measures.STREAM):
                    for side in sorted(sides, reverse=bool(turn % 2)):
                        sample = measures.under_load(
                            load, sides[side], upstream, cores=cores, seconds=seconds, folder=folder
                        )
                        if turn:  # the first warms up
                            samples.setdefault(load.key, {}).setdefault(side, []).append(sample)
        finally:
            for each in sides.values():
                each.stop()
    for key, found in samples.items():
        for side, some in found.items():
            print(
                f"  {key}, {side}: {statistics.median(one['rps'] for one in some):,.0f} requests/s, "
                f"{statistics.median(one['cpu_us_per_request'] for one in some):.0f} us CPU a request "
                "(its database's thread included)",
                file=sys.stderr,
            )
        yield f"{key}, requests/s with the ledger, of those without", _kept(found), "at least", 0.95


def _kept(samples: Mapping[str, Sequence[Mapping[str, float]]]) -> float:
    """The median over turns of what is kept: a machine changes its speed between turns more than within one."""
    both = zip(samples["with"], samples["without"], strict=True)
    return statistics.median(one["rps"] / other["rps"] for one, other in both)


def run_without(args: list[str]) -> None:
    """Be `fengchao` with a ledger that does nothing."""

    def nothing(*_: object, **__: object) -> None:
        pass

    StoreLedger.begin = nothing  # type: ignore[method-assign]  # that is what is measured
    StoreLedger.settle = nothing  # type: ignore[method-assign]  # likewise
    StoreLedger.is_journalled = property(lambda _: False)  # type: ignore[method-assign,assignment]  # what is said of a begin costs, too
    sys.argv = args
    runpy.run_path(args[0], run_name="__main__")


def main() -> int:
    """Measure, print a table, and say whether the limits hold."""
    if sys.argv[1:2] == [WITHOUT]:
        run_without(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="settle,server,report")
    args = parser.parse_args()
    quick: bool = args.quick
    parts: dict[str, Callable[[Path], Iterator[Row]]] = {
        "settle": lambda folder: asyncio.run(settle(folder, 5_000 if quick else 50_000)),
        "server": lambda folder: server(folder, 4 if quick else 9, 1.5 if quick else 4),
        "report": lambda folder: asyncio.run(report(folder, 50_000 if quick else 1_000_000)),
    }
    is_good = True
    for name in args.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            for what, value, kind, limit in parts[name](Path(folder)):
                holds = value <= limit if kind == "at most" else value >= limit
                is_good &= holds
                print(f"{what}: {value:.3f} ({kind} {limit:g}){'' if holds else '  FAILS'}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
