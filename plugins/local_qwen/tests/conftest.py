"""What the tests of this plugin share: tiny models made on the spot, and one engine of each for all tests of a worker."""

from __future__ import annotations

import pytest

from fengchao_core.testing.guard import loopback_only

__all__ = ["loopback_only"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """A folder of weights of each family."""
    pytest.importorskip("torch", reason="the engine's libraries are not installed")
    from fengchao_local_qwen.engine.stand_in import make_stand_in

    base = tmp_path_factory.mktemp("weights")
    return {family: make_stand_in(base / family, family=family) for family in ("qwen2", "qwen3")}
