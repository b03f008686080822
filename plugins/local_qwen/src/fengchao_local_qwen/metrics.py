"""What the engines tell of their work, as metrics. The names stand with all others in `fengchao_core.telemetry`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from fengchao_core import telemetry
from fengchao_local_qwen.process import EngineProcess


class Gauges:
    """
    Observes engines while it is entered. Costs nothing where nobody reads metrics.

    Args:
        provider: the provider's name in the settings.
        engines: gives the engines there are.
    """

    def __init__(self, provider: str, engines: Callable[[], Iterable[EngineProcess]]) -> None:
        self._provider = provider
        self._engines = engines
        self._open = False

    def __enter__(self) -> Self:
        self._open = True
        meter = metrics.get_meter(telemetry.SCOPE)
        for name, unit, read in _READINGS:
            meter.create_observable_gauge(name, [self._observe(read)], unit=unit)
        for name, unit, read in _COUNTS:
            meter.create_observable_counter(name, [self._observe(read)], unit=unit)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False  # the API has no way to take a callback back

    def _observe(
        self, read: Callable[[EngineProcess], float | None]
    ) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for engine in self._engines() if self._open else ():
                value = read(engine)
                if value is not None:
                    yield Observation(
                        value,
                        {
                            telemetry.PROVIDER: self._provider,
                            telemetry.REQUEST_MODEL: engine.config.model,
                            telemetry.ENGINE_DEVICE: engine.config.device,
                        },
                    )

        return observe


def _stat(name: str) -> Callable[[EngineProcess], float | None]:
    return lambda engine: engine.stats.get(name)


def _cache_share(engine: EngineProcess) -> float | None:
    total = engine.stats.get("cache_tokens")
    return engine.stats.get("cache_used", 0) / total if total else None


_READINGS: tuple[tuple[str, str, Callable[[EngineProcess], float | None]], ...] = (
    (telemetry.ENGINE_READY, "1", lambda engine: float(engine.state.state == "ready")),
    (telemetry.ENGINE_RUNNING, "{request}", _stat("running")),
    (telemetry.ENGINE_QUEUED, "{request}", _stat("queued")),
    (telemetry.ENGINE_CACHE_USE, "1", _cache_share),
    (telemetry.ENGINE_RATE, "{token}/s", _stat("tokens_per_s")),
    (telemetry.ENGINE_MEMORY, "By", lambda engine: engine.memory_bytes),
)
_COUNTS: tuple[tuple[str, str, Callable[[EngineProcess], float | None]], ...] = (
    (telemetry.ENGINE_TOKENS, "{token}", _stat("tokens")),
    (telemetry.ENGINE_FIRST_TOKENS, "{request}", _stat("first_tokens")),
    (telemetry.ENGINE_FIRST_TOKENS_S, "s", _stat("first_tokens_s")),
)
