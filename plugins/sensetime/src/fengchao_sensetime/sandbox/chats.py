"""All that generates: chats in each dialect, sessions, characters, completions, embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from fengchao_core.kit.sandbox import (
    Faults,
    Reply,
    SandboxDesk,
    answer_for,
    count_tokens,
    embedding,
    last_user_text,
    send_whole,
    shorten,
    without_markers,
)
from fengchao_core.types import ChatRequest, Usage
from fengchao_sensetime.embeddings import DIMENSIONS, MAX_INPUTS
from fengchao_sensetime.sandbox import checks
from fengchao_sensetime.sandbox.checks import illegal
from fengchao_sensetime.sandbox.codes import refuse_early
from fengchao_sensetime.sandbox.reading import (
    body_of,
    knowledge_of,
    read_character,
    read_chat,
    read_said,
)
from fengchao_sensetime.sandbox.shelves import Shelves
from fengchao_sensetime.sandbox.writing import (
    Compatible,
    Native,
    answer_compatible,
    answer_native,
)
from fengchao_sensetime.wire import is_character, is_token_plan

_MOST_EMBEDDED_TOKENS = 512
_THINKING = ("Reasoner", "DeepSeek-R1")

Check = Callable[[Mapping[str, object]], None]


class Chats:
    """
    The handlers.

    Args:
        desk: what is served, and which faults are used up.
        shelves: sessions and knowledge.
    """

    def __init__(self, desk: SandboxDesk, shelves: Shelves) -> None:
        self._desk = desk
        self._shelves = shelves

    async def chat(self, request: web.Request, credential: str) -> web.StreamResponse:
        """A chat without a memory."""
        body = body_of(await request.read())
        model = checks.model_of(body, checks.is_chat)
        checks.check_native(body)
        checks.check_messages(body.get("messages"), model)
        return await self._answer(request, credential, body, read_chat(body))

    async def open_session(self, request: web.Request, _: str) -> web.StreamResponse:
        """A conversation that is remembered."""
        body = body_of(await request.read())
        opening = body.get("system_prompt", [])
        if not isinstance(opening, list) or not all(
            isinstance(message, Mapping)
            and message.get("role") == "system"
            and isinstance(message.get("content"), str)
            for message in opening
        ):
            raise illegal("system_prompt")
        return web.json_response({"session_id": self._shelves.open_session(opening)})

    async def converse(self, request: web.Request, credential: str) -> web.StreamResponse:
        """A turn of a conversation that is remembered."""
        body = body_of(await request.read())
        checks.model_of(body, checks.is_chat)
        checks.check_native(body)
        if body.get("action") != "next":
            raise illegal("action")
        content = body.get("content")
        if not isinstance(content, str) or not content:
            raise illegal("content", "is missing")
        session = self._shelves.session(body.get("session_id"))
        turn: dict[str, object] = {"role": "user", "content": content}
        asked = read_said(body, [*session, turn])
        asked = replace(asked, params=replace(asked.params, n=None))

        def remember(text: str) -> None:
            session.extend((turn, {"role": "assistant", "content": text}))

        return await self._answer(
            request, credential, body, asked, shape={"is_flat": True}, said=remember
        )

    async def character(self, request: web.Request, credential: str) -> web.StreamResponse:
        """A chat with a character."""
        body = body_of(await request.read())
        model = checks.model_of(body, lambda m: m in checks.CARDS and is_character(m))
        checks.check_sampling(body)
        names = _characters(body)
        role = body.get("role_setting")
        role = role if isinstance(role, Mapping) else {}
        user, bot = role.get("user_name"), role.get("primary_bot_name")
        if user not in names or bot not in names:
            raise illegal("role_setting", "names nobody of character_settings")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise illegal("messages", "is empty")
        for message in messages:
            if not isinstance(message, Mapping) or message.get("name") not in names:
                raise illegal("messages.name")
            if not isinstance(message.get("content"), str) or not message["content"]:
                raise illegal("messages.content")
        asked = replace(read_character(body, str(bot)), model=model)
        return await self._answer(request, credential, body, asked, replies=True)

    async def complete(self, request: web.Request, credential: str) -> web.StreamResponse:
        """A text to go on with."""
        body = body_of(await request.read())
        checks.model_of(body, lambda m: m == checks.COMPLETING or m.startswith("nova-ptc-"))
        checks.check_sampling(body)
        prompt = body.get("prompt")
        if not isinstance(prompt, str) or not prompt:
            raise illegal("prompt", "is missing")
        checks.check(body, "stop", lambda v: isinstance(v, str | list))
        asked = read_said(body, [{"role": "user", "content": prompt}])
        return await self._answer(request, credential, body, asked, shape={"text_field": "text"})

    async def compatible(self, request: web.Request, credential: str) -> web.StreamResponse:
        """The compatible mode."""
        return await self._chat_completions(
            request, credential, checks.is_chat, checks.check_compatible, "reasoning_content"
        )

    async def token_plan(self, request: web.Request, credential: str) -> web.StreamResponse:
        """The token plan."""
        return await self._chat_completions(
            request,
            credential,
            lambda m: m in checks.CARDS and is_token_plan(m),
            checks.check_token_plan,
            "reasoning",
        )

    async def embed(self, request: web.Request, credential: str) -> web.StreamResponse:
        """Vectors, which stand at the top of the answer."""
        body = body_of(await request.read())
        model = checks.model_of(
            body, lambda m: m in checks.CARDS and checks.CARDS[m].kind == "embedding"
        )
        texts = body.get("input")
        if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_INPUTS:
            raise illegal("input", f"must hold 1 to {MAX_INPUTS} texts")
        for text in texts:
            if not isinstance(text, str) or not text or count_tokens(text) > _MOST_EMBEDDED_TOKENS:
                raise illegal("input")
        faults = self._desk.faults(texts[-1])
        refuse_early(faults)
        tokens = sum(count_tokens(text) for text in texts)
        vectors = [
            {"index": at, "embedding": embedding(text, DIMENSIONS), "status_code": 0}
            for at, text in enumerate(texts)
        ]
        usage = {
            "prompt_tokens": tokens,
            "knowledge_tokens": 0,
            "completion_tokens": 0,
            "total_tokens": tokens,
        }
        with self._desk.served.serving(credential, model, tokens) as serving:
            serving.complete(Usage(tokens))
            return await send_whole(
                request, {"embeddings": vectors, "usage": usage}, faults, serving
            )

    async def _answer(
        self,
        request: web.Request,
        credential: str,
        body: Mapping[str, object],
        asked: ChatRequest,
        *,
        shape: Mapping[str, Any] | None = None,
        replies: bool = False,
        said: Callable[[str], None] | None = None,
    ) -> web.StreamResponse:
        """
        Answer in the vendor's own shape.

        Args:
            shape: how it differs from that of a chat; fields of `Native`.
            replies: the first choice's text stands beside the choices, too.
            said: told the text once it is out.
        """
        faults = self._faults(asked)
        found = self._shelves.search(body.get("know_ids"))
        knowledge = knowledge_of(body, [text for texts in found.values() for text in texts])
        reply = _think(asked)
        tokens = count_tokens(knowledge)
        checks.check_length(asked.model, reply.usage.prompt_tokens + tokens, body)
        beside = _beside(body, asked, found)
        if replies and not asked.stream:
            beside["reply"] = reply.choices[0].message.text
        answer = Native(
            f"{self._desk.next_id():016x}",
            reply,
            tokens,
            beside,
            **(shape or {}),
        )
        with self._desk.served.serving(
            credential, asked.model, answer.usage.prompt_tokens
        ) as serving:
            response = await answer_native(request, answer, faults, serving, stream=asked.stream)
            if said is not None and serving.usage is not None:
                said(reply.choices[0].message.text)
            return response

    async def _chat_completions(
        self,
        request: web.Request,
        credential: str,
        fits: Callable[[str], bool],
        check: Check,
        reasoning_field: str,
    ) -> web.StreamResponse:
        body = body_of(await request.read())
        model = checks.model_of(body, fits)
        check(body)
        checks.check_messages(body.get("messages"), model, native_parts=False)
        asked = read_chat(body)
        faults = self._faults(asked)
        thinking = body.get("thinking")
        enabled = thinking.get("enabled") if isinstance(thinking, Mapping) else None
        effort = body.get("reasoning_effort") not in (None, "none", "minimal")
        reply = _think(asked, enabled=enabled is True or effort)
        checks.check_length(model, reply.usage.prompt_tokens, body)
        options = body.get("stream_options")
        number = self._desk.next_id()
        answer = Compatible(
            {
                "id": f"chatcmpl-{number:016x}",
                "created": int(self._desk.clock.now().timestamp()),
                "model": model,
                "request_id": f"sandbox-{number:08x}",
            },
            reply,
            reasoning_field,
            isinstance(options, Mapping) and options.get("include_usage") is True,
        )
        with self._desk.served.serving(credential, model, reply.usage.prompt_tokens) as serving:
            return await answer_compatible(request, answer, faults, serving, stream=asked.stream)

    def _faults(self, asked: ChatRequest) -> Faults:
        faults = self._desk.faults(last_user_text(asked.messages))
        refuse_early(faults)
        return faults


def _think(asked: ChatRequest, *, enabled: bool = False) -> Reply:
    think = enabled or any(word in asked.model for word in _THINKING)
    return answer_for(asked, think=think)


def _beside(
    body: Mapping[str, object], asked: ChatRequest, found: Mapping[str, list[str]]
) -> dict[str, object]:
    """What knowledge and search found, where the caller wants to see it."""
    beside: dict[str, object] = {"plugins": {}}
    config = body.get("knowledge_config")
    if found and isinstance(config, Mapping) and config.get("knowledge_base_result") is True:
        beside["knowledge_base_results"] = [
            {
                "know_id": id_,
                "results": [{"score": 0.9, "result": text, "extra_info": ""} for text in texts],
            }
            for id_, texts in found.items()
        ]
    plugins = body.get("plugins")
    search = plugins.get("web_search") if isinstance(plugins, Mapping) else None
    if not isinstance(search, Mapping) or search.get("search_enable") is not True:
        return beside
    if search.get("result_enable") is True:
        query = shorten(without_markers(last_user_text(asked.messages)), 40)
        hit = {
            "index": 1,
            "url": "https://example.com/",
            "url_source": "示例网",
            "title": f"关于“{query}”的网页",
            "icon": "",
        }
        beside["plugins"] = {"web_search": {"online_search_count": 1, "results": [hit]}}
    return beside


def _characters(body: Mapping[str, object]) -> set[object]:
    settings = body.get("character_settings")
    if not isinstance(settings, list) or not settings:
        raise illegal("character_settings", "is empty")
    for setting in settings:
        if not isinstance(setting, Mapping) or not all(
            isinstance(setting.get(name), str) and setting[name] for name in ("name", "gender")
        ):
            raise illegal("character_settings")
    return {setting["name"] for setting in settings}
