"""Every installed vendor's sandbox on loopback, and settings that reach them: all vendors, with no key and no internet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from fengchao_core import Settings
from fengchao_core.errors import SetupError
from fengchao_core.plugins import load_plugins
from fengchao_core.provider import SandboxSpec

log = structlog.get_logger()

_SHUTDOWN_S = 0.2
_KEPT = ("kind", "models")


@asynccontextmanager
async def sandboxed(settings: Settings) -> AsyncIterator[Settings]:
    """
    Run the sandboxes, and give settings whose providers are they alone: no request can reach a real vendor.

    A section of the settings that is a further instance of a sandboxed kind keeps its name and its models; one whose kind
    has no sandbox is left out.

    Raises:
        PluginError: a plugin does not load.
        SetupError: no plugin brings a sandbox.
    """
    specs = load_plugins(settings.plugins).sandbox_specs()
    if not specs:
        raise SetupError(
            "no installed plugin brings a sandbox; install one, as in: pip install fengchao-openai"
        )
    async with AsyncExitStack() as stack:
        stands: dict[str, Mapping[str, object]] = {}
        for kind, spec in specs.items():
            stands[kind] = spec.settings(await _run(spec, stack))
        providers: dict[str, dict[str, Any]] = {kind: dict(found) for kind, found in stands.items()}
        for name, raw in settings.providers.items():
            kind = str(raw.get("kind") or name)
            if kind not in stands:
                log.warning("sandbox.left_out", provider=name, kind=kind)
            elif name != kind:
                own = {key: raw[key] for key in _KEPT if key in raw}
                providers[name] = {**stands[kind], "kind": kind, **own}
        changed: dict[str, object] = {"providers": providers}
        if settings.search.provider not in providers and "zhipu" in providers:
            # The only vendor whose sandbox searches; a search of the settings' own would go to a vendor that is not there.
            changed["search"] = settings.search.model_copy(update={"provider": "zhipu"})
        yield settings.model_copy(update=changed)


async def _run(spec: SandboxSpec, stack: AsyncExitStack) -> str:
    from aiohttp import web

    runner = web.AppRunner(spec.build(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return f"http://127.0.0.1:{site.port}"
