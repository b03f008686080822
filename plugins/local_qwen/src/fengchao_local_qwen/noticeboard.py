"""
How engines fare, told to other processes: `fengchao models` asks from outside of the gateway that runs them.

Each gateway writes one small file into its folder of data, at each change of state; nobody waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from fengchao_core.provider import ModelState
from fengchao_local_qwen.process import is_alive


class Noticeboard:
    """
    The file of this process, and the reading of the others'.

    Args:
        home: the gateway's folder of data; None keeps no file.
        name: the provider's name in the settings.
    """

    def __init__(self, home: Path | None, name: str) -> None:
        self._folder = None if home is None else home / "engines"
        self._prefix = f"{''.join(c if c.isalnum() else '_' for c in name)}-"

    def write(self, states: Iterable[tuple[str, ModelState]]) -> None:
        """Tell how the models of this process fare. A folder that cannot be written to is not worth a failure."""
        if self._folder is None:
            return
        told = [{"model": model, **asdict(state)} for model, state in states]
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = self._own().with_suffix(".new")
            fresh.write_bytes(orjson.dumps(told))
            fresh.replace(self._own())

    def remove(self) -> None:
        """Tell nothing more."""
        if self._folder is not None:
            with suppress(OSError):
                self._own().unlink(missing_ok=True)

    def read(self, model: str) -> ModelState | None:
        """How a model fares in another process, the best where several serve it; None where none does."""
        if self._folder is None or not self._folder.is_dir():
            return None
        found = [
            _state(told)
            for path in self._folder.glob(f"{self._prefix}*.json")
            for told in self._read(path)
            if told.get("model") == model and told.get("state") != "idle"
        ]
        order = ("ready", "loading", "down", "failed")
        return min(found, key=lambda state: order.index(state.state), default=None)

    def _read(self, path: Path) -> list[dict[str, Any]]:
        pid = path.stem.removeprefix(self._prefix)
        if not pid.isdigit() or int(pid) == os.getpid():
            return []
        if not is_alive(int(pid)):
            with suppress(OSError):
                path.unlink()
            return []
        try:
            told = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return []
        return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []

    def _own(self) -> Path:
        folder = self._folder or Path()
        return folder / f"{self._prefix}{os.getpid()}.json"


def _state(told: dict[str, Any]) -> ModelState:
    return ModelState(told["state"], told.get("progress"), str(told.get("detail") or ""))
