"""What SDK 2.5.1 brought, against the sandboxes of all vendors: aggregation, web search, JSON, pictures."""

import json
import time

import aiohttp
import pytest
from openai import OpenAI
from tests.served import served

PAINTERS = {
    "cogview-3-plus": "http",
    "Stable-Diffusion-XL": "data:image/png;base64,",
    "flux.1-schnell": "http",
    "gpt-image-1-mini": "data:image/png;base64,",
    "doubao-seedream-4-0-250828": "http",
    "spark-tti": "data:image/png;base64,",
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A gateway with every vendor of the repository."""
    with served(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
async def ask(sandbox):
    """A function that posts a body to a path of `/aigc`, and gives the parsed answer."""
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    async with aiohttp.ClientSession(sandbox.url, headers=headers) as session:

        async def post(path="chat", **body):
            async with session.post(f"/aigc/{path}/", json=body) as response:
                return await response.json()

        yield post


async def test_several_vendors_are_merged(ask):
    """Models of three vendors answer the question, and a fourth merges their answers."""
    answer = await ask(
        model="glm-4",
        query="介绍一下北京",
        agg_models=["ERNIE-Bot", "moonshot-v1-8k", "gpt-3.5-turbo"],
    )
    assert 200 == answer["status"]
    assert ["ERNIE-Bot", "moonshot-v1-8k", "gpt-3.5-turbo"] == [a["model"] for a in answer["agg"]]
    assert all(a["content"] and a["status"] == 200 and a["usage"]["cost"] for a in answer["agg"])
    assert answer["choices"][0]["message"]["content"]


async def test_a_model_that_cannot_see_is_reported(ask):
    """Of a question about a picture, a model that takes none is told in `agg` with its code; the others are merged."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    answer = await ask(
        model="glm-4v-plus", query="图里是什么？", image=pixel, agg_models=["gpt-4o", "ERNIE-Bot"]
    )
    assert 200 == answer["status"]
    assert [("gpt-4o", 200), ("ERNIE-Bot", 445)] == [
        (a["model"], a["status"]) for a in answer["agg"]
    ]
    assert "" == answer["agg"][1]["content"]


async def test_the_web_is_searched(ask):
    """The sandbox's pages stand in `search`, and any vendor's model is given them."""
    answer = await ask(
        model="moonshot-v1-8k", query="北京天气", search_param={"top_k": 2, "score": 0.1}
    )
    assert [1, 2] == [page["index"] for page in answer["search"]]
    assert all("北京天气" in page["title"] and page["url"] for page in answer["search"])


async def test_json_whoever_answers(ask):
    """A vendor with a JSON mode uses it; without one, what is no JSON becomes `{}` after two attempts."""
    able = await ask(model="glm-4-plus", query="首都在哪？用 JSON 回答", response_format="json")
    json.loads(able["choices"][0]["message"]["content"])
    unable = await ask(model="SenseChat", query="首都在哪？", response_format="json")
    assert "{}" == unable["choices"][0]["message"]["content"]
    said = await ask(
        model="SenseChat", query='[[say:```json\n{"首都": "北京"}\n```]]', response_format="json"
    )
    assert {"首都": "北京"} == json.loads(said["choices"][0]["message"]["content"])


async def test_a_schema_is_kept(ask):
    """A schema is met by a vendor's own mode, and checked."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = await ask(model="gpt-4o", query="首都在哪？", json_schema=schema)
    assert ["city"] == list(json.loads(answer["choices"][0]["message"]["content"]))


@pytest.mark.parametrize(("model", "start"), PAINTERS.items())
async def test_every_vendor_that_draws(ask, model, start):
    """Two pictures with a style and a text of what not to show, whatever the vendor takes."""
    answer = await ask(
        "t2i", model=model, query="雪中的长城", n=2, negative_prompt="人", style="Base"
    )
    assert (200, 2, "image") == (
        answer["status"],
        len(answer.get("choices", ())),
        answer.get("result_type"),
    ), answer
    for choice in answer["choices"]:
        assert choice["message"]["content"].startswith(start)


async def test_a_drawing_can_be_a_task(ask):
    """`async` gives an id, `async_result` the pictures, once they are drawn."""
    submitted = await ask("t2i", model="cogview-3-plus", query="猫", mode="async")
    id_ = submitted["choices"][0]["message"]["content"]
    deadline = time.monotonic() + 20
    while True:
        answer = await ask("t2i", model="cogview-3-plus", mode="async_result", task_id=id_)
        if answer["status"] != 6602:
            break
        assert time.monotonic() < deadline
    assert (200, "image") == (answer["status"], answer["result_type"])
    refused = await ask("t2i", model="cogview-3-plus", query="", mode="async")
    assert 443 == refused["status"]


def test_openais_sdk_draws(sandbox):
    """The official SDK's pictures come from any vendor that draws."""
    client = OpenAI(api_key=sandbox.token, base_url=f"{sandbox.url}/v1", max_retries=0)
    with client:
        by_url = client.images.generate(model="cogview-3-plus", prompt="猫", size="1024x1024")
        data = client.images.generate(
            model="Stable-Diffusion-XL", prompt="猫", response_format="b64_json"
        )
    assert by_url.data[0].url.startswith("http")
    assert data.data[0].b64_json
