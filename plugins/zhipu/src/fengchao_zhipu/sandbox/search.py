"""Web search: pages made up from the query alone."""

from __future__ import annotations

from collections.abc import Mapping

from fengchao_core.kit.sandbox import shorten, without_markers
from fengchao_zhipu.sandbox.checks import check_ids, illegal
from fengchao_zhipu.sandbox.codes import RefusedError

AGENT_MODEL = "web-search-pro"

_MOST_PAGES = 50
_USUAL_PAGES = 10
_MOST_DAYS = 30
_DAY = "2024-04-05"


def check_search(body: Mapping[str, object]) -> tuple[str, str, int]:
    """Query, engine and number of pages of a search. Raises `RefusedError`."""
    query, engine, count = (body.get(name) for name in ("search_query", "search_engine", "count"))
    for name, value in (("search_query", query), ("search_engine", engine)):
        if value is None:
            raise RefusedError("1213", f"未正常接收到 {name} 参数")
    if not isinstance(query, str) or not query.strip():
        raise illegal("search_query")
    if not isinstance(engine, str) or not engine.startswith("search_"):
        raise illegal("search_engine")
    if count is None:
        count = _USUAL_PAGES
    if type(count) is not int or not 1 <= count <= _MOST_PAGES:
        raise illegal("count")
    check_ids(body)
    return query, engine, count


def check_agent(body: Mapping[str, object]) -> str:
    """The question for the search agent. Raises `RefusedError`."""
    model, messages, days = (body.get(name) for name in ("model", "messages", "recent_days"))
    for name, value in (("model", model), ("messages", messages)):
        if value is None:
            raise RefusedError("1213", f"未正常接收到 {name} 参数")
    if model != AGENT_MODEL:
        raise RefusedError("1211")
    if body.get("stream"):
        raise RefusedError("1210", "沙箱的搜索工具不支持 stream")
    # One question of the user: the agent keeps no conversation.
    only = messages[0] if isinstance(messages, list) and len(messages) == 1 else None
    query = only.get("content") if isinstance(only, Mapping) else None
    if not isinstance(only, Mapping) or only.get("role") != "user" or not isinstance(query, str):
        raise illegal("messages")
    if days is not None and (type(days) is not int or not 1 <= days <= _MOST_DAYS):
        raise illegal("recent_days")
    check_ids(body)
    return query


def pages(query: str, count: int = 1) -> list[dict[str, object]]:
    """Pages that a search within a chat finds."""
    about = shorten(without_markers(query), 40)
    return [
        {
            "refer": f"ref_{number}",
            "title": f"关于“{about}”的网页",
            "link": "https://example.com/" if number == 1 else f"https://example.com/{number}",
            "media": "示例网",
            "icon": "",
            "content": f"这是沙箱为“{about}”找到的一段摘要。",
        }
        for number in range(1, count + 1)
    ]


def found(query: str, count: int, body: Mapping[str, object]) -> dict[str, object]:
    """What the search API answers, its head left out."""
    answer: dict[str, object] = {
        "search_result": [{**page, "publish_date": _DAY} for page in pages(query, count)]
    }
    if body.get("search_intent") is True:
        answer["search_intent"] = [
            {"query": query, "intent": "SEARCH_ALL", "keywords": without_markers(query)}
        ]
    return answer


def report(query: str) -> dict[str, object]:
    """What the search agent answers, its head left out: what it looked for, and what it found."""
    intent = {"index": 0, "query": query, "intent": "SEARCH_ALL", "keywords": query}
    steps = [
        {"id": "call_intent", "type": "search_intent", "search_intent": [intent]},
        {
            "id": "call_result",
            "type": "search_result",
            "search_result": [{"index": 0, **page} for page in pages(query, 2)],
        },
    ]
    message = {"role": "tool", "tool_calls": steps}
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
