"""
Every span, metric and attribute name, in one file: the `gen_ai.*` conventions are still moving, so they move here only.

Only the OpenTelemetry API is used. A process that wants the figures sets its SDK up before it opens the gateway; in one
that has none by then, nothing here does anything, cheaply.

Source: OpenTelemetry semantic conventions for generative AI, 1.37.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from fengchao_core.usage import UsageRecord

SCOPE: Final = "fengchao"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  # a name, not a token
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
ERROR_TYPE: Final = "error.type"
OUTCOME: Final = "fengchao.outcome"
ATTEMPTS: Final = "fengchao.attempts"

DURATION: Final = "gen_ai.client.operation.duration"
TOKENS: Final = "gen_ai.client.token.usage"
FIRST_DELTA: Final = "gen_ai.client.operation.time_to_first_chunk"
SENSITIVE_HITS: Final = "fengchao.sensitive.hits"
LEDGER_DROPPED: Final = "fengchao.ledger.dropped"

# Of the engines of local models.
ENGINE_DEVICE: Final = "fengchao.engine.device"
ENGINE_READY: Final = "fengchao.engine.ready"
ENGINE_RUNNING: Final = "fengchao.engine.requests.running"
ENGINE_QUEUED: Final = "fengchao.engine.requests.queued"
ENGINE_CACHE_USE: Final = "fengchao.engine.cache.use"
ENGINE_RATE: Final = "fengchao.engine.tokens.rate"
ENGINE_MEMORY: Final = "fengchao.engine.memory"
ENGINE_TOKENS: Final = "fengchao.engine.tokens"
ENGINE_FIRST_TOKENS: Final = "fengchao.engine.first_tokens"
ENGINE_FIRST_TOKENS_S: Final = "fengchao.engine.first_tokens.wait"


class Telemetry:
    """The instruments of one gateway."""

    def __init__(self) -> None:
        self._is_watched = _is_real(trace.get_tracer_provider()) or _is_real(
            metrics.get_meter_provider()
        )
        self._tracer = trace.get_tracer(SCOPE)
        meter = metrics.get_meter(SCOPE)
        self._duration = meter.create_histogram(DURATION, unit="s")
        self._first_delta = meter.create_histogram(FIRST_DELTA, unit="s")
        self._tokens = meter.create_histogram(TOKENS, unit="{token}")
        self._hits = meter.create_counter(SENSITIVE_HITS, unit="{hit}")
        self._dropped = meter.create_counter(LEDGER_DROPPED, unit="{row}")

    def start(self, operation: str, model: str) -> Span:
        """A span for one request; end it with `end()`."""
        if not self._is_watched:
            return trace.INVALID_SPAN
        return self._tracer.start_span(f"{operation} {model}", kind=SpanKind.CLIENT)

    def end(self, span: Span, operation: str, row: UsageRecord) -> None:
        """Measure what the row says, and end the span."""
        if not self._is_watched:
            return
        attributes = {OPERATION: operation, PROVIDER: row.provider, REQUEST_MODEL: row.model}
        if row.error:
            attributes[ERROR_TYPE] = row.error
        self._duration.record(row.duration_ms / 1000, attributes)
        if row.first_delta_ms is not None:
            self._first_delta.record(row.first_delta_ms / 1000, attributes)
        self._tokens.record(row.prompt_tokens, {**attributes, TOKEN_TYPE: "input"})
        self._tokens.record(row.completion_tokens, {**attributes, TOKEN_TYPE: "output"})
        if span.is_recording():
            span.set_attributes(
                {
                    **attributes,
                    INPUT_TOKENS: row.prompt_tokens,
                    OUTPUT_TOKENS: row.completion_tokens,
                    OUTCOME: row.outcome,
                    ATTEMPTS: row.attempts,
                }
            )
            if row.error:
                span.set_status(Status(StatusCode.ERROR, row.error))
        span.end()

    def sensitive_hits(self, category: str, direction: str, count: int) -> None:
        """Count hits of a word list; never the words."""
        self._hits.add(count, {"category": category, "direction": direction})

    def rows_dropped(self, count: int) -> None:
        """Count usage rows that were given up."""
        self._dropped.add(count)


def _is_real(provider: object) -> bool:
    """Whether somebody set a provider: the API's own stand-ins live in its own modules."""
    return not type(provider).__module__.startswith(
        ("opentelemetry.trace", "opentelemetry.metrics")
    )
