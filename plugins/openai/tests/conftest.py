"""The emulator, served on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fengchao_core.testing import run_app
from fengchao_openai.sandbox import build


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    """The base URL of a fresh emulator."""
    async with run_app(build()) as base_url:
        yield base_url
