"""
Hypothesis strategies for the values that flow through fengchao.

Example:
    ```python
    @given(strategies.texts(), st.data())
    def test_any_chunking_finds_the_same_words(text: str, data: st.DataObject) -> None:
        chunks = data.draw(strategies.chunkings(text))
        assert screen(text) == screen_stream(chunks)
    ```
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import AnyStr

from hypothesis import strategies as st

from fengchao_core.types import (
    ChatCall,
    ChatParams,
    ChatRequest,
    ContentPart,
    Currency,
    ImagePart,
    Message,
    Price,
    PriceTier,
    TextPart,
    Tool,
    ToolCall,
    Usage,
)

# Each has broken somebody's stream: characters of two to four bytes, joined emoji, combining marks, a byte-order mark,
# the line ends that only Unicode knows, braces of templates, and what looks like the end of a stream.
NASTY_TEXTS = (
    "你好，世界！",
    "龘𠮷𪚥",
    "é",
    "👩‍👩‍👧‍👦🇨🇳👍🏽",
    "\ufeffbom",
    "a\u2028b\u2029c\u0085d",
    "\r\n\r\n\t\x00",
    "{{query}} {{system}}",
    "data: [DONE]\n\n",
    '"\\u0000\\',
    "שלום مرحبا",
    "ＡＢＣ１２３",
)


def texts(*, min_size: int = 0, max_size: int = 200) -> st.SearchStrategy[str]:
    """Texts of any script, Chinese, emoji, combining marks and astral characters among them; no lone surrogates."""
    character = st.one_of(
        st.characters(codec="utf-8"),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.characters(min_codepoint=0x1F300, max_codepoint=0x1FAFF),
        st.characters(min_codepoint=0x300, max_codepoint=0x36F),
        st.characters(min_codepoint=0x20000, max_codepoint=0x2A6DF),
    )
    free = st.text(character, min_size=min_size, max_size=max_size)
    known = [text for text in NASTY_TEXTS if min_size <= len(text) <= max_size]
    return st.one_of(free, st.sampled_from(known)) if known else free


@st.composite
def chunkings(draw: st.DrawFn, whole: AnyStr) -> list[AnyStr]:
    """Ways to cut bytes or a text into pieces; joined they are the whole, and some may be empty."""
    cuts: list[int] = draw(st.lists(st.integers(0, len(whole)), max_size=30).map(sorted))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def tool_calls() -> st.SearchStrategy[ToolCall]:
    """Calls of functions, with arguments that may not be JSON."""
    return st.builds(
        ToolCall,
        id=st.from_regex(r"call_[a-z0-9]{1,12}", fullmatch=True),
        name=st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
        arguments=st.one_of(st.just("{}"), st.just('{"city": "北京"}'), texts(max_size=30)),
    )


def tools() -> st.SearchStrategy[Tool]:
    """Functions with a schema."""
    schema = st.sampled_from(
        [
            {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            {"type": "object", "properties": {}},
        ]
    )
    return st.builds(
        Tool,
        name=st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
        description=st.none() | texts(max_size=30),
        parameters=schema,
    )


def parts() -> st.SearchStrategy[ContentPart]:
    """Parts of a user's message: texts and pictures."""
    url = st.sampled_from(["https://example.com/cat.png", "data:image/png;base64,iVBORw0KGgo="])
    return st.one_of(st.builds(TextPart, texts(max_size=40)), st.builds(ImagePart, url))


def messages() -> st.SearchStrategy[Message]:
    """Single messages of any role, each with the fields its role needs."""
    text = texts(max_size=60)
    return st.one_of(
        st.builds(Message, st.just("system"), text),
        st.builds(
            Message, st.just("user"), text | st.lists(parts(), min_size=1, max_size=3).map(tuple)
        ),
        st.builds(Message, st.just("assistant"), text, reasoning=st.none() | text),
        st.builds(
            Message,
            st.just("assistant"),
            st.none(),
            tool_calls=st.lists(tool_calls(), min_size=1, max_size=3).map(tuple),
        ),
        st.builds(Message, st.just("tool"), text, tool_call_id=st.just("call_1")),
    )


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Conversations that every vendor takes: maybe a system text, turns of user and assistant, the user last."""
    text = texts(min_size=1, max_size=60).filter(lambda t: bool(t.strip()))
    turns = [Message("system", draw(text))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 3))):
        turns += [Message("user", draw(text)), Message("assistant", draw(text))]
    return (*turns, Message("user", draw(text)))


def chat_params() -> st.SearchStrategy[ChatParams]:
    """Parameters within the ranges that every vendor takes."""
    return st.builds(
        ChatParams,
        temperature=st.none() | st.floats(0.1, 0.9),
        top_p=st.none() | st.floats(0.1, 0.9),
        max_tokens=st.none() | st.integers(1, 1024),
        stop=st.lists(texts(min_size=1, max_size=5), max_size=1).map(tuple),
        do_sample=st.none() | st.booleans(),
        tools=st.lists(tools(), max_size=2, unique_by=lambda tool: tool.name).map(tuple),
    )


def chat_requests(model: str = "a-model") -> st.SearchStrategy[ChatRequest]:
    """What a provider receives."""
    return st.builds(
        ChatRequest,
        model=st.just(model),
        messages=conversations(),
        params=chat_params(),
        stream=st.booleans(),
        request_id=st.uuids().map(str),
    )


def chat_calls(model: str = "a-model") -> st.SearchStrategy[ChatCall]:
    """What a caller asks: by query or by messages."""
    text = texts(min_size=1, max_size=60).filter(lambda t: bool(t.strip()))
    by_query = st.builds(
        ChatCall,
        model=st.just(model),
        query=text,
        system=st.none() | text,
        is_sensitive=st.booleans(),
        params=chat_params(),
    )
    by_messages = st.builds(
        ChatCall, model=st.just(model), messages=conversations(), params=chat_params()
    )
    return by_query | by_messages


def usages() -> st.SearchStrategy[Usage]:
    """Token counts in which the parts never exceed the whole."""

    def build(prompt: int, cached: int, completion: int, reasoning: int) -> Usage:
        return Usage(prompt, completion, min(cached, prompt), min(reasoning, completion))

    count = st.integers(0, 200_000)
    return st.builds(build, count, count, count, count)


@st.composite
def prices(draw: st.DrawFn, currency: Currency | None = None) -> Price:
    """Prices per 1,000 tokens, with or without a cached price and tiers."""
    currencies: list[Currency] = ["CNY", "USD"]
    figure = st.decimals(Decimal(0), Decimal(10), places=6)
    bounds = draw(st.lists(st.integers(1, 200_000), max_size=3, unique=True).map(sorted))
    return Price(
        input=draw(figure),
        output=draw(figure),
        cached_input=draw(st.none() | figure),
        currency=draw(st.sampled_from(currencies)) if currency is None else currency,
        since=draw(st.dates(date(2023, 1, 1), date(2030, 1, 1))),
        source="a strategy",
        tiers=tuple(
            PriceTier(bound, draw(figure), draw(figure), draw(st.none() | figure))
            for bound in bounds
        ),
    )
