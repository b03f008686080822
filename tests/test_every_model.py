"""Every model of the product's table answers in the sandbox: through both APIs, whole and streamed."""

import asyncio
import json

import aiohttp
import pytest
from tests.served import served

MODELS = [
    "glm-4",
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-1106",
    "gpt-3.5-turbo-16k",
    "gpt-3.5-turbo-16k-0613",
    "ERNIE-Bot-4",
    "ERNIE-Bot-8k",
    "ERNIE-Bot",
    "ERNIE-Bot-turbo",
    "BLOOMZ-7B",
    "Llama-2-7b-chat",
    "Llama-2-13b-chat",
    "Llama-2-70b-chat",
    "Mixtral-8x7B-Instruct",
    "Qianfan-Chinese-Llama-2-7B",
    "Qianfan-Chinese-Llama-2-13B",
    "claude-3-opus-20240229",
    "claude-3-sonnet-20240229",
    "skylark-lite-public",
    "skylark-plus-public",
    "skylark-pro-public",
    "skylark-chat",
    "Skylark2-lite-8k",
    "Skylark2-pro-4k",
    "Skylark2-pro-character-4k",
    "Skylark2-pro-32k",
    "Skylark2-pro-turbo-8k",
    "moonshot-v1-8k",
    "moonshot-v1-32k",
    "moonshot-v1-128k",
    "SenseChat",
    "lite",
    "generalv2",
    "generalv3",
    "generalv3.5",
    "4.0Ultra",
]
LOCAL_MODELS = ["Qwen1.5-0.5B-Chat", "Qwen1.5-1.8B-Chat"]
QUESTION = "你好，介绍一下北京"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A gateway with every vendor of the repository: its URL and a key."""
    with served(tmp_path_factory.mktemp("home")) as server:
        yield server.url, server.token


async def ask_v1(session, url, model, *, stream):
    """The text of an answer in OpenAI's shape."""
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": QUESTION}]}
    async with session.post(f"{url}/v1/chat/completions", json=body) as response:
        text = await response.text()
        assert response.status == 200, text
    if not stream:
        return json.loads(text)["choices"][0]["message"]["content"]
    assert text.endswith("data: [DONE]\n\n"), text
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


async def ask_aigc(session, url, model, *, stream, path="/aigc/chat/"):
    """The text of an answer in the product's own shape."""
    body = {"model": model, "query": QUESTION, "mode": "stream" if stream else "invoke"}
    async with session.post(f"{url}{path}", json=body) as response:
        text = await response.text()
        assert response.status == 200, text
    events = (
        [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
        if stream
        else [json.loads(text)]
    )
    assert {200} == {event["status"] for event in events}, text
    assert events[-1]["choices"][0]["finish_reason"]
    assert events[-1]["usage"]["completion_tokens"] > 0
    return "".join(event["choices"][0]["message"]["content"] for event in events)


@pytest.mark.parametrize("ask", [ask_v1, ask_aigc])
async def test_every_model_answers(sandbox, ask):
    """Each model of the product's table answers in Chinese, as a stand-in does, whole and streamed."""
    url, token = sandbox
    turns = asyncio.Semaphore(8)

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:

        async def both(model):
            async with turns:
                whole = await ask(session, url, model, stream=False)
                streamed = await ask(session, url, model, stream=True)
            assert "沙箱" in whole, model
            assert "沙箱" in streamed, model

        await asyncio.gather(*(both(model) for model in MODELS))


@pytest.mark.xdist_group("local_qwen")
@pytest.mark.parametrize("installed", [True, False], ids=["a stand-in", "emulated"])
async def test_local_models_answer(tmp_path, installed):
    """
    The product's local models answer on their channel and through /v1, whole and streamed, and their cards say by what.

    With torch a tiny model of random weights answers, in a real engine; without it the emulator does.
    """
    if installed:
        pytest.importorskip("torch", reason="the engine's libraries are not installed")
    with served(tmp_path, engine=installed) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def both(model):
                for stream in (False, True):
                    said = await ask_v1(session, server.url, model, stream=stream)
                    told = await ask_aigc(
                        session, server.url, model, stream=stream, path="/aigc/local_chat/"
                    )
                    assert said
                    assert told
                    assert installed or ("沙箱" in said and "沙箱" in told)

            await asyncio.gather(*(both(model) for model in LOCAL_MODELS))
            async with session.post(
                f"{server.url}/aigc/chat/", json={"model": LOCAL_MODELS[0], "query": QUESTION}
            ) as refused:
                assert 441 == refused.status
            async with session.get(f"{server.url}/aigc/models/") as answer:
                cards = {card["id"]: card for card in (await answer.json())["data"]}
    for model in LOCAL_MODELS:
        assert "本地模型" == cards[model]["channel"]
        assert ("替身" if installed else "模拟") in cards[model]["owned_by"]
