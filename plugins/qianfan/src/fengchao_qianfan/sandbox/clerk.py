"""What the handlers of both generations share: the heads of answers, whole answers counted, rankings made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from fengchao_core.kit.sandbox import Faults, SandboxDesk, embedding, send_whole
from fengchao_core.types import Usage

NO_FAULTS = Faults()


class Clerk:
    """
    Writes answers other than chats.

    Args:
        desk: what the sandbox remembers.
    """

    def __init__(self, desk: SandboxDesk) -> None:
        self.desk = desk

    def head(self, kind: str) -> dict[str, object]:
        """The fields that begin an answer."""
        id_ = f"as-{self.desk.next_id():010d}"
        return {"id": id_, "object": kind, "created": int(time.time())}

    async def serve(
        self,
        request: web.Request,
        answer: Mapping[str, object],
        *,
        who: str,
        model: str,
        tokens: int,
        faults: Faults = NO_FAULTS,
    ) -> web.StreamResponse:
        """Send an answer, and count it."""
        with self.desk.served.serving(who, model, tokens) as serving:
            serving.complete(Usage(tokens))
            return await send_whole(request, answer, faults, serving)


def ranking(
    body: Mapping[str, Any], illegal: Callable[[str], Exception]
) -> list[dict[str, object]]:
    """Documents by how alike their vectors are to the query's, best first."""
    query, documents = body.get("query"), body.get("documents")
    if not isinstance(query, str) or not query.strip():
        raise illegal("query")
    if not isinstance(documents, list) or not documents or len(documents) > 64:
        raise illegal("documents")
    if not all(isinstance(text, str) and text for text in documents):
        raise illegal("documents")
    top = body.get("top_n")
    if top is not None and (type(top) is not int or top < 1):
        raise illegal("top_n")
    wanted = embedding(query, 256)
    scored = [
        (sum(a * b for a, b in zip(wanted, embedding(text, 256), strict=True)), at)
        for at, text in enumerate(documents)
    ]
    best = sorted(scored, key=lambda each: (-each[0], each[1]))[: top or len(documents)]
    return [
        {"document": documents[at], "relevance_score": round(score, 6), "index": at}
        for score, at in best
    ]
