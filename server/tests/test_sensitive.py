"""Sensitive words through the running server: where they are looked for, and how each API tells of a hit."""

from __future__ import annotations

import asyncio
import json

import pytest

from fengchao_core.types import Delta, ToolCallFragment, Usage

USED = Usage(prompt_tokens=3, completion_tokens=9)
END = [Delta(finish_reason="stop", usage=USED)]


def spelled(text, **fields):
    """A stream in which every character is a delta of its own, each in a batch of its own."""
    return [[Delta(char, **fields)] for char in text]


@pytest.fixture
async def words(bench):
    """A word of each action, kept as operators keep them."""
    keeper = bench.gateway.word_keeper()
    for word, category, action in (
        ("敏感词", "禁", "block"),
        ("广告词", "换", "replace"),
        ("记录词", "记", "record"),
    ):
        await keeper.add(word, category=category, action=action)
    await keeper.add("敏感词典", category="禁", action="allow")


async def events(bench, path, body):
    """The events of a stream, parsed; `[DONE]` as it is."""
    async with bench.client.post(path, json=body, headers=bench.bearer) as response:
        text = await response.text()
    said = [line[5:].strip() for line in text.split("\n") if line.startswith("data:")]
    return [line if line == "[DONE]" else json.loads(line) for line in said]


async def aigc(bench, mode="invoke", **fields):
    """Ask `/aigc` in a mode: the last status, its msg, and the text that was shown."""
    body = {"model": "online-1", "query": "你好", "mode": mode, **fields}
    if mode == "stream":
        got = await events(bench, "/aigc/chat/", body)
        text = "".join(e["choices"][0]["message"]["content"] for e in got if e["choices"])
        return got[-1]["status"], got[-1]["msg"], text
    _, said = await bench.post("/aigc/chat/", body)
    if mode == "async":
        if said["status"] != 200:
            return said["status"], said["msg"], ""
        task = said["choices"][0]["message"]["content"]
        async with asyncio.timeout(10):
            while True:
                ask = {"model": "online-1", "mode": "async_result", "task_id": task}
                _, said = await bench.post("/aigc/chat/", ask)
                if said["status"] != 6602:
                    break
                await asyncio.sleep(0.02)
    text = "".join(c["message"]["content"] for c in said.get("choices") or ())
    return said["status"], said["msg"], text


async def v1(bench, *, stream=False, **fields):
    """Ask `/v1`: the error's body, or None, and the text that was shown."""
    body = {"model": "online-1", "stream": stream, **fields}
    body.setdefault("messages", [{"role": "user", "content": "你好"}])
    if not stream:
        status, said = await bench.post("/v1/chat/completions", body)
        if status != 200:
            return said["error"], ""
        return None, said["choices"][0]["message"]["content"]
    got = await events(bench, "/v1/chat/completions", body)
    if got == []:
        return (await bench.post("/v1/chat/completions", body))[1]["error"], ""
    error = got[-1].get("error") if got[-1] != "[DONE]" else None
    text = "".join(
        c["delta"].get("content") or "" for e in got if e != "[DONE]" for c in e.get("choices", ())
    )
    return error, text


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_aigc_blocks_what_goes_in(bench, words, mode):
    """A question with a word is 6601 with category and place, and no vendor is asked; the word is not repeated."""
    status, msg, _ = await aigc(bench, mode, query="一个敏-感-詞")
    assert (6601, []) == (status, bench.provider.requests)
    assert "敏感词：输入内容包含敏感词（类别“禁”，query，第 3 至 7 个字符）" == msg
    assert ["sensitive"] == await bench.outcomes()


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_aigc_blocks_what_comes_out(bench, words, mode):
    """An answer with a word ends with 6601 where the word begins, however it is cut; what it used is booked."""
    bench.provider.will(*spelled("好的，敏感词在此"), END)
    status, msg, text = await aigc(bench, mode)
    assert 6601 == status
    assert "敏感词：输出内容包含敏感词（类别“禁”，text，第 4 至 6 个字符）" == msg
    assert text == ("好的，" if mode == "stream" else "")
    await bench.gateway.flush()
    (row,) = await bench.gateway.store.usage.rows()
    assert "sensitive" == row.outcome
    assert row.completion_tokens > 0


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_aigc_replaces(bench, words, mode):
    """With `sensitive_replace` the characters of hits are stars, going in and coming out, and nothing else changes."""
    bench.provider.will(*spelled("好的，敏感词在此，敏感词典无妨"), END)
    status, _, text = await aigc(bench, mode, query="一个敏-感-詞", sensitive_replace=True)
    assert (200, "好的，***在此，敏感词典无妨") == (status, text)
    assert "一个*****" == bench.provider.requests[-1].messages[-1].text


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_a_words_own_action_holds_in_every_mode(bench, words, mode):
    """A word that is replaced or recorded never refuses anything."""
    bench.provider.will(*spelled("广告词与记录词"), END)
    status, _, text = await aigc(bench, mode, query="广告词与记录词")
    assert (200, "***与记录词") == (status, text)
    assert "***与记录词" == bench.provider.requests[-1].messages[-1].text


@pytest.mark.parametrize("mode", ["invoke", "stream", "async"])
async def test_is_sensitive_switches_it_off(bench, words, mode):
    """A caller of `/aigc` that says so is not screened."""
    bench.provider.will(*spelled("敏感词"), END)
    assert (200, "敏感词") == (await aigc(bench, mode, query="敏感词", is_sensitive=False))[::2]


@pytest.mark.parametrize("stream", [False, True])
async def test_v1_blocks_what_goes_in(bench, words, stream):
    """`/v1` answers 400 `content_filter` with category and place."""
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "一个敏感词"}]
    body = {"model": "online-1", "stream": stream, "messages": messages}
    status, said = await bench.post("/v1/chat/completions", body)
    assert (400, "content_filter") == (status, said["error"]["code"])
    assert {
        "category": "禁", "direction": "input", "where": "messages[1]", "start": 2, "end": 5,
    } == said["error"]["content_filter"]  # fmt: skip
    assert "敏感词" not in json.dumps(said, ensure_ascii=False)
    assert [] == bench.provider.requests


@pytest.mark.parametrize("stream", [False, True])
async def test_v1_blocks_what_comes_out(bench, words, stream):
    """Whole: 400. Streamed: what came before the word, then an event that holds the error, and no `[DONE]`."""
    bench.provider.will(*spelled("好的，敏感词在此"), END)
    error, text = await v1(bench, stream=stream)
    assert ("content_filter", "output", "text") == (
        error["code"], error["content_filter"]["direction"], error["content_filter"]["where"],
    )  # fmt: skip
    assert text == ("好的，" if stream else "")
    assert ["sensitive"] == await bench.outcomes()


@pytest.mark.parametrize("stream", [False, True])
async def test_v1_replaces_by_the_words_action(bench, words, stream):
    """On `/v1` the words' own actions decide."""
    bench.provider.will(*spelled("广告词与记录词"), END)
    messages = [{"role": "user", "content": "广告词"}]
    assert (None, "***与记录词") == await v1(bench, stream=stream, messages=messages)
    assert "***" == bench.provider.requests[-1].messages[-1].text


PLACES = {
    "query": ({"query": "敏感词"}, "query"),
    "system": ({"system": "敏感词"}, "system"),
    "prompt": ({"prompt": "敏感词{{query}}"}, "prompt"),
    "prompt_fill": ({"prompt": "{{query}}{{x}}", "prompt_fill": {"x": "敏感词"}}, "prompt_fill.x"),
    "put together": ({"prompt": "敏{{query}}", "query": "感词"}, "prompt"),
    "put together by fill": ({"prompt": "{{x}}{{query}}", "prompt_fill": {"x": "敏感"}, "query": "词"}, "prompt"),
    "history": (
        {"history": [{"role": "user", "content": "甲"}, {"role": "assistant", "content": "敏感词"}]},
        "history[1]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
async def test_aigc_looks_everywhere(bench, words, place):
    """Every text that a caller of `/aigc` brings is screened, a word that only the template puts together too."""
    fields, where = PLACES[place]
    status, msg, _ = await aigc(bench, **fields)
    assert (6601, []) == (status, bench.provider.requests)
    assert where in msg


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"q":"敏感词"}'}}
TURNS = {
    "system": {"role": "system", "content": "敏感词"},
    "parts": {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "敏感词"}]},
    "assistant": {"role": "assistant", "content": "敏感词"},
    "thoughts": {"role": "assistant", "content": "x", "reasoning_content": "敏感词"},
    "tool call": {"role": "assistant", "content": None, "tool_calls": [CALL]},
    "tool result": {"role": "tool", "tool_call_id": "c", "content": "敏感词"},
}  # fmt: skip


@pytest.mark.parametrize("turn", TURNS)
async def test_v1_looks_everywhere(bench, words, turn):
    """Every turn's text is screened: parts, thoughts, the arguments of calls, and what tools answered."""
    question = {"role": "user", "content": "你好"}
    called = {**TURNS["tool call"], "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{}"}}]}  # fmt: skip
    messages = [question, TURNS[turn], question]
    if turn == "tool result":
        messages.insert(1, called)
    error, _ = await v1(bench, messages=messages)
    assert ("content_filter", "input") == (error["code"], error["content_filter"]["direction"])
    assert [] == bench.provider.requests


OUT = {
    "text": [*spelled("敏感词"), END],
    "reasoning": [*[[Delta(reasoning=char)] for char in "想敏感词"], *spelled("好"), END],
    "refusal": [*[[Delta(refusal=char)] for char in "敏感词"], END],
    "call": [
        [Delta(tool_calls=(ToolCallFragment(0, "c", "f", '{"q":"敏'),))],
        [Delta(tool_calls=(ToolCallFragment(0, arguments='感词"}'),))],
        [Delta(finish_reason="tool_calls", usage=USED)],
    ],
    "extra": [
        [Delta("好", extra={"search": [{"title": "一个敏感词", "url": "https://x"}]})],
        END,
    ],
}


@pytest.mark.parametrize("where", OUT)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_part_of_an_answer_is_screened(bench, words, where, stream):
    """Text, thoughts, refusals, the arguments of calls and what a vendor sends beside them: none shows the word."""
    bench.provider.will(*OUT[where])
    body = {"model": "online-1", "stream": stream, "messages": [{"role": "user", "content": "x"}]}
    async with bench.client.post(
        "/v1/chat/completions", json=body, headers=bench.bearer
    ) as response:
        text = await response.text()
    assert '"code":"content_filter"' in text
    assert f'"where":"{where}"' in text
    assert "敏感词" not in text
    assert "感词" not in text


async def test_what_a_vendor_sends_beside_the_answer_is_replaced(bench, words):
    """Texts of search results are starred; their other facts stay as they are."""
    extra = {"search": [{"title": "广告词", "score": 0.5, "tags": ["广告词", None]}], "n": 1}
    bench.provider.will([Delta("好", extra=extra)], END)
    _, said = await bench.chat()
    assert {"search": [{"title": "***", "score": 0.5, "tags": ["***", None]}], "n": 1} == {
        name: said[name] for name in extra
    }


async def test_choices_are_screened_apart(bench, words):
    """Of several choices each is a text of its own: halves in two of them are no word, a whole one ends the answer."""
    halves = [[Delta("敏", index=0), Delta("感词", index=1)], [Delta("典", index=0)]]
    ends = [[Delta(index=n, finish_reason="stop", usage=USED) for n in (0, 1)]]
    bench.provider.will(*halves, *ends)
    status, said = await bench.chat(n=2)
    assert (200, ["敏典", "感词"]) == (status, [c["message"]["content"] for c in said["choices"]])
    bench.provider.will(*halves, [Delta("敏感词", index=1)], *ends)
    assert 400 == (await bench.chat(n=2))[0]


async def test_inputs_of_embeddings_are_screened(bench, words):
    """A text that is to be a vector is screened as any that goes to a vendor."""
    status, said = await bench.post(
        "/v1/embeddings", {"model": "embed-1", "input": ["好", "敏感词"]}
    )
    assert (400, "input[1]") == (status, said["error"]["content_filter"]["where"])
    status, _ = await bench.post("/v1/embeddings", {"model": "embed-1", "input": ["广告词"]})
    assert (200, ("***",)) == (status, bench.provider.embedded[-1].inputs)
    assert ["sensitive", "ok"] == await bench.outcomes()


async def test_logs_tell_category_and_count_only(bench, words, capture_log):
    """A line has category, direction, action and how many; neither the word nor the text around it."""
    bench.provider.will(*spelled("广告词，广告词"), END)
    await aigc(bench, query="广告词与广告词与记录词")
    lines = [line for line in capture_log if line["event"] == "sensitive.hits"]
    assert {("换", "input", 2), ("记", "input", 1), ("换", "output", 1)} == {
        (line["category"], line["direction"], line["hits"]) for line in lines
    }
    assert "广告词" not in str(capture_log)


async def test_the_setting_tells_the_log_the_text(open_bench, capture_log):
    """With `[sensitive] log_text` the log has the characters that were hit, in all their disguise."""
    bench = await open_bench(sensitive={"log_text": True})
    await bench.gateway.word_keeper().add("广告词", category="换", action="replace")
    bench.provider.will(*spelled("甲广-告-词乙"), END)
    await aigc(bench, query="广告詞", mode="stream")
    told = [line["text"] for line in capture_log if line["event"] == "sensitive.text"]
    assert ["广告詞", "广-告-词"] == told


@pytest.fixture
def capture_log():
    """Everything that is logged during a test."""
    from structlog.testing import capture_logs

    with capture_logs() as lines:
        yield lines
