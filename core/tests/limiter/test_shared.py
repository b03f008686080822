"""Counters that several processes share: exact together, and nothing lost with one that is killed."""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from core.tests.limiter.conftest import MIDDAY, make_bench, used

from fengchao_core.errors import LimitExceeded
from fengchao_core.limiter.cells import HELD, ROW
from fengchao_core.limiter.shared import SharedCells
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.testing import FakeClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs flock")

ROOT = Path(__file__).resolve().parents[3]

# Takes as many places as it can get, says how many, and keeps them until it is told to end.
TAKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from core.tests.limiter.conftest import MIDDAY, make_bench, used
from fengchao_core.errors import LimitExceeded
from fengchao_core.limiter.shared import SharedCells
from fengchao_core.limits import Budget, KeyLimits
from fengchao_core.testing import FakeClock
bench = make_bench(SharedCells(Path(sys.argv[1])), FakeClock(MIDDAY))
print("ready", flush=True)
sys.stdin.readline()
passed = 0
for _ in range(int(sys.argv[2])):
    try:
        hold = bench.ask(KeyLimits(concurrent=100, budgets=(Budget(100, "CNY"),)))
        passed += 1
    except LimitExceeded:
        pass
print(passed, flush=True)
sys.stdin.readline()
"""


def taker(home: Path, times: int) -> subprocess.Popen[str]:
    """Another process on the same counters, ready to begin."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, str(home), str(times), str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "ready" == process.stdout.readline().strip()
    return process


def tell(process: subprocess.Popen[str]) -> None:
    """Let it take its next step."""
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture
def cells(tmp_path):
    """The counters, opened by this process."""
    cells = SharedCells(tmp_path)
    yield cells
    cells.close()


def test_a_thousand_from_two_processes(tmp_path, cells):
    """Of a thousand requests that two processes make at once against a budget for a hundred, a hundred pass."""
    with taker(tmp_path, 500) as one, taker(tmp_path, 500) as other:
        tell(one)
        tell(other)
        passed = int(one.stdout.readline()) + int(other.stdout.readline())
        assert 100 == passed
        tell(one)
        tell(other)


def test_a_killed_process_gives_back(tmp_path, cells):
    """What a process that is killed held is free at the next sweep, and what the others hold stays held."""
    bench = make_bench(cells, FakeClock(MIDDAY))
    limits = KeyLimits(concurrent=100, budgets=(Budget(Decimal(100), "CNY"),))
    mine = bench.ask(limits)
    with taker(tmp_path, 500) as other:
        tell(other)
        assert 99 == int(other.stdout.readline())
        with pytest.raises(LimitExceeded):
            bench.ask(limits)
        assert 0 == cells.sweep()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert 1 == cells.sweep()
    assert 0 == cells.sweep()
    assert 1 == cells.table[cells.place("key:k|concurrent|") + HELD]
    holds = [bench.ask(limits) for _ in range(99)]
    for hold in (mine, *holds):
        hold.settle(used())
    assert 0 == cells.table[cells.place("key:k|concurrent|") + HELD]


def test_two_in_one_process_share(tmp_path, cells):
    """Two gateways of one process with the same folder count together; another folder counts alone."""
    other, stranger = SharedCells(tmp_path), SharedCells(tmp_path / "else")
    place = cells.place("a")
    assert place == other.place("a")
    assert ROW == other.place("b") == cells.place("b")
    other.take()
    other.table[place] = 7
    other.give()
    assert (7, 0) == (cells.table[place], stranger.table[stranger.place("a")])
    other.close()
    stranger.close()


def test_the_first_begins_anew(tmp_path):
    """Counters live as long as a process has them open; the next one to come begins at nothing."""
    first = SharedCells(tmp_path)
    first.table[first.place("a")] = 7
    second = SharedCells(tmp_path)
    first.close()
    assert 7 == second.table[second.place("a")]
    second.close()
    third = SharedCells(tmp_path)
    assert 0 == third.table[third.place("a")]
    folder = third.folder
    third.close()
    assert not folder.exists()
