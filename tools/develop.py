"""
Makes `.venv`: third-party packages first, then every distribution of this repository, editable.

    python tools/develop.py                what is needed to run
    python tools/develop.py --group test   what the checks and tests need as well
    … --extra engine                       and what this extra of any distribution brings: torch, for local models

Needs the standard library only. It does nothing, quickly, while no `pyproject.toml` has changed since the last time.
The list of distributions is `[tool.fengchao] distributions` in the root `pyproject.toml`, the groups are its
`[dependency-groups]`. They are read here because the pip of a fresh machine does not know groups yet.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

# What a user may have set for other projects and what would send packages elsewhere than into .venv.
# Where packages come from (PIP_INDEX_URL and the like) is left alone: a machine behind a mirror needs it.
_MISLEADING = re.compile(
    r"PYTHON(?!DONTWRITEBYTECODE|UNBUFFERED|UTF8|IOENCODING)\w*|VIRTUAL_ENV|CONDA_\w+"
    r"|PIP_(TARGET|PREFIX|ROOT|USER|CONSTRAINT|REQUIREMENT|EDITABLE|NO_DEPS|REQUIRE_VIRTUALENV|PYTHON|REQUIRE_HASHES)"
)


# Hatchling asks pip for it when it makes an editable installation; without build isolation nobody else brings it.
_BUILDERS = ("editables>=0.5",)


def distributions() -> list[Path]:
    """Every distribution's folder, in the order in which they depend on each other."""
    return [ROOT / name for name in _toml(ROOT)["tool"]["fengchao"]["distributions"]]


def third_party(group: str | None, extra: str | None = None) -> list[str]:
    """What the distributions, the extra and the group require, less the distributions themselves."""
    wanted = list(_BUILDERS)
    for folder in distributions():
        document = _toml(folder)
        wanted += document["build-system"]["requires"]
        wanted += document["project"].get("dependencies", ())
        wanted += document["project"].get("optional-dependencies", {}).get(extra, ())
    if group:
        wanted += _toml(ROOT)["dependency-groups"][group]
    own = {_toml(folder)["project"]["name"] for folder in distributions()}
    return list(dict.fromkeys(r for r in wanted if _name(r) not in own))


def set_up(group: str | None, extra: str | None = None) -> None:
    """Bring `.venv` up to date. Raises `SystemExit` where that is not possible."""
    stamp = VENV / "-".join([".fengchao", group or "run", *([extra] if extra else [])])
    state = _state()
    if _is_sound() and stamp.exists() and stamp.read_text("utf-8") == state:
        return
    if not _is_sound():
        _make_venv()
    _say(f"installing third-party packages into {VENV.name} (the first time takes a minute or two)")
    _pip("install", *third_party(group, extra))
    _say("installing fengchao itself, editable")
    editables = [part for folder in distributions() for part in ("-e", str(folder))]
    _pip("install", "--no-deps", "--no-build-isolation", "--no-cache-dir", *editables)
    # A group holds what is needed to run as well, and with an extra what it holds without.
    for satisfied in {VENV / ".fengchao-run", VENV / f".fengchao-{group or 'run'}", stamp}:
        satisfied.write_text(state, "utf-8")


def _make_venv() -> None:
    if VENV.exists() and not (VENV / "pyvenv.cfg").exists():
        sys.exit(f"{VENV} is in the way: it is not a virtual environment; move it and try again")
    _say(f"making {VENV.name} with Python {sys.version.split()[0]}")
    made = _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(f"could not make {VENV.name}; on Debian and Ubuntu: apt-get install python3-venv")


def _is_sound() -> bool:
    """Whether `.venv` runs, is new enough, has pip, and still stands where it was made: its scripts name the folder."""
    pip = PYTHON.with_name("pip")
    if not PYTHON.exists() or not pip.exists() or str(VENV) not in pip.read_text("utf-8"):
        return False
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return _run([str(PYTHON), "-c", check], quiet=True).returncode == 0


def _state() -> str:
    """Changes whenever another installation is needed."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in (ROOT, *distributions()):
        digest.update(str(folder.relative_to(ROOT)).encode())
        digest.update((folder / "pyproject.toml").read_bytes())
    return digest.hexdigest()


def _pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if _run([*command, *arguments, "--quiet"]).returncode == 0:
        return
    if "--no-cache-dir" not in arguments:
        _say("pip failed; trying once more without its cache")
        if _run([*command, *arguments, "--quiet", "--no-cache-dir"]).returncode == 0:
            return
    sys.exit("pip could not install what is needed; its own words stand above")


def clean_environment(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that our tools run with."""
    kept = {k: v for k, v in given.items() if not _MISLEADING.fullmatch(k)}
    return {**kept, "PIP_USER": "0"}  # also against `user = true` in a pip.conf


def _run(command: list[str], *, quiet: bool = False) -> subprocess.CompletedProcess[bytes]:
    sink = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        command,
        env=clean_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        check=False,
    )


def _toml(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def _say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--group", help="also install this group of the root pyproject.toml")
    parser.add_argument("--extra", help="also install this extra of every distribution that has it")
    options = parser.parse_args()
    set_up(options.group, options.extra)
