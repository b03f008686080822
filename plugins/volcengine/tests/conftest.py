"""What the tests of this plugin share."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fengchao_core.testing import open_provider, run_app
from fengchao_core.testing.guard import loopback_only
from fengchao_volcengine import SANDBOX, SPEC
from fengchao_volcengine.provider import VolcengineProvider
from fengchao_volcengine.sandbox import build

__all__ = ["loopback_only"]

_VECTORS = Path(__file__).parent / "vectors" / "volcengine.json"


@pytest.fixture(scope="session")
def vectors() -> dict[str, Any]:
    """The recorded exchanges of the vendor's SDKs, by name."""
    return {case["name"]: case for case in json.loads(_VECTORS.read_text("utf-8"))["cases"]}


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


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    """The base URL of a fresh stand-in."""
    async with run_app(build()) as base_url:
        yield base_url


@pytest.fixture
async def provider(sandbox: str) -> AsyncIterator[VolcengineProvider]:
    """The provider, opened against the stand-in with every kind of credential."""
    async with open_provider(SPEC, SANDBOX.settings(sandbox)) as provider:
        assert isinstance(provider, VolcengineProvider)
        yield provider
