"""
One engine's process, watched: started when it is first needed, started again with growing pauses when it crashes.

The gateway's process imports none of what runs in there. It writes one line of JSON to the child's standard input, reads
lines of JSON from its standard output, and talks to it over HTTP on loopback, with a key made for this one start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson
import structlog
from pydantic import SecretStr

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.provider import ModelState
from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.weights import FolderError, read_weights

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
_HEALTHY_S = 60.0
_TRY_FAILED_AGAIN_S = 10.0
_END_S = 3.0
_KEPT_LINES = 20


class EngineProcess:
    """
    An engine that can be asked for its address. Not started before it is asked, or told to start.

    Args:
        config: what to serve; its key is replaced at each start.
        start_timeout_s: how long loading may take.
        changed: called after each change of `state`.

    Attributes:
        state: how it fares.
        stats: what it told last of its work.
        calls: requests that the gateway has with it now.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        start_timeout_s: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.state = ModelState("idle")
        self.stats: Mapping[str, float] = {}
        self.memory_bytes: int | None = None
        self.calls = 0
        self._start_timeout_s = start_timeout_s
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._address: tuple[str, str] | None = None
        self._settled = asyncio.Event()
        self._failed_at = 0.0
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def pid(self) -> int | None:
        """The process id, while there is a process."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin to load, where that has not begun."""
        if self._task is None or self._task.done():
            self._settled.clear()
            self._task = asyncio.create_task(self._run(), name=f"engine-{self.config.model}")

    async def address(self) -> tuple[str, str]:
        """
        Its base URL and its key, once it is ready; starts it where needed.

        Raises:
            ProviderUnavailable: it cannot be loaded.
        """
        while self._address is None:
            if self.state.state == "failed" and (
                time.monotonic() < self._failed_at + _TRY_FAILED_AGAIN_S
            ):
                raise ProviderUnavailable(
                    "the local model could not be loaded; the gateway's log and `fengchao models` tell why",
                    model=self.config.model,
                    vendor_code="engine_not_loaded",
                )
            self.start()
            await self._settled.wait()
        return self._address

    async def close(self) -> None:
        """End the process, gently at first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Start it, and again when it crashes, until it is closed or cannot be loaded at all."""
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                loaded = await self._live()
            finally:
                self._address = None
                self._settled.clear()
            if not loaded:
                self._failed_at = time.monotonic()
                self._settled.set()
                return
            if time.monotonic() - began > _HEALTHY_S:
                pause = _FIRST_PAUSE_S
            log.error(
                "local_qwen.engine_crashed",
                model=self.config.model,
                device=self.config.device,
                detail=self.state.detail,
                restart_s=pause,
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _live(self) -> bool:
        """One life of the process. Returns whether it was ready once, so that starting it again makes sense."""
        key = secrets.token_urlsafe(32)
        self._tell(ModelState("loading", 0.0))
        try:  # what can be seen without torch is refused without starting a process that imports it
            if not self.config.stand_in:
                await asyncio.to_thread(read_weights, self.config.folder, kind=self.config.kind)
        except FolderError as error:
            self._fail(str(error))
            return False
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fengchao_local_qwen.engine",
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # Ctrl-C is for the gateway, which lets what runs come to its end
        )
        try:
            await self._write_config(process, key)
            async with asyncio.TaskGroup() as group:
                errors = group.create_task(self._read_errors(process))
                was_ready = await self._read_states(process, key)
                if self.state.state == "failed":
                    process.kill()
                code = await process.wait()
                await errors
            self._settle_end(was_ready=was_ready, code=code)
            return was_ready
        finally:
            self._process = None
            await _end(process)

    async def _write_config(self, process: Process, key: str) -> None:
        config = self.config.model_dump()
        config["token"] = key
        if process.stdin is not None:
            with suppress(ConnectionError):
                process.stdin.write(orjson.dumps(config) + b"\n")
                await process.stdin.drain()

    async def _read_states(self, process: Process, key: str) -> bool:
        """Follow what it tells until it ends, or does not become ready in time."""
        was_ready = False
        if process.stdout is None:
            return was_ready
        try:
            async with asyncio.timeout(self._start_timeout_s) as limit:
                async for line in process.stdout:
                    told = orjson.loads(line)
                    self._hear(told, key)
                    if self.state.state == "ready" and not was_ready:
                        was_ready = True
                        limit.reschedule(None)
        except TimeoutError:
            self._fail(f"loading took longer than {self._start_timeout_s:g} s")
        return was_ready

    def _hear(self, told: Mapping[str, Any], key: str) -> None:
        match told.get("state"):
            case "loading":
                self._tell(ModelState("loading", told.get("progress")))
            case "ready":
                self._address = (f"http://127.0.0.1:{told['port']}/v1", key)
                facts = ", ".join(f"{name} {value}" for name, value in told["facts"].items())
                self._tell(ModelState("ready", 1.0, facts))
                log.info("local_qwen.engine_ready", model=self.config.model, **told["facts"])
                self._settled.set()
            case "failed":
                self._fail(str(told.get("detail")))
            case "broken":
                self._tell(ModelState("down", detail=str(told.get("detail"))))
            case _ if "stats" in told:
                self.stats = told["stats"]
                self.memory_bytes = told.get("memory_bytes")

    async def _read_errors(self, process: Process) -> None:
        if process.stderr is None:
            return
        while line := await _line(process.stderr):
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._lines.append(text)
                log.debug("local_qwen.engine_says", model=self.config.model, line=text[:500])

    def _settle_end(self, *, was_ready: bool, code: int) -> None:
        """What the end of the process means for its state."""
        self.stats = {}
        if self.state.state in ("failed", "down"):
            pass
        elif was_ready:
            self._tell(ModelState("down", detail=f"the engine ended with code {code}"))
        else:
            last = self._lines[-1][:300] if self._lines else "it said nothing"
            self._fail(f"the engine ended with code {code} while loading: {last}")

    def _fail(self, detail: str) -> None:
        self._tell(ModelState("failed", detail=detail))
        log.error("local_qwen.not_loaded", model=self.config.model, detail=detail)

    def _tell(self, state: ModelState) -> None:
        if state != self.state:
            self.state = state
            self._changed()


def engine_config(model: str, device: str, settings: Mapping[str, Any]) -> EngineConfig:
    """A configuration out of the plugin's settings."""
    shared = {name: settings[name] for name in EngineConfig.model_fields.keys() & settings.keys()}
    return EngineConfig.model_validate(
        {**shared, "model": model, "device": device, "token": SecretStr("")}
    )


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; of one that is too long, its pieces."""
    try:
        return await stream.readline()
    except ValueError:  # longer than the reader's buffer, which it has thrown away
        return b"(a line that is too long)\n"


async def _end(process: Process) -> None:
    """Close its standard input, which ends it; kill it where that does not help in time."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
