"""
Zhipu's web search on the wire: the search API, and the older search agent. Pure.

Names of engines and of the values of filters are the vendor's and travel unchecked, since no list of them is confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import WebPage

SEARCH = "/web_search"
AGENT = "/tools"

LONGEST_QUERY = 70
"""
Characters of a query that the search API is given.

Source: the vendor's description of `search_query`, which recommends no more; a longer one is not promised an answer.
"""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """
    A page that was found.

    Attributes:
        content: what of the page answers the query.
        media: the site's name.
        icon: the address of the site's icon.
        refer: the mark that answers refer to it by, `ref_1`.
        published: when, in the vendor's words; empty where it does not say.
    """

    title: str
    link: str
    content: str = ""
    media: str = ""
    icon: str = ""
    refer: str = ""
    published: str = ""


class _Page(BaseModel):
    title: str | None = None
    link: str | None = None
    content: str | None = None
    media: str | None = None
    icon: str | None = None
    refer: str | None = None
    publish_date: str | None = None

    def found(self) -> SearchResult:
        return SearchResult(
            title=self.title or "",
            link=self.link or "",
            content=self.content or "",
            media=self.media or "",
            icon=self.icon or "",
            refer=self.refer or "",
            published=self.publish_date or "",
        )


# The vendor's SDK says that this is one page; recorded answers hold a list.
_Pages = list[_Page] | _Page | None


class _Found(BaseModel):
    search_result: _Pages


class _Step(BaseModel):
    search_result: _Pages = None


class _Message(BaseModel):
    tool_calls: list[_Step] | None = None


class _Choice(BaseModel):
    message: _Message


class _Report(BaseModel):
    choices: list[_Choice]


def encode_search(
    query: str,
    *,
    engine: str,
    count: int | None = None,
    domain: str | None = None,
    recency: str | None = None,
    content_size: str | None = None,
    request_id: str | None = None,
    user: str | None = None,
) -> bytes:
    """A call of the search API."""
    optional = {
        "count": count,
        "search_domain_filter": domain,
        "search_recency_filter": recency,
        "content_size": content_size,
        "request_id": request_id,
        "user_id": user,
    }
    return dump({"search_engine": engine, "search_query": query, **_given(optional)})


def encode_agent(
    query: str,
    *,
    scope: str | None = None,
    location: str | None = None,
    recent_days: int | None = None,
    request_id: str | None = None,
) -> bytes:
    """A call of the older search agent."""
    optional = {
        "request_id": request_id,
        "scope": scope,
        "location": location,
        "recent_days": recent_days,
    }
    messages = [{"role": "user", "content": query}]
    return dump(
        {"model": "web-search-pro", "messages": messages, "stream": False, **_given(optional)}
    )


def decode_search(body: bytes, classify: Classify) -> tuple[SearchResult, ...]:
    """The pages that the search API found. Raises `ProviderError`, as `read_reply`."""
    return _pages([read_reply(_Found, body, classify).search_result])


def decode_agent(body: bytes, classify: Classify) -> tuple[SearchResult, ...]:
    """The pages that the search agent found. Raises `ProviderError`, as `read_reply`."""
    report = read_reply(_Report, body, classify)
    if not report.choices:
        raise ProviderProtocolError("the provider's search agent answered without a choice")
    steps = report.choices[0].message.tool_calls or ()
    return _pages(step.search_result for step in steps)


def web_page(page: SearchResult) -> WebPage:
    """A page as the gateway knows it. The vendor gives no score."""
    return WebPage(page.title, page.link, page.content, page.media, page.published)


def _pages(lists: Iterable[_Pages]) -> tuple[SearchResult, ...]:
    return tuple(
        page.found()
        for pages in lists
        if pages is not None
        for page in (pages if isinstance(pages, list) else [pages])
    )


def _given(optional: dict[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in optional.items() if value is not None}
