"""The first generation besides chats: vectors, pictures, rankings, counts, and lists."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from fengchao_core.kit.sandbox import SandboxDesk, count_tokens, draw, embedding
from fengchao_qianfan.endpoints import PREFIX
from fengchao_qianfan.sandbox import checks
from fengchao_qianfan.sandbox.clerk import Clerk, ranking
from fengchao_qianfan.sandbox.doorkeeper import Doorkeeper
from fengchao_qianfan.sandbox.refusals import RefusedError
from fengchao_qianfan.sandbox.v1_desk import BY_PATH, NAMES, PUBLISHED, UNSAFE, V1Desk, name_of

DIMENSIONS: Mapping[str, int] = {
    "embedding-v1": 384,
    "bge_large_zh": 1024,
    "bge_large_en": 1024,
    "tao_8k": 1024,
}
_LONGEST: Mapping[str, tuple[int, int]] = {  # characters and tokens of one text
    "embedding-v1": (1000, 384),
    "bge_large_zh": (2000, 512),
    "bge_large_en": (2000, 512),
    "tao_8k": (28_000, 8192),
}


class FirstTools:
    """The handlers. Each is given who asks and the body, checked to be an object."""

    def __init__(self, desk: SandboxDesk, door: Doorkeeper) -> None:
        self._clerk = Clerk(desk)
        self._v1 = V1Desk(desk, door)

    async def embed(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Vectors."""
        name = request.match_info["name"]
        if name not in DIMENSIONS:
            raise RefusedError("3")
        texts = body.get("input")
        most = 1 if name == "tao_8k" else 16
        if not isinstance(texts, list) or not 1 <= len(texts) <= most:
            raise checks.illegal("input")
        if not all(isinstance(text, str) and text for text in texts):
            raise checks.illegal("input")
        characters, longest = _LONGEST[name]
        if any(len(text) > characters for text in texts):
            raise RefusedError("336007")
        if any(count_tokens(text) > longest for text in texts):
            raise RefusedError("336103")
        faults = self._v1.faults(request, texts[-1])
        tokens = sum(count_tokens(text) for text in texts)
        answer = {
            **self._clerk.head("embedding_list"),
            "data": [
                {"object": "embedding", "embedding": embedding(text, DIMENSIONS[name]), "index": at}
                for at, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return await self._clerk.serve(
            request, answer, who=who, model=name_of(request), tokens=tokens, faults=faults
        )

    async def draw(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Pictures, as base64."""
        if f"{PREFIX}/text2image/{request.match_info['name']}" not in BY_PATH:
            raise RefusedError("3")
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt.strip() or len(prompt) > 1024:
            raise checks.illegal("prompt")
        checks.check(body, "n", lambda v: type(v) is int and 1 <= v <= 4)
        checks.check(body, "steps", lambda v: type(v) is int and 10 <= v <= 50)
        width, _, height = str(body.get("size") or "1024x1024").partition("x")
        if not all(side.isdecimal() and 512 <= int(side) <= 2048 for side in (width, height)):
            raise checks.illegal("size")
        faults = self._v1.faults(request, prompt)
        if faults.refusal == UNSAFE:
            raise checks.illegal("prompt")
        tokens = count_tokens(prompt)
        pictures = [
            {
                "object": "image",
                "b64_image": base64.b64encode(
                    draw(f"{prompt}{number}", int(width), int(height))
                ).decode(),
                "index": number,
            }
            for number in range(1, (body.get("n") or 1) + 1)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {**self._clerk.head("image"), "data": pictures, "usage": usage}
        return await self._clerk.serve(
            request, answer, who=who, model=name_of(request), tokens=tokens, faults=faults
        )

    async def rank(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """A ranking of documents."""
        if f"{PREFIX}/reranker/{request.match_info['name']}" not in BY_PATH:
            raise RefusedError("3")
        ranked = ranking(body, checks.illegal)
        tokens = count_tokens(body["query"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {**self._clerk.head("rerank_list"), "results": ranked, "usage": usage}
        return await self._clerk.serve(
            request, answer, who=who, model=name_of(request), tokens=tokens
        )

    async def count(self, _: web.Request, __: str, body: Mapping[str, Any]) -> web.StreamResponse:
        """The number of tokens of a text."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise checks.illegal("prompt")
        tokens = count_tokens(prompt)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({**self._clerk.head("tokenizer.erniebot"), "usage": usage})

    async def services(self, request: web.Request, _: str, __: object) -> web.StreamResponse:
        """What the account may use, a published endpoint of its own among it."""
        origin = str(request.url.origin())
        common = [
            {"name": name, "url": origin + path, "apiType": path.split("/")[-2]}
            for path, name in NAMES.items()
        ]
        custom = [
            {"name": name, "url": f"{origin}{PREFIX}/chat/{name}", "apiType": "chat"}
            for name in PUBLISHED
        ]
        return web.json_response(
            {"log_id": "1", "success": True, "result": {"common": common, "custom": custom}}
        )

    async def bearer(self, request: web.Request, _: str, __: object) -> web.StreamResponse:
        """A temporary key of V2."""
        return self._v1.door.bearer_token(request)
