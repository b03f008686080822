"""The shared engine of the sandboxes: answers, faults, streams and the count of what was served."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fengchao_core.kit.sandbox import (
    SERVED_PATH,
    EventStream,
    Faults,
    Hints,
    SandboxDesk,
    answer_for,
    chat_dialect,
    count_tokens,
    deltas,
    draw,
    embedding,
    fill,
    last_user_text,
    look_at,
    pieces,
    send_whole,
    tokenize,
    without_markers,
)
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

WEATHER = Tool(
    name="get_weather",
    description="查询某个城市的天气",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
        "required": ["city", "days"],
    },
)
CLOCK = Tool(name="get_time", description="what time it is", parameters={"type": "object"})


def ask(text: str, **params: Any) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(
        model="glm-4", messages=(Message("user", text),), params=ChatParams(**params)
    )


# Texts and tokens.


@given(st.text())
def test_tokens_and_pieces_join_to_the_text(text: str) -> None:
    """Cutting a text into tokens or pieces loses nothing, and a piece has one to four characters."""
    cut = list(pieces(text))
    assert text == "".join(tokenize(text))
    assert text == "".join(cut)
    assert all(1 <= len(piece) <= 4 for piece in cut)


def test_token_counts_are_plausible() -> None:
    """A Chinese text takes about half a token a character, an English one about a token a word."""
    assert 5 <= count_tokens("介绍一下北京的历史") <= 9
    assert 6 <= count_tokens("tell me a story about the sea") <= 9
    assert 0 == count_tokens("")


# Answers.


def test_chinese_question_gets_a_chinese_answer() -> None:
    """A Chinese question is answered in several Chinese sentences that quote it and name the model."""
    text = answer_for(ask("介绍一下北京")).choices[0].message.text
    assert "介绍一下北京" in text
    assert "glm-4" in text
    assert text.count("。") >= 3


def test_english_question_gets_an_english_answer() -> None:
    """An English question is answered in English, quoted, with the model's name."""
    text = answer_for(ask("What is a monad?")).choices[0].message.text
    assert '"What is a monad?"' in text
    assert "glm-4" in text
    assert text.isascii()


@given(st.text(), st.integers(1, 3), st.booleans())
def test_the_same_request_gets_the_same_answer(text: str, n: int, think: bool) -> None:
    """Answers are deterministic, and the deltas of the stream fold to the whole answer."""
    request = ask(text, n=n)
    reply = answer_for(request, think=think)
    assert reply == answer_for(request, think=think)
    steps = list(deltas(reply))
    for choice in reply.choices:
        own = [step for step in steps if step.index == choice.index]
        assert choice.message.text == "".join(step.text for step in own)
        assert (choice.message.reasoning or "") == "".join(step.reasoning for step in own)
        assert [choice.finish_reason] == [s.finish_reason for s in own if s.finish_reason]
        assert own[-1].finish_reason


def test_several_choices_differ() -> None:
    """Two choices of one answer are not the same text."""
    first, second = answer_for(ask("写一句口号", n=2)).choices
    assert (0, 1) == (first.index, second.index)
    assert first.message.text != second.message.text


@given(st.text(min_size=1), st.integers(1, 60))
def test_the_longest_answer_is_kept(text: str, limit: int) -> None:
    """No answer is longer than max_tokens, and one that was cut says `length`."""
    choice = answer_for(ask(text, max_tokens=limit)).choices[0]
    whole = answer_for(ask(text)).choices[0]
    assert count_tokens(choice.message.text) <= limit
    assert ("length" if choice != whole else "stop") == choice.finish_reason


def test_a_stop_text_ends_the_answer() -> None:
    """The answer ends before the first stop text."""
    text = answer_for(ask("介绍一下北京", stop=("。",))).choices[0].message.text
    assert text
    assert "。" not in text


def test_markers_steer_the_answer_and_are_not_quoted() -> None:
    """`say` gives the very text, `length` its size, and no marker shows in an answer."""
    assert "敏感 词" == answer_for(ask("说 [[say:敏感 词]]")).choices[0].message.text
    text = answer_for(ask("你好 [[length:3000]] [[fault:pace=0.01]]")).choices[0].message.text
    assert 3000 == len(text)
    assert "[[" not in text
    assert "你好" == without_markers("你好 [[length:3000]]")


def test_usage_counts_prompt_thinking_and_answer() -> None:
    """The usage has the answer's tokens, the thinking's among them, and grows with the prompt."""
    reply = answer_for(ask("你好"), think=True)
    message = reply.choices[0].message
    assert count_tokens(message.reasoning or "") == reply.usage.reasoning_tokens
    assert (
        count_tokens(message.text) + reply.usage.reasoning_tokens == reply.usage.completion_tokens
    )
    assert answer_for(ask("你好" * 50)).usage.prompt_tokens > reply.usage.prompt_tokens


def test_history_is_noticed() -> None:
    """The answer says which turn of the conversation it is."""
    request = ask("继续")
    history = (Message("user", "你好"), Message("assistant", "你好！"))
    later = replace(request, messages=history + request.messages)
    assert "第 2 轮" in answer_for(later).choices[0].message.text


def test_log_probabilities_cover_the_text() -> None:
    """The tokens of the log-probabilities join to the text, whole and streamed, with as many alternatives as asked."""
    reply = answer_for(ask("hi there", logprobs=True, top_logprobs=2))
    entries: list[Any] = list(reply.choices[0].logprobs or ())
    assert reply.choices[0].message.text == "".join(entry["token"] for entry in entries)
    assert all(2 == len(entry["top_logprobs"]) for entry in entries)
    streamed = [entry for step in deltas(reply) for entry in step.logprobs or ()]
    assert entries == streamed


# JSON.


def test_json_mode_gives_an_object() -> None:
    """In JSON mode the answer is a JSON object that holds the question."""
    request = ask("返回JSON", response_format=ResponseFormat("json_object"))
    body = orjson.loads(answer_for(request).choices[0].message.text)
    assert "返回JSON" == body["question"]


def test_a_schema_is_filled_with_fitting_values() -> None:
    """The answer after a schema has the required fields, of the right types, from the prompt where it can."""
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "when": {"type": "string", "format": "date"},
            "guests": {"type": "integer", "minimum": 1, "maximum": 4},
            "kind": {"enum": ["dinner", "lunch"]},
            "dishes": {"type": "array", "items": {"$ref": "#/$defs/dish"}, "minItems": 2},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["city", "when", "guests", "kind", "dishes", "note"],
        "$defs": {"dish": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    form = ResponseFormat("json_schema", name="booking", schema=schema, strict=True)
    request = ask("在上海订 9 个人的 lunch，要“烤鸭”", response_format=form)
    body = orjson.loads(answer_for(request).choices[0].message.text)
    assert {"city", "when", "guests", "kind", "dishes", "note"} == set(body)
    assert ("上海", 4, "lunch", None) == (body["city"], body["guests"], body["kind"], body["note"])
    assert [{"name": "烤鸭"}, {"name": "烤鸭"}] == body["dishes"]


@pytest.mark.parametrize(
    ("schema", "check"),
    [
        ({"type": "integer", "exclusiveMinimum": 5, "maximum": 6}, lambda v: v == 6),
        ({"type": "integer", "multipleOf": 7, "minimum": 8}, lambda v: v == 14),
        ({"type": "number", "exclusiveMaximum": 0}, lambda v: v < 0),
        ({"type": "string", "minLength": 50}, lambda v: len(v) >= 50),
        ({"type": "string", "maxLength": 1}, lambda v: len(v) == 1),
        ({"type": "string", "pattern": r"^\d{5}$"}, lambda v: v == "12345"),
        ({"type": ["null", "boolean"]}, lambda v: v is True),
        ({"const": {"a": 1}}, lambda v: v == {"a": 1}),
        ({"default": 3}, lambda v: v == 3),
        ({"allOf": [{"required": ["a"]}, {"properties": {"a": {"const": 1}}}]}, lambda v: v == {"a": 1}),
        ({"type": "array", "items": {"type": "null"}, "minItems": 3}, lambda v: v == [None] * 3),
        ({"$ref": "#"}, lambda v: isinstance(v, str)),
        ({"type": "object", "required": ["x"], "properties": {"x": {"$ref": "#"}}}, lambda v: "x" in v),
    ],
)  # fmt: skip
def test_schema_keywords_are_kept(schema: dict[str, object], check: Callable[[Any], bool]) -> None:
    """A value keeps to the schema's bounds, and a schema that refers to itself comes to an end."""
    assert check(fill(schema, Hints("a question")))


# Tools.


def test_a_user_question_with_tools_gets_the_fitting_call() -> None:
    """The function that fits the question is called, with arguments after its schema."""
    choice = answer_for(ask("北京的天气怎么样？", tools=(CLOCK, WEATHER))).choices[0]
    (call,) = choice.message.tool_calls
    assert "tool_calls" == choice.finish_reason
    assert "get_weather" == call.name
    assert {"city": "北京", "days": 2} == orjson.loads(call.arguments)


def test_parallel_calls_come_when_the_prompt_asks() -> None:
    """`[[tools:parallel]]` gives calls with different ids and arguments, unless the caller forbids it."""
    request = ask("北京和上海的天气 [[tools:parallel]]", tools=(WEATHER,))
    calls = answer_for(request).choices[0].message.tool_calls
    assert ["北京", "上海"] == [orjson.loads(call.arguments)["city"] for call in calls]
    assert 2 == len({call.id for call in calls})
    alone = replace(request, params=replace(request.params, parallel_tool_calls=False))
    assert 1 == len(answer_for(alone).choices[0].message.tool_calls)


def test_the_choice_of_tool_is_obeyed() -> None:
    """`none` answers in words, a named function is called whatever the question."""
    tools = (CLOCK, WEATHER)
    words = answer_for(ask("北京的天气", tools=tools, tool_choice="none")).choices[0]
    named = {"type": "function", "function": {"name": "get_time"}}
    call = answer_for(ask("北京的天气", tools=tools, tool_choice=named)).choices[0]
    assert "stop" == words.finish_reason
    assert "get_time" == call.message.tool_calls[0].name


def test_tool_results_are_used() -> None:
    """After the tools answered, the model answers in words that hold their results."""
    call = ToolCall("call_1", "get_weather", '{"city": "北京"}')
    messages = (
        Message("user", "北京的天气怎么样？"),
        Message("assistant", None, tool_calls=(call,)),
        Message("tool", '{"temp": 21}', tool_call_id="call_1"),
    )
    request = ChatRequest(model="glm-4", messages=messages, params=ChatParams(tools=(WEATHER,)))
    choice = answer_for(request).choices[0]
    assert "stop" == choice.finish_reason
    assert '{"temp": 21}' in choice.message.text
    assert "get_weather" in choice.message.text


@pytest.mark.parametrize("whole", [True, False])
def test_streamed_calls_join(whole: bool) -> None:
    """The fragments of streamed calls join to the calls, in one piece or in many."""
    reply = answer_for(ask("北京和上海的天气 [[tools:parallel]]", tools=(WEATHER,)))
    fragments = [f for step in deltas(reply, whole_tool_calls=whole) for f in step.tool_calls]
    for index, call in enumerate(reply.choices[0].message.tool_calls):
        own = [f for f in fragments if f.index == index]
        assert call.arguments == "".join(f.arguments for f in own)
        assert (call.id, call.name) == (own[0].id, own[0].name)
        assert (len(own) == 1) == whole


# Pictures and vectors.


def png(width: int, height: int) -> str:
    """A PNG of one colour as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_a_picture_is_described() -> None:
    """The answer tells format and size of a picture that came as data, and where one that came by address is."""
    parts = (
        TextPart("图里有什么"),
        ImagePart(png(7, 5)),
        ImagePart("https://example.com/a/cat.png"),
    )
    request = ChatRequest(model="glm-4v", messages=(Message("user", parts),))
    text = answer_for(request).choices[0].message.text
    assert "PNG" in text
    assert "7×5" in text
    assert "example.com/cat.png" in text


def test_picture_headers_are_read() -> None:
    """The formats that vendors take are told apart, also as bare base64; anything else is refused."""
    jpeg = bytes.fromhex("ffd8ffe000040000ffc0000b080102030401011100")
    assert ("JPEG", 0x304, 0x102) == tuple(
        getattr(look_at(base64.b64encode(jpeg).decode()), name)
        for name in ("format", "width", "height")
    )
    gif = base64.b64encode(b"GIF89a" + struct.pack("<HH", 3, 2)).decode()
    assert ("GIF", 3, 2) == (look_at(gif).format, look_at(gif).width, look_at(gif).height)
    for bad in ("not base64!", "data:image/png,raw", "data:image/png;base64,", ""):
        with pytest.raises(ValueError, match=r"picture|data URL"):
            look_at(bad)


def test_a_drawn_picture_is_one() -> None:
    """A drawn picture is a PNG of the size asked for, the same for the same prompt and another for another."""
    picture = draw("一只猫", 64, 33)
    seen = look_at(base64.b64encode(picture).decode())
    assert ("PNG", 64, 33) == (seen.format, seen.width, seen.height)
    assert picture == draw("一只猫", 64, 33)
    assert picture != draw("一只狗", 64, 33)
    assert picture.endswith(b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))


@given(st.text(), st.sampled_from([2, 256, 1024]))
def test_vectors_are_deterministic_and_of_length_one(text: str, dimensions: int) -> None:
    """A vector has the dimensions asked for and length one, and the same text gives the same one."""
    vector = embedding(text, dimensions)
    assert dimensions == len(vector)
    assert math.isclose(1.0, math.hypot(*vector), rel_tol=1e-9)
    assert vector == embedding(text, dimensions)


def test_similar_texts_have_similar_vectors() -> None:
    """A text is nearer to its paraphrase than to another subject."""

    def near(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(embedding(one, 1024), embedding(other, 1024), strict=True))

    assert near("北京是中国的首都", "中国的首都是北京") > near("北京是中国的首都", "我喜欢吃苹果")
    assert near("the cat sat", "a cat sat down") > near("the cat sat", "stock prices fell")


# Faults.


def test_faults_are_read_from_the_prompt() -> None:
    """Each marker sets its fault, several add up, and text around them does not matter."""
    faults = Faults.from_prompt(
        "你好 [[fault:latency=0.5]] [[fault:429 retry_after=2]] x [[fault:cut after=3]] [[fault:pace=0.02]]"
        "[[fault:half_line]][[fault:split_utf8]][[fault:silence after=2]][[fault:malformed after=1]]"
    )
    expected = Faults(
        latency=0.5,
        pace=0.02,
        refusal="429",
        retry_after=2.0,
        cut_after=3,
        half_line_after=2,
        silence_after=2,
        malformed_after=1,
        split_utf8=True,
    )
    assert expected == faults


def test_a_misspelt_fault_is_loud() -> None:
    """A marker that cannot be read becomes a refusal that holds its words."""
    assert "lateny" == Faults.from_prompt("[[fault:lateny=1]]").refusal
    assert "latency=soon" == Faults.from_prompt("[[fault:latency=soon]]").refusal


def test_a_fault_happens_as_often_as_it_says() -> None:
    """`once=KEY` happens once for each key, `times=N` N times."""
    desk = SandboxDesk()
    once = [desk.faults("[[fault:500 once=a]]").refusal for _ in range(3)]
    thrice = [desk.faults("[[fault:429 times=3 once=b]]").refusal for _ in range(5)]
    assert ["500", None, None] == once
    assert ["429"] * 3 + [None] * 2 == thrice
    assert "500" == desk.faults("[[fault:500 once=c]]").refusal


# Over a real connection.


def application(desk: SandboxDesk) -> web.Application:
    """A vendor of the plainest kind."""

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = chat_dialect.read_chat(orjson.loads(await request.read()))
        faults = desk.faults(last_user_text(asked.messages))
        reply = answer_for(asked)
        with desk.served.serving("key-1", asked.model, reply.usage.prompt_tokens) as serving:
            if not asked.stream:
                response = await send_whole(
                    request,
                    {
                        "choices": chat_dialect.choice_bodies(reply),
                        "usage": chat_dialect.usage_body(reply.usage),
                    },
                    faults,
                    serving,
                )
                if not serving.closed_by_client:
                    serving.complete(reply.usage)
                return response
            async with EventStream(request, faults, serving) as stream:
                for delta in deltas(reply):
                    await stream.send({"delta": chat_dialect.delta_body(delta)})
                    serving.sent(delta)
                serving.complete(reply.usage)
                await stream.send(b"[DONE]")
            return stream.response

    app = web.Application()
    app.router.add_post("/chat", chat)
    desk.mount(app)
    return app


class House:
    """The vendor, running, and a client for it."""

    def __init__(self, desk: SandboxDesk, base: str, client: aiohttp.ClientSession) -> None:
        self.desk = desk
        self.base = base
        self.client = client

    def post(self, text: str, *, stream: bool = True) -> Any:
        """Ask."""
        body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
        return self.client.post(f"{self.base}/chat", json=body)

    async def row(self) -> dict[str, Any]:
        """What was served so far."""
        async with self.client.get(self.base + SERVED_PATH) as response:
            rows: list[dict[str, Any]] = (await response.json())["rows"]
            return rows[0]

    async def row_when(self, *, under_way: int) -> dict[str, Any]:
        """What was served, as soon as so many answers are under way; a second is the longest wait."""
        async with asyncio.timeout(1):
            while (
                sum(row.open for row in self.desk.served.rows()) != under_way
            ):  # a page tells no event
                await asyncio.sleep(0.005)
        return await self.row()


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    """Run the vendor on loopback."""
    desk = SandboxDesk()
    runner = web.AppRunner(application(desk), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as client:
            yield House(desk, f"http://{host}:{port}", client)
    finally:
        await runner.cleanup()


async def text_of(response: aiohttp.ClientResponse) -> str:
    """The text of a whole stream."""
    events = [line[6:] for line in (await response.read()).split(b"\n\n") if line]
    assert b"[DONE]" == events.pop()
    return "".join(orjson.loads(event)["delta"].get("content", "") for event in events)


async def test_a_stream_holds_the_whole_answer() -> None:
    """The streamed text equals the whole one, and both are counted as served, token for token."""
    async with open_house() as house:
        async with house.post("介绍一下北京", stream=False) as response:
            whole = await response.json()
        async with house.post("介绍一下北京") as response:
            assert "text/event-stream" == response.content_type
            assert whole["choices"][0]["message"]["content"] == await text_of(response)
        row = await house.row()
        assert ("key-1", "m", 2, 0, 0) == tuple(
            row[name] for name in ("credential", "model", "requests", "closed_early", "open")
        )
        assert 2 * whole["usage"]["prompt_tokens"] == row["prompt_tokens"]
        assert 2 * whole["usage"]["completion_tokens"] == row["completion_tokens"]


async def test_split_events_are_the_same_events() -> None:
    """Events that are written in pieces join to the same answer, and the pieces cut a character in two."""
    async with open_house() as house:
        async with house.post("你好") as response:
            expected = await text_of(response)
        async with house.post("你好 [[fault:split_utf8]]") as response:
            reads = [chunk async for chunk, _ in response.content.iter_chunks()]
        data = b"".join(reads)
        assert expected == "".join(
            orjson.loads(line[6:])["delta"].get("content", "") for line in data.split(b"\n\n")[:-2]
        )
        assert any(read and read[0] & 0xC0 == 0x80 for read in reads)


async def test_a_cut_stream_breaks_the_connection() -> None:
    """`cut after=3` sends three events and tears the connection down; the client's reading fails."""
    async with open_house() as house:
        seen: list[bytes] = []
        with pytest.raises(aiohttp.ClientError):
            await read_into(seen, house, "你好 [[fault:cut after=3]]")
        assert 3 == b"".join(seen).count(b"\n\n")
        row = await house.row()
        assert 0 == row["closed_early"]
        assert 0 < row["completion_tokens"] < answer_for(ask("你好")).usage.completion_tokens


async def test_half_a_line_ends_the_stream_quietly() -> None:
    """`half_line` ends the stream within an event, with nothing wrong on the connection."""
    async with open_house() as house:
        async with house.post("你好 [[fault:half_line after=1]]") as response:
            data = await response.read()
        assert 1 == data.count(b"\n\n")
        assert not data.endswith(b"\n")


async def test_a_malformed_event_comes_and_the_stream_goes_on() -> None:
    """`malformed after=1` puts an event that is not JSON after the first one."""
    async with open_house() as house, house.post("你好 [[fault:malformed after=1]]") as response:
        events = (await response.read()).split(b"\n\n")
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(events[1].removeprefix(b"data: "))
        assert b"data: [DONE]" == events[-2]


async def test_silence_lasts_until_the_client_hangs_up() -> None:
    """After `silence` nothing comes; the client that hangs up is noticed and counted with what it got."""
    async with open_house() as house:
        async with house.post("你好 [[fault:silence after=2]]") as response:
            seen = b""
            while 2 > seen.count(b"\n\n"):
                seen += await response.content.readany()
            assert 1 == (await house.row())["open"]
        row = await house.row_when(under_way=0)
        assert 1 == row["closed_early"]
        assert 0 < row["completion_tokens"] <= 8


async def test_a_client_that_hangs_up_ends_a_slow_stream() -> None:
    """A client that leaves in the middle of a paced stream is noticed within a second."""
    async with open_house() as house:
        async with house.post("你好 [[fault:pace=0.03]]") as response:
            await response.content.readany()
        row = await house.row_when(under_way=0)
        assert 1 == row["closed_early"]
        assert row["completion_tokens"] < answer_for(ask("你好")).usage.completion_tokens


@pytest.mark.parametrize("fault", ["latency=60", "silence"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_before_the_answer_is_noticed(
    fault: str, stream: bool
) -> None:
    """A client that leaves before the first byte ends the call, and nothing is counted as generated."""
    async with open_house() as house:
        call = asyncio.ensure_future(whole_body(house, f"你好 [[fault:{fault}]]", stream=stream))
        await house.row_when(under_way=1)
        call.cancel()
        row = await house.row_when(under_way=0)
        assert (1, 0) == (row["closed_early"], row["completion_tokens"])


async def read_into(seen: list[bytes], house: House, text: str) -> None:
    """Read a stream, keeping what came before it broke."""
    async with house.post(text) as response:
        async for chunk in response.content.iter_any():
            seen.append(chunk)  # a comprehension would lose what came before the break


async def whole_body(house: House, text: str, *, stream: bool) -> bytes:
    """Read a whole answer."""
    async with house.post(text, stream=stream) as response:
        data: bytes = await response.read()
        return data


@pytest.mark.parametrize("fault", ["cut", "half_line", "malformed"])
async def test_a_whole_answer_breaks_too(fault: str) -> None:
    """A whole answer is torn off or cut short where the prompt asks for it."""
    expected = aiohttp.ClientError if fault == "cut" else orjson.JSONDecodeError
    async with open_house() as house:
        with pytest.raises(expected):
            orjson.loads(await whole_body(house, f"你好 [[fault:{fault}]]", stream=False))


async def test_the_count_can_be_forgotten() -> None:
    """DELETE on the sandbox's own page starts the count anew."""
    async with open_house() as house:
        async with house.post("你好", stream=False) as response:
            await response.read()
        assert 1 == (await house.row())["requests"]
        async with house.client.delete(house.base + SERVED_PATH) as response:
            assert 204 == response.status
        assert () == house.desk.served.rows()
