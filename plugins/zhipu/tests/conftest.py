"""What the tests of this plugin share."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fengchao_core.testing.guard import loopback_only

__all__ = ["loopback_only"]


@pytest.fixture(scope="session")
def judges() -> ModuleType:
    """The repository's helper that makes environments for official SDKs."""
    path = Path(__file__).resolve().parents[3] / "tests" / "judges.py"
    spec = importlib.util.spec_from_file_location("fengchao_judges", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def recorded() -> dict[str, dict[str, Any]]:
    """The recorded requests and answers of the vendor's SDK, by name."""
    path = Path(__file__).parent / "vectors" / "zhipu.json"
    tree = json.loads(path.read_text("utf-8"))
    return {vector["name"]: vector for vector in (*tree["requests"], *tree["responses"])}
