"""Web search: the API, and the older agent."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fengchao_core.errors import ProviderError, ProviderProtocolError, RateLimited, RequestRejected
from fengchao_core.testing import ScriptedVendor, json_answer, open_provider, open_sandboxed
from fengchao_zhipu import SANDBOX, SPEC, search
from fengchao_zhipu.provider import ZhipuProvider
from fengchao_zhipu.sandbox import API_KEY
from fengchao_zhipu.search import SearchResult
from fengchao_zhipu.wire import classify

PAGE = {"title": "标题", "link": "https://example.com/", "publish_date": "2024-04-05", "icon": None}
FOUND = SearchResult("标题", "https://example.com/", published="2024-04-05")


async def test_the_requests_are_the_sdks(recorded: dict[str, dict[str, Any]]) -> None:
    """Both searches go out as the vendor's SDK sends them."""
    expected = [
        recorded[name]["expected"] for name in ("web_search_api", "legacy_web_search_pro_tool_api")
    ]
    async with ScriptedVendor() as vendor:
        vendor.answers(
            json_answer({"search_result": [PAGE]}),
            json_answer({"choices": [{"message": {"tool_calls": [{"search_result": [PAGE]}]}}]}),
        )
        settings = {"base_url": f"{vendor.base_url}/api/paas/v4", "api_key": API_KEY}
        async with open_provider(SPEC, settings) as provider:
            assert isinstance(provider, ZhipuProvider)
            assert (FOUND,) == await provider.search("大模型", count=5)
            assert (FOUND,) == await provider.search_by_agent("新闻", request_id="rq-9")
        sent = vendor.requests
    assert [each["body"] for each in expected] == [each.json() for each in sent]
    assert [each["method"] for each in expected] == [each.method for each in sent]
    assert all(each["url"].endswith(got.target) for each, got in zip(expected, sent, strict=True))


def test_every_option_is_sent_under_the_vendors_name() -> None:
    """Options go out as the vendor calls them, and only those that are given."""
    assert {
        "search_engine": "search_pro",
        "search_query": "q",
        "search_domain_filter": "example.com",
        "search_recency_filter": "oneWeek",
        "content_size": "high",
        "request_id": "r",
        "user_id": "user-123456",
    } == orjson.loads(
        search.encode_search(
            "q",
            engine="search_pro",
            domain="example.com",
            recency="oneWeek",
            content_size="high",
            request_id="r",
            user="user-123456",
        )
    )
    body = orjson.loads(search.encode_agent("q", scope="s", location="北京", recent_days=3))
    assert ("s", "北京", 3) == (body["scope"], body["location"], body["recent_days"])


@pytest.mark.parametrize("pages", [[PAGE], PAGE])
def test_one_page_may_come_without_a_list(pages: object) -> None:
    """The vendor's SDK says one page, recorded answers have a list: both are read; nothing found is nothing."""
    body = orjson.dumps({"search_result": pages})
    assert (FOUND,) == search.decode_search(body, classify)
    assert () == search.decode_search(b'{"search_result": null}', classify)
    step = {"message": {"tool_calls": [{"search_intent": []}, {"search_result": pages}]}}
    assert (FOUND,) == search.decode_agent(orjson.dumps({"choices": [step]}), classify)


@pytest.mark.parametrize("read", [search.decode_search, search.decode_agent])
def test_errors_and_nonsense_are_told_apart(read: Any) -> None:
    """An error under HTTP 200 has the class of its code; what is no search is nonsense."""
    with pytest.raises(RateLimited):
        read(b'{"error": {"code": "1302", "message": "x"}}', classify)
    for nonsense in (b"", b"[]", b"{}", b'{"choices": [], "search_result": 1}'):
        with pytest.raises(ProviderProtocolError):
            read(nonsense, classify)


async def test_pages_are_found() -> None:
    """The sandbox finds as many pages as asked for, and the agent finds some."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, ZhipuProvider)
        pages = await provider.search("大模型", count=3)
        assert ["ref_1", "ref_2", "ref_3"] == [page.refer for page in pages]
        assert all("大模型" in page.title for page in pages)
        assert {"2024-04-05"} == {page.published for page in pages}
        assert 2 == len(await provider.search_by_agent("新闻", recent_days=7))


@pytest.mark.parametrize(
    ("query", "options", "code"),
    [
        (" ", {}, "1214"),
        ("q", {"engine": "nothing"}, "1214"),
        ("q", {"count": 0}, "1214"),
        ("q", {"count": 51}, "1214"),
        ("q", {"user": "bob"}, "1214"),
        ("q [[fault:1302]]", {}, "1302"),
        ("q [[fault:1113]]", {}, "1113"),
    ],
)
async def test_searches_are_verified(query: str, options: dict[str, Any], code: str) -> None:
    """Searches out of range are refused, with the vendor's codes."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, ZhipuProvider)
        with pytest.raises(ProviderError) as caught:
            await provider.search(query, **options)
    assert code == caught.value.vendor_code


async def test_the_agent_is_verified() -> None:
    """The agent takes days of a month, and an id once."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, ZhipuProvider)
        with pytest.raises(RequestRejected):
            await provider.search_by_agent("q", recent_days=31)
        await provider.search_by_agent("q", request_id="one")
        with pytest.raises(RequestRejected) as caught:
            await provider.search_by_agent("q", request_id="one")
    assert "1231" == caught.value.vendor_code
