"""
The engine's process.

It reads its configuration, one line of JSON, from standard input, tells how it fares in lines of JSON on standard output
(`{"state": …}`), and ends when its standard input does: an engine never outlives the gateway that started it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import orjson
from aiohttp import web

from fengchao_local_qwen.engine.app import build_app
from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.engine.memory import resident_bytes
from fengchao_local_qwen.engine.serving import ServingEngine
from fengchao_local_qwen.weights import FolderError, read_weights

_TELL_EVERY_S = 0.5
_DRAIN_S = 5.0


def main() -> int:
    """Load, serve, end."""
    tell = _Telling()
    config = EngineConfig.model_validate_json(sys.stdin.buffer.readline())
    _watch_parent()
    try:
        return asyncio.run(_run(config, tell))
    except FolderError as error:
        tell(state="failed", detail=str(error))
    except ImportError as error:
        tell(
            state="failed",
            detail=f"the engine needs {error.name or error}; install it with: pip install 'fengchao-local-qwen[engine]'",
        )
    return 3


async def _run(config: EngineConfig, tell: _Telling) -> int:
    tell(state="loading", progress=0.0)
    with tempfile.TemporaryDirectory(prefix="fengchao-stand-in-") as spare:
        if config.stand_in:
            config = await asyncio.to_thread(_stand_in, config, Path(spare))
        watching = asyncio.create_task(_tell_progress(config, tell))
        try:
            app, engine, facts = await asyncio.to_thread(_load, config)
        finally:
            watching.cancel()
    async with AsyncExitStack() as stack:
        if engine is not None:
            engine.start()
            stack.push_async_callback(engine.close)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_DRAIN_S
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, config.host, config.port).start()
        tell(state="ready", port=runner.addresses[0][1], facts=facts)
        return await _until_broken(engine, tell)


def _load(config: EngineConfig) -> tuple[web.Application, ServingEngine | None, dict[str, object]]:
    """Everything that takes long, away from the loop."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # a folder is all that is served; nothing is ever fetched
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if config.kind == "embedding":
        from fengchao_local_qwen.engine.encoder import LocalEncoder

        encoder = LocalEncoder(config)
        return build_app(config, encoder=encoder), None, dict(encoder.facts)
    from fengchao_local_qwen.engine.loading import load_chat

    loaded = load_chat(config)
    engine = ServingEngine(
        loaded.backend,
        context_tokens=loaded.context_tokens,
        max_queue=config.max_queue,
        max_wait_s=config.max_wait_s,
    )
    app = build_app(config, engine=engine, prompts=loaded.prompts)
    return app, engine, dict(loaded.facts)


def _stand_in(config: EngineConfig, folder: Path) -> EngineConfig:
    from fengchao_local_qwen.engine.stand_in import make_stand_in

    family = "qwen3" if config.model.lower().startswith("qwen3") else "qwen2"
    made = make_stand_in(folder / "model", family=family)  # type: ignore[arg-type]  # one of the two
    return config.model_copy(update={"folder": str(made)})


async def _until_broken(engine: ServingEngine | None, tell: _Telling) -> int:
    """Tell how it fares, until it breaks; a broken model cannot be mended in place, a new process can."""
    told: dict[str, Any] = {}
    while True:
        if engine is None:
            await asyncio.Event().wait()
            continue
        try:
            async with asyncio.timeout(_TELL_EVERY_S):
                await engine.broken.wait()
        except TimeoutError:
            now = asdict(engine.stats())
            if now != told:
                told = now
                tell(stats=now, memory_bytes=resident_bytes())
            continue
        tell(state="broken", detail=str(engine.failure))
        return 4


async def _tell_progress(config: EngineConfig, tell: _Telling) -> None:
    """The share of the weights that has come into memory; a guess, but one that grows as loading does."""
    start = resident_bytes()
    if start is None:
        return
    try:
        wanted = read_weights(config.folder, kind=config.kind).needed_bytes(config.dtype)
    except FolderError:
        return  # loading says so itself
    while True:
        await asyncio.sleep(_TELL_EVERY_S)
        grown = (resident_bytes() or start) - start
        tell(state="loading", progress=round(min(0.99, grown / max(1, wanted)), 2))


class _Telling:
    """Lines of JSON on what was standard output; whatever else prints goes to standard error."""

    def __init__(self) -> None:
        self._out: IO[bytes] = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)

    def __call__(self, **facts: object) -> None:
        self._out.write(orjson.dumps(facts) + b"\n")


def _watch_parent() -> None:
    """End at once when standard input closes: the gateway is gone, and nobody is left to answer."""

    def wait() -> None:
        while sys.stdin.buffer.read(1):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="engine-parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
