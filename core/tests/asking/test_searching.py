"""Web search before the answer."""

import asyncio
from decimal import Decimal

import pytest

from fengchao_core import ChatCall, Message
from fengchao_core.errors import (
    EmptyQuery,
    InvalidParameter,
    ProviderTimeout,
    ProviderUnavailable,
    SensitiveContent,
    SettingsError,
)
from fengchao_core.searching import relevance
from fengchao_core.types import WebSearch


async def test_the_model_is_given_numbered_pages(opened, vendor, page):
    """The pages found stand before the question, numbered, with what there is to know of each."""
    vendor.pages = [page("北京天气", "今天晴", score=0.9), page("天气网", "", score=0.8, number=2)]
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="北京天气怎么样", search=WebSearch())
        )
    sent = vendor.requests[0].messages[-1].text
    assert "[1] 北京天气（示例网，2024-04-05）\nhttps://example.com/1\n今天晴" in sent
    assert "[2] 天气网" in sent
    assert sent.endswith("北京天气怎么样")
    assert ["北京天气", "天气网"] == [found.title for found in completion.gathered.pages]
    assert "北京天气怎么样" == vendor.searches[0].query


async def test_top_k_and_score_are_kept(opened, vendor, page):
    """At most `top_k` pages, none below the least score; pages without a score are scored by their words."""
    vendor.pages = [
        page("无关", "别的事", score=0.05),
        page("上海美食", "小笼包"),
        page("完全无关", "天文"),
        page("上海小吃", "生煎"),
        page("上海旅游", "外滩"),
    ]
    async with opened() as gateway:
        completion = await gateway.chat(
            ChatCall(model="main", query="上海", search=WebSearch(top_k=2, min_score=0.1))
        )
    assert ["上海美食", "上海小吃"] == [found.title for found in completion.gathered.pages]
    assert 2 == vendor.searches[0].count


async def test_what_is_searched_for_is_the_question_itself(opened, vendor, page):
    """A prompt around the question is for the model; the search gets the question, also of a whole conversation."""
    vendor.pages = [page("t", "q", score=1.0)]
    async with opened() as gateway:
        await gateway.chat(
            ChatCall(model="main", query="春节", prompt="把{{query}}译成英文", search=WebSearch())
        )
        await gateway.chat(
            ChatCall(
                model="main",
                messages=(
                    Message("user", "早"),
                    Message("assistant", "早"),
                    Message("user", "端午"),
                ),
                search=WebSearch(),
            )
        )
    assert ["春节", "端午"] == [search.query for search in vendor.searches]


async def test_a_search_is_booked_on_its_own(opened, vendor, page, rows):
    """A search leaves a row with the operator's price, under the same request id."""
    vendor.pages = [page("t", score=1.0)]
    settings = {"provider": "vendor", "price": "0.01"}
    async with opened(search=settings) as gateway:
        await gateway.chat(ChatCall(model="main", query="q", request_id="talk", search=WebSearch()))
        booked = {row.model: row for row in await rows(gateway)}
    search, main = booked["web-search"], booked["main"]
    assert ("vendor", "talk", "ok", Decimal("0.01"), "CNY") == (
        search.provider,
        search.request_id,
        search.outcome,
        search.cost,
        search.currency,
    )
    assert f"{main.id}-s" == search.id


async def test_a_failed_search_does_not_fail_the_answer(opened, vendor, rows):
    """The model answers without pages; the failure is kept for the caller, and booked."""
    vendor.pages = ProviderUnavailable("gone")
    async with opened() as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="问", search=WebSearch()))
        booked = {row.model: row for row in await rows(gateway)}
    assert "好" == completion.text
    assert isinstance(completion.gathered.search_error, ProviderUnavailable)
    assert "问" == vendor.requests[0].messages[-1].text
    assert ("failed", 0) == (booked["web-search"].outcome, booked["web-search"].cost or 0)


async def test_a_slow_search_is_not_waited_for(opened, vendor):
    """After `timeout_s` the model answers without it."""
    vendor.pages = asyncio.Event()
    async with opened(search={"provider": "vendor", "timeout_s": 0.05}) as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="问", search=WebSearch()))
    assert isinstance(completion.gathered.search_error, ProviderTimeout)


async def test_words_of_question_and_pages_are_screened(opened, vendor, page, tmp_path):
    """A blocked question is not searched for; a page with a blocked word is left out, for it is nobody's fault."""
    words = tmp_path / "words.txt"
    words.write_text("坏词\n", "utf-8")
    vendor.pages = [page("坏词网", "q", score=1.0), page("好网", "q", score=1.0)]
    async with opened(sensitive={"wordlists": [str(words)]}) as gateway:
        with pytest.raises(SensitiveContent):
            await gateway.chat(ChatCall(model="main", query="坏词", search=WebSearch()))
        assert [] == vendor.searches
        completion = await gateway.chat(ChatCall(model="main", query="q", search=WebSearch()))
    assert ["好网"] == [found.title for found in completion.gathered.pages]
    assert "坏词" not in vendor.requests[0].messages[-1].text


async def test_a_long_page_is_cut(opened, vendor, page):
    """The model is given as much of a page as the settings say; the caller keeps the whole."""
    vendor.pages = [page("t", "长" * 5000, score=1.0)]
    async with opened(search={"provider": "vendor", "page_chars": 100}) as gateway:
        completion = await gateway.chat(ChatCall(model="main", query="q", search=WebSearch()))
    assert 100 == vendor.requests[0].messages[-1].text.count("长")
    assert 5000 == len(completion.gathered.pages[0].text)


async def test_a_search_needs_a_provider(opened, vendor):
    """Where the operator chose none, a search is refused with what to set, and nobody is asked."""
    async with opened(search={}) as gateway:
        with pytest.raises(InvalidParameter, match=r"\[search\] provider") as caught:
            await gateway.chat(ChatCall(model="main", query="q", search=WebSearch()))
    assert "search_param" == caught.value.param
    assert [] == vendor.requests


@pytest.mark.parametrize(
    "wanted", [WebSearch(0), WebSearch(51), WebSearch(5, -0.1), WebSearch(5, 2)]
)
async def test_a_search_out_of_range_is_refused(opened, vendor, wanted):
    """A number of pages or a score out of range is the caller's mistake."""
    async with opened() as gateway:
        with pytest.raises(InvalidParameter):
            await gateway.chat(ChatCall(model="main", query="q", search=wanted))


async def test_an_empty_question_is_not_searched_for(opened, vendor):
    """Nothing to ask is told as such."""
    async with opened() as gateway:
        with pytest.raises(EmptyQuery):
            await gateway.chat(ChatCall(model="main", query=" ", search=WebSearch()))
    assert [] == vendor.searches


@pytest.mark.parametrize("name", ["nobody", "mute"])
async def test_a_provider_that_cannot_search_stops_the_start(opened, name):
    """A setting that names no provider, or one that cannot search, is found when the gateway opens."""
    with pytest.raises(SettingsError, match=r"\[search\]"):
        async with opened(search={"provider": name}):
            pass


async def test_the_pages_are_searched_once_for_all_models(opened, vendor, page):
    """With aggregation the pages found are given to every model, and searched for once."""
    vendor.pages = [page("t", "q", score=1.0)]
    async with opened() as gateway:
        await gateway.chat(
            ChatCall(model="main", query="q", search=WebSearch(), aggregate=("a", "b"))
        )
    assert 1 == len(vendor.searches)
    assert all("[1] t" in request.messages[-1].text for request in vendor.requests)


async def test_hanging_up_while_searching_ends_it(opened, vendor, rows):
    """A caller that leaves during the search leaves two rows, both cancelled."""
    vendor.pages = asyncio.Event()
    async with opened() as gateway:
        task = asyncio.create_task(
            gateway.chat(ChatCall(model="main", query="q", search=WebSearch()))
        )
        while not vendor.searches:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert ["cancelled"] * 2 == [row.outcome for row in await rows(gateway)]


@pytest.mark.parametrize(
    ("query", "text", "score"),
    [
        ("北京天气", "北京天气晴", 1.0),
        ("北京天气", "上海天气", 0.3333),
        ("Python asyncio", "about asyncio", 0.5),
        ("北京", "无关", 0.0),
        ("？！", "anything", 1.0),
    ],
)
def test_relevance_is_the_share_of_the_querys_terms(query, text, score):
    """Words count once, Chinese by pairs of characters; a query without words fits everything."""
    assert score == relevance(query, text)
