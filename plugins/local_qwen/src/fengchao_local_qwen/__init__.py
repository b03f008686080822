"""Qwen from a folder of weights, in processes of our own. The gateway's process never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fengchao_core.hookspecs import hookimpl
from fengchao_core.provider import Provider, ProviderContext, ProviderSpec, SandboxSpec
from fengchao_local_qwen.cards import known_cards, served_cards
from fengchao_local_qwen.settings import LocalQwenSettings

if TYPE_CHECKING:
    from aiohttp import web

_SANDBOX_MODELS = ("Qwen1.5-0.5B-Chat", "Qwen1.5-1.8B-Chat")
"""Those of the product's own list."""

SANDBOX_KEY = "sandbox-engine-key"


def _open(
    settings: LocalQwenSettings, context: ProviderContext
) -> AbstractAsyncContextManager[Provider]:
    from fengchao_local_qwen.provider import open_local_qwen

    return open_local_qwen(settings, context)


def _build() -> web.Application:
    from fengchao_local_qwen.sandbox import build

    return build()


def has_engine() -> bool:
    """Whether what the engine needs is installed; looked up without importing it."""
    return all(find_spec(name) is not None for name in ("torch", "transformers"))


def _sandbox_settings(base_url: str) -> Mapping[str, object]:
    """A tiny model of random weights in a real engine where there can be one, the emulator elsewhere."""
    if has_engine():
        # Nonsense never comes to an end by itself.
        small = {"max_batch": 8, "threads": 1, "max_output_tokens": 64}
        return {"models": list(_SANDBOX_MODELS), "stand_in": True, **small}
    return {
        "models": list(_SANDBOX_MODELS),
        "base_url": f"{base_url}/v1",
        "api_key": SANDBOX_KEY,
        "emulated": True,
    }


SPEC = ProviderSpec(
    name="local_qwen",
    title="本地 Qwen",
    settings=LocalQwenSettings,
    cards=known_cards,
    open=_open,
    describe=served_cards,
)

SANDBOX = SandboxSpec(
    name="local_qwen",
    build=_build,
    settings=_sandbox_settings,
    title="本地 Qwen 沙箱",
)


@hookimpl
def fengchao_providers() -> Iterable[ProviderSpec]:
    """Local Qwen models."""
    return (SPEC,)


@hookimpl
def fengchao_sandboxes() -> Iterable[SandboxSpec]:
    """The engine's emulator."""
    return (SANDBOX,)
