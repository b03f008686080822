"""`POST /v1/embeddings` and the lists of models."""

import base64
import struct

import pytest


async def test_floats(bench):
    """One text or several become vectors in their order, with the usage."""
    status, answer = await bench.post("/v1/embeddings", {"model": "embed-1", "input": ["a", "b"]})
    assert 200 == status
    assert [(0, [0.0, 0.5, -1.25]), (1, [1.0, 0.5, -1.25])] == [
        (item["index"], item["embedding"]) for item in answer["data"]
    ]
    assert {"prompt_tokens": 5, "total_tokens": 5} == answer["usage"]
    status, answer = await bench.post("/v1/embeddings", {"model": "embed-1", "input": "a"})
    assert (200, 1) == (status, len(answer["data"]))


async def test_base64(bench):
    """As base64 a vector is little-endian float32."""
    _, answer = await bench.post(
        "/v1/embeddings",
        {"model": "embed-1", "input": "a", "encoding_format": "base64", "dimensions": 3},
    )
    packed = base64.b64decode(answer["data"][0]["embedding"])
    assert (0.0, 0.5, -1.25) == struct.unpack("<3f", packed)
    assert 3 == bench.provider.embedded[0].dimensions


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": ["a", None]}, "input[1]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ""}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"song": 1}, "song"),
        ({"model": "online-1"}, "model"),
    ],
)
async def test_bad_fields(bench, fields, param):
    """A wrong field is refused by name; tokens instead of text, too."""
    status, answer = await bench.post(
        "/v1/embeddings", {"model": "embed-1", "input": "a", **fields}
    )
    assert (400, param) == (status, answer["error"]["param"])


async def test_models(bench):
    """The list has OpenAI's shape."""
    async with bench.client.get("/v1/models", headers=bench.bearer) as response:
        answer = await response.json()
    assert "list" == answer["object"]
    assert ["online-1", "org/model:7b", "local-1", "embed-1"] == [m["id"] for m in answer["data"]]
    assert {"id", "object", "created", "owned_by"} == answer["data"][0].keys()


@pytest.mark.parametrize(
    "path", ["org/model:7b", "org%2Fmodel%3A7b", "org/model:7b/", "online-alias"]
)
async def test_one_model(bench, path):
    """A model is found by its id, also with a slash in it, escaped or not, and by its alias."""
    from yarl import URL

    url = URL(f"{bench.url}/v1/models/{path}", encoded=True)
    async with bench.client.get(url, headers=bench.bearer) as response:
        assert 200 == response.status
        assert (await response.json())["id"] in ("org/model:7b", "online-1")
