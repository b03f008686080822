"""The stand-in, served on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fengchao_core.testing import open_provider, run_app
from fengchao_moonshot import SANDBOX, SPEC
from fengchao_moonshot.provider import MoonshotProvider
from fengchao_moonshot.sandbox import build


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    """The base URL of a fresh stand-in."""
    async with run_app(build()) as base_url:
        yield base_url


@pytest.fixture
async def provider(sandbox: str) -> AsyncIterator[MoonshotProvider]:
    """The provider, opened against the stand-in."""
    async with open_provider(SPEC, SANDBOX.settings(sandbox)) as provider:
        assert isinstance(provider, MoonshotProvider)
        yield provider
