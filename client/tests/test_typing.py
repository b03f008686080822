"""Types: what a user's strict checker makes of the SDK, and that both clients say the same."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from fengchao import FengChao, FengChaoAsync, FinalResponse, RateLimitError

PROGRAM = Path(__file__).with_name("typed_program.py")
METHODS = sorted(
    name for name, _ in inspect.getmembers(FengChao, inspect.isfunction) if name[0] != "_"
)


def test_a_users_program_passes_strict_mypy(tmp_path):
    """A program that uses everything is well typed as it stands, and its mistakes are found."""
    (tmp_path / "program.py").write_text(PROGRAM.read_text("utf-8"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-color-output", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout


def test_both_clients_have_the_same_methods():
    """Whatever one client does, the other does too."""
    there = inspect.getmembers(FengChaoAsync, inspect.isfunction)
    assert sorted(name for name, _ in there if name[0] != "_") == METHODS


@pytest.mark.parametrize("name", METHODS)
def test_both_clients_take_and_tell_the_same(name):
    """A method has the same parameters, in the same order, with the same defaults and annotations, in both clients."""
    sync, asynchronous = (
        inspect.signature(getattr(client, name)) for client in (FengChao, FengChaoAsync)
    )
    assert list(sync.parameters.values()) == list(asynchronous.parameters.values())
    told = str(sync.return_annotation).replace("AnswerStream", "AsyncAnswerStream")
    assert told == asynchronous.return_annotation


def test_unwrap_gives_the_data_of_a_success():
    """`unwrap()` is the data, whatever it is."""
    assert "id" == FinalResponse(data="id").unwrap()
    assert FinalResponse().unwrap() is None


def test_unwrap_raises_what_a_failure_stands_for():
    """`unwrap()` of a failure raises the error that `errors="raise"` would have raised."""
    with pytest.raises(RateLimitError, match="429 稍后再试") as caught:
        FinalResponse(status=429, msg="稍后再试").unwrap()
    assert 429 == caught.value.response.status
