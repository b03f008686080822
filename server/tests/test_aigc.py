"""The product's own API: lists, chats, codes and streams as the product text has them."""

from datetime import date
from decimal import Decimal

import orjson
import pytest

from fengchao_core import errors as e
from fengchao_core.types import Delta, ModelCard, Price, Usage


async def frames_of(bench, **fields):
    """The events of a stream, parsed."""
    body = {"model": "online-1", "query": "你好", "mode": "stream", **fields}
    async with bench.client.post("/aigc/chat/", json=body, headers=bench.bearer) as response:
        assert 200 == response.status
        assert "text/event-stream; charset=utf-8" == response.headers["Content-Type"]
        text = await response.text()
    assert text.endswith("\n\n")
    return [orjson.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_lists(bench, slash):
    """The lists have the fields of the product text, on paths with and without the slash."""
    for name in ("models", "prompts", "kgs"):
        async with bench.client.get(f"/aigc/{name}{slash}") as response:
            assert "application/json; charset=utf-8" == response.headers["Content-Type"]
            data = (await response.json())["data"]
        if name == "models":
            assert ["online-1", "org/model:7b", "local-1"] == [card["id"] for card in data]
            assert ["在线模型", "在线模型", "本地模型"] == [card["channel"] for card in data]
            assert {"invoke", "stream"} <= set(data[0]["mode"])
        if name == "prompts":
            assert "默认" == data[0]["id"]
            assert {"id", "prefix", "prompt", "system", "created"} == data[0].keys()


async def test_model_price(open_bench):
    """A model shows its price per thousand tokens and its currency."""
    price = Price(
        input=Decimal("0.05"),
        output=Decimal("0.1"),
        currency="CNY",
        since=date(2024, 1, 1),
        source="x",
    )
    bench = await open_bench(cards=[ModelCard(id="m", owned_by="T", prices=(price,))])
    async with bench.client.get("/aigc/models/") as response:
        (card,) = (await response.json())["data"]
    assert (0.1, "CNY", "T") == (card["price"], card["unit"], card["owned_by"])


async def test_invoke(bench):
    """A whole answer has every field of the product text."""
    status, answer = await bench.ask(request_id="my-conversation")
    assert 200 == status
    assert ("my-conversation", "online-1", "执行成功", 200, []) == tuple(
        answer[k] for k in ("request_id", "model", "msg", "status", "knowledge")
    )
    choice = answer["choices"][0]
    assert ({"role": "assistant", "content": "你好，世界"}, "stop") == (
        choice["message"], choice["finish_reason"],
    )  # fmt: skip
    assert (3, 4, 7) == tuple(
        answer["usage"][k] for k in ("prompt_tokens", "completion_tokens", "total_tokens")
    )


async def test_local_path(bench):
    """A local model is asked on its own path."""
    status, answer = await bench.ask("/aigc/local_chat/", model="local-1")
    assert (200, "local-1") == (status, answer["model"])


async def test_stream(bench):
    """Each event is a whole answer; the last has the finish reason and the usage."""
    first, second, last = await frames_of(bench)
    assert ["你好", "，世界"] == [f["choices"][0]["message"]["content"] for f in (first, second)]
    assert [None, None, "stop"] == [f["choices"][0]["finish_reason"] for f in (first, second, last)]
    assert [0, 0, 7] == [f["usage"]["total_tokens"] for f in (first, second, last)]
    assert {200} == {f["status"] for f in (first, second, last)}


async def test_history_prompt_and_parameters(bench):
    """History, preset, system text and parameters reach the provider."""
    await bench.ask(
        history=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        system="be kind", prompt="说：{{query}}", temperature=0.3, top_p=0.4, max_tokens=55, do_sample=False,
    )  # fmt: skip
    request = bench.provider.requests[0]
    assert ["system", "user", "assistant", "user"] == [m.role for m in request.messages]
    assert ("be kind", "说：你好") == (request.messages[0].text, request.messages[-1].text)
    params = request.params
    assert (0.3, 0.4, 55, False) == (
        params.temperature,
        params.top_p,
        params.max_tokens,
        params.do_sample,
    )


@pytest.mark.parametrize(
    ("path", "fields", "code", "msg"),
    [
        ("/aigc/chat/", {"model": "nobody"}, 440, "模型不存在"),
        ("/aigc/chat/", {"model": "local-1"}, 441, "模型为本地模型却使用了在线接口"),
        ("/aigc/local_chat/", {}, 442, "模型为在线模型却使用了本地接口"),
        ("/aigc/chat/", {"query": " \n"}, 443, "问题为空"),
        ("/aigc/chat/", {"query": None}, 443, "问题为空"),
        ("/aigc/chat/", {"knowledge": "nowhere"}, 444, "知识库不存在"),
        ("/aigc/chat/", {"temperature": "x"}, 445, "参数错误"),
        ("/aigc/chat/", {"model": "embed-1"}, 445, "参数错误"),
    ],
)
async def test_http_codes(bench, path, fields, code, msg):
    """What the caller did wrong is an HTTP status with the same code in the body, in either mode, and free."""
    for mode in ("invoke", "stream"):
        status, answer = await bench.ask(path, mode=mode, **fields)
        assert (code, code) == (status, answer["status"])
        assert answer["msg"].startswith(msg)
    assert [] == bench.provider.requests


@pytest.mark.parametrize(
    ("error", "code", "msg"),
    [
        (e.SensitiveContent("x", direction="output", start=0, end=1), 6601, "敏感词"),
        (e.ResultNotReady("not yet"), 6602, "异步结果未生成"),
        (e.ProviderTimeout("idle", 60), 408, "请求超时"),
        (e.ProviderUnavailable("cut"), 400, "访问异常"),
        (e.ProviderAuthFailed("refused", status=401), 400, "访问异常"),
        (e.ProviderProtocolError("nonsense"), 400, "访问异常"),
        (e.RateLimited("slow down", status=429, retry_after=3), 429, "访问异常"),
        (e.ProviderOverloaded("busy", status=503), 503, "访问异常"),
    ],
)
async def test_body_codes(bench, error, code, msg):
    """What happened while serving is a body status under HTTP 200, whole, as first event, and after other events."""
    bench.provider.will(error)
    status, answer = await bench.ask()
    assert (200, code) == (status, answer["status"])
    assert answer["msg"].startswith(msg)
    assert "" == answer["choices"][0]["message"]["content"]
    (only,) = await frames_of(bench)
    assert (code, True) == (only["status"], only["msg"].startswith(msg))
    bench.provider.will([Delta("半句")], error)
    piece, last = await frames_of(bench)
    assert ("半句", 200, code) == (
        piece["choices"][0]["message"]["content"], piece["status"], last["status"],
    )  # fmt: skip


async def test_our_fault_in_a_stream(bench):
    """An incident after the stream began is an event with 500 and the incident's id, and nothing of its cause."""
    bench.provider.will([Delta("半句")], ZeroDivisionError("secret detail"))
    _, last = await frames_of(bench)
    assert 500 == last["status"]
    assert "事件编号" in last["msg"]
    assert "secret detail" not in str(last)


async def test_booked_outcomes(bench):
    """Every request is booked with how it ended, refusals included."""
    await bench.ask()
    await bench.ask(model="nobody")
    bench.provider.will([Delta("x")], e.ProviderTimeout("idle", 60))
    await frames_of(bench)
    bench.provider.will(e.ProviderUnavailable("cut"))
    await bench.ask()
    bench.provider.will([Delta("x", finish_reason="stop", usage=Usage(1, 1))])
    await frames_of(bench)
    assert ["ok", "refused", "timeout", "failed", "ok"] == await bench.outcomes()


async def test_a_history_too_long_for_the_model_is_shortened(open_bench):
    """The oldest turns go as pairs, the answer says so, whole and streamed; what fits says nothing."""
    bench = await open_bench(cards=[ModelCard(id="small", owned_by="T", max_input_tokens=400)])
    history = [
        {"role": role, "content": f"{n}{'字' * 200}"}
        for n in (1, 2)
        for role in ("user", "assistant")
    ]
    asked = {"model": "small", "system": "", "history": history}
    _, answer = await bench.ask(**asked)
    assert ["user", "assistant", "user"] == [m.role for m in bench.provider.requests[0].messages]
    assert bench.provider.requests[0].messages[0].text.startswith("2")
    (note,) = answer["notes"]
    assert "最早的 2 条消息" in note
    frames = await frames_of(bench, **asked)
    assert [None, None, [note]] == [frame.get("notes") for frame in frames]
    _, plain = await bench.ask(model="small", system="", history=history[:2])
    assert "notes" not in plain


async def test_a_question_too_long_for_the_model_is_refused(open_bench):
    """The last message is never cut: 445 with the model's limit."""
    bench = await open_bench(cards=[ModelCard(id="small", owned_by="T", max_input_tokens=400)])
    status, answer = await bench.ask(model="small", system="", query="字" * 1000)
    assert 445 == status
    assert "400" in answer["msg"]
    assert [] == bench.provider.requests


async def test_a_history_out_of_order_is_refused(bench):
    """Two turns of one role in a row are a 445 that names the second."""
    turn = {"role": "user", "content": "a"}
    status, answer = await bench.ask(history=[turn, turn])
    assert 445 == status
    assert "history[1].role" in answer["msg"]
