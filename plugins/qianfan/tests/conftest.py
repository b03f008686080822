"""What the tests of this plugin share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

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
