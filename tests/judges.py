"""
Virtual environments for the vendors' official SDKs, which judge our sandboxes as unmodified clients.

An SDK may need older packages than ours, so each lives in a folder of its own under `.venv-judges/`, made once with pip
and kept between runs. Only the first run needs a package index.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

HOME = Path(__file__).resolve().parents[1] / ".venv-judges"


def judge_venv(name: str, requirements: Sequence[str]) -> Path:
    """
    The Python of an environment that holds these requirements; made where it is not there yet.

    Safe to call from several processes at once: one makes it, the others wait.

    Args:
        name: of the folder, for people.
        requirements: as pip takes them; other requirements make another folder.

    Raises:
        RuntimeError: pip could not install them.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = sha256("\n".join([version, *sorted(requirements)]).encode()).hexdigest()[:12]
    folder = HOME / f"{name}-{key}"
    python = folder / "bin" / "python"
    done = folder / ".complete"
    HOME.mkdir(exist_ok=True)
    with _locked(HOME / f"{folder.name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            _run([str(python), "-m", "pip", "install", "--quiet", "--no-input", *requirements])
            done.touch()
    return python


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(
            f"a judge's environment could not be made, expected a package index to be in reach: "
            f"{' '.join(command)}\n{result.stderr[-2000:]}"
        )
