"""The start page, the documentation and the OpenAPI document."""

import re

import pytest

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
