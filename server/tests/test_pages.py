"""The start page, the documentation and the OpenAPI document."""

import json
import re

import pytest

from fengchao_core.errors import ProviderUnavailable
from fengchao_core.types import Delta
from fengchao_server.api import build_routes
from fengchao_server.v1 import schema
from fengchao_server.v1.chat_request import HANDLED, READERS


async def test_start_page(bench):
    """The start page lists the models and shows how to begin; a strange Host header is not repeated."""
    async with bench.client.get("/", headers={"Host": '"><script>alert(1)</script>'}) as response:
        text = await response.text()
        assert "text/html; charset=utf-8" == response.headers["Content-Type"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "org/model:7b" in text
    assert "curl http" in text
    assert "<script" not in text


async def test_documentation_shows_every_route(bench):
    """Every route stands in the documentation and in the OpenAPI document, and nothing else does."""
    async with bench.client.get("/docs/plain") as response:
        page = await response.text()
    async with bench.client.get("/openapi.json") as response:
        document = await response.json()
    served = {(route.path, route.method.lower()) for route in build_routes().routes}
    assert served == {(path, method) for path, item in document["paths"].items() for method in item}
    assert [] == [path for path, _ in served if path not in page]
    assert "6601" in page
    assert "model_not_found" in page
    assert "3.1.0" == document["openapi"]


async def test_pages_bring_their_own_files(bench):
    """Every file that a page asks for is served by this process, compressed where that was wanted, and kept by its tag."""
    for page in ("/docs", "/examples"):
        async with bench.client.get(page) as response:
            assert "script-src 'self'" in response.headers["Content-Security-Policy"]
            html = await response.text()
        files = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
        assert files
        for file in files:
            async with bench.client.get(file) as response:
                assert 200 == response.status
                tag = response.headers["ETag"]
            async with bench.client.get(file, headers={"If-None-Match": tag}) as response:
                assert 304 == response.status
    async with bench.client.get(files[0], headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize(
    "path", ["no-such.js", "../pages.py", "%2e%2e/pages.py", "swagger-ui/LICENSE", "docs", "/"]
)
async def test_only_files_of_pages_are_served(bench, path):
    """No path leads out of the folder, nor to what is no page's file."""
    async with bench.client.get(f"/static/{path}") as response:
        assert 404 == response.status


async def test_references_resolve(bench):
    """Every reference of the OpenAPI document points at something."""
    async with bench.client.get("/openapi.json") as response:
        document = await response.json()

    def refs(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for value in node.values():
                yield from refs(value)
        elif isinstance(node, list):
            for value in node:
                yield from refs(value)

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set() == set(refs(document)) - known


def test_documented_fields_are_the_ones_that_are_read():
    """The documentation of a chat body names exactly the fields that the reader knows."""
    assert HANDLED | READERS.keys() == schema.ChatCompletionRequest.model_fields.keys()


@pytest.mark.parametrize(
    ("model", "path", "body"),
    [
        (
            schema.ChatCompletion,
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x"}]},
        ),
        (schema.Embeddings, "/v1/embeddings", {"model": "embed-1", "input": "x"}),
    ],
)
async def test_answers_are_as_documented(bench, model, path, body):
    """An answer has exactly the fields of its documented model."""
    _, answer = await bench.post(path, {"model": "online-1", **body})
    assert model.model_fields.keys() == answer.keys()
    model.model_validate(answer)


async def test_health(bench):
    """The health check says ok, without a key."""
    async with bench.client.get("/healthz") as response:
        assert (200, "ok") == (response.status, (await response.json())["status"])


STREAMING = [route for route in build_routes().routes if route.streams]


@pytest.mark.parametrize("route", STREAMING, ids=lambda route: route.path)
async def test_events_are_described(bench, route):
    """The document says of a stream what the data of each event is, and what ends it where that is no JSON."""
    async with bench.client.get("/openapi.json") as response:
        document = await response.json()
    content = document["paths"][route.path][route.method.lower()]["responses"]["200"]["content"]
    reference = content["text/event-stream"]["schema"]["$ref"]
    event = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert ["data"] == event["required"]
    data = event["properties"]["data"]
    if route.streams.ends:
        end, data = data["anyOf"]
        assert route.streams.ends == end["const"]
    assert "application/json" == data["contentMediaType"]
    said = data["contentSchema"].get("anyOf", [data["contentSchema"]])
    assert [model.__name__ for model in route.streams.gives] == [
        one["$ref"].rpartition("/")[2] for one in said
    ]


@pytest.mark.parametrize("breaks", [False, True], ids=["whole", "broken"])
@pytest.mark.parametrize("route", [r for r in STREAMING if r.example], ids=lambda r: r.path)
async def test_events_are_as_described(bench, route, breaks):
    """The example that asks for a stream is answered by one whose every event has the fields that are documented."""
    bench.provider.will(
        [Delta("你好", reasoning="问好")],
        ProviderUnavailable("gone") if breaks else [Delta(finish_reason="stop")],
    )
    model = "local-1" if "local" in route.path else "online-1"
    body = {**route.example, **route.streams.asked_by, "model": model}
    async with bench.client.post(route.path, json=body, headers=bench.bearer) as response:
        assert "text/event-stream; charset=utf-8" == response.headers["Content-Type"]
        frames = (await response.text()).removesuffix("\n\n").split("\n\n")
    events = [frame.removeprefix("data: ") for frame in frames]
    if route.streams.ends:
        assert breaks == (route.streams.ends != events[-1])
        events = [event for event in events if event != route.streams.ends]
    assert len(events) >= 2
    for event in map(json.loads, events):
        model = next(m for m in route.streams.gives if event.keys() <= m.model_fields.keys())
        model.model_validate(event)


@pytest.mark.parametrize(
    "route", [r for r in build_routes().routes if r.example], ids=lambda r: r.path
)
async def test_examples_are_valid(bench, route):
    """The bodies that the document shows, whole and streamed, fit the model that is documented."""
    async with bench.client.get("/openapi.json") as response:
        document = await response.json()
    operation = document["paths"][route.path][route.method.lower()]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert ["whole", "streamed"] == list(examples)
    for example in examples.values():
        route.takes.model_validate(example["value"])
