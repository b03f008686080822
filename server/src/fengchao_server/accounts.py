"""`/aigc/usage/`: a key's own account. Nobody sees another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from fengchao.wire import OK_MSG, BodyError
from fengchao.wire.usage import BY, usage_report
from fengchao_core.reports import Dimension
from fengchao_server.answers import JSON_UTF8, Answer
from fengchao_server.days import instant

if TYPE_CHECKING:
    from fengchao_server.call import Call


async def own_usage(call: Call) -> Answer:
    """What the key used and what is left of its limits."""
    query = call.request.rel_url.query
    by = query.get("by", "model")
    if by not in BY:
        raise BodyError(f"by 应为 {' 或 '.join(BY)}", param="by")
    try:
        since, until = instant(query.get("since")), instant(query.get("until"))
    except ValueError:
        raise BodyError(
            "since 与 until 应为日期，例如 2026-11-21，或带时区的时间", param="since"
        ) from None
    account = await call.gateway.account(
        call.caller, by=(cast("Dimension", by),), since=since, until=until
    )
    return Answer.json(
        {"status": 200, "msg": OK_MSG, "data": usage_report(account)},
        content_type=JSON_UTF8,
        headers={"Cache-Control": "no-store"},
    )
