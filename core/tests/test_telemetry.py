"""Spans and metrics, as an OpenTelemetry SDK sees them."""

import json
import subprocess
import sys

SCRIPT = """
import asyncio, json
from contextlib import asynccontextmanager
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from fengchao_core import *
from fengchao_core.errors import RequestRejected

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
tracer = TracerProvider()
tracer.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(tracer)
metrics.set_meter_provider(MeterProvider([reader]))

class Vendor(Provider):
    async def stream(self, request):
        if "fail" in request.messages[-1].text:
            raise RequestRejected("bad")
        yield [Delta("secret words", finish_reason="stop", usage=Usage(10, 5))]

@asynccontextmanager
async def opened(settings, context):
    yield Vendor()

card = ModelCard(id="m", owned_by="v", upstream_id="m")
spec = ProviderSpec("vendor", "Vendor", ProviderSettings, lambda: (card,), opened)

async def main():
    settings = Settings(providers={"vendor": {}})
    async with Gateway.open(settings, store=MemoryStore(), providers=[spec]) as gateway:
        await gateway.chat(ChatCall(model="m", query="tell me"))
        try:
            await gateway.chat(ChatCall(model="m", query="fail"))
        except RequestRejected:
            pass

asyncio.run(main())
found = [metric for group in reader.get_metrics_data().resource_metrics
         for scope in group.scope_metrics for metric in scope.metrics]
print(json.dumps({
    "spans": [[s.name, dict(s.attributes), s.status.status_code.name] for s in spans.get_finished_spans()],
    "metrics": {m.name: sum(p.count for p in m.data.data_points) for m in found},
    "tokens": {p.attributes["gen_ai.token.type"]: p.sum for m in found
               if m.name == "gen_ai.client.token.usage" for p in m.data.data_points
               if "error.type" not in p.attributes},
}))
"""


def test_an_sdk_sees_each_request():
    """Each request is a span with the model, the tokens and the outcome, and counts in the metrics; no text is told."""
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    seen = json.loads(run.stdout)
    good, bad = seen["spans"]
    assert "chat m" == good[0]
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vendor",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "fengchao.outcome": "ok",
        "fengchao.attempts": 1,
    } == good[1]
    assert ("RequestRejected", "ERROR") == (bad[1]["error.type"], bad[2])
    assert 2 == seen["metrics"]["gen_ai.client.operation.duration"]
    assert {"input": 10, "output": 5} == seen["tokens"]
    assert "secret" not in run.stdout + run.stderr
    assert "tell me" not in run.stdout + run.stderr
