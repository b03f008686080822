"""The tools that set a checkout up: which Python they take, and what they install."""

import importlib.util
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def find_python(tmp_path, **interpreters: str) -> subprocess.CompletedProcess:
    """Run tools/find_python where only these interpreters are on the PATH; each is the body of a shell script."""
    for name, body in interpreters.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "find_python")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_new_enough_python_is_found(tmp_path):
    """The first interpreter that is new enough is taken, and named by its real path."""
    done = find_python(
        tmp_path, python3="exit 1", **{"python3.12": f'exec "{sys.executable}" "$@"'}
    )
    assert 0 == done.returncode
    assert sys.executable == done.stdout.strip()


def test_no_python_is_said(tmp_path):
    """Without a new enough Python the reader is told what to install and how to name one, in both languages."""
    done = find_python(tmp_path, python3="exit 1")
    assert 1 == done.returncode
    assert "3.11" in done.stderr
    assert "make setup PYTHON=" in done.stderr


def test_a_python_without_venv_is_said(tmp_path):
    """A Python without its venv module is told apart, with the package that brings it."""
    body = f'case "$2" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"'
    done = find_python(tmp_path, python3=body)
    assert 1 == done.returncode
    assert "apt-get install python3." in done.stderr


@pytest.fixture
def develop():
    """Load tools/develop.py as a module."""
    spec = importlib.util.spec_from_file_location("develop", ROOT / "tools" / "develop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_third_party_packages_leave_our_own_out(develop):
    """What is installed from the registry holds none of our distributions, and no torch."""
    names = {requirement.split(">")[0].split("=")[0] for requirement in develop.third_party("test")}
    assert {"aiohttp", "hatchling", "pytest", "mypy"} <= names
    assert set() == {name for name in names if name.startswith("fengchao") or name == "torch"}


def test_torch_comes_with_the_extra_alone(develop):
    """Neither running nor checking needs torch; the extra that the tests of local models need brings it, in one version."""
    assert not any(each.startswith("torch") for each in develop.third_party(None))
    torch = [each for each in develop.third_party("test", "engine") if each.startswith("torch")]
    assert ["torch==2.13.0"] == torch


def test_where_packages_come_from_is_left_to_the_user(develop):
    """A mirror that the user has set up is kept; what would send packages elsewhere is taken away."""
    mine = {"PIP_INDEX_URL": "x", "PIP_CERT": "x", "HTTPS_PROXY": "x", "PATH": "x"}
    misleading = {
        "PIP_TARGET": "x",
        "PIP_USER": "1",
        "PYTHONPATH": "x",
        "PYTHONHOME": "x",
        "VIRTUAL_ENV": "x",
    }
    assert {**mine, "PIP_USER": "0"} == develop.clean_environment({**mine, **misleading})
