"""The application of the stand-in: its pages, and what it answers on each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from fengchao_anthropic.abilities import abilities_of
from fengchao_anthropic.sandbox.cache import PromptCache
from fengchao_anthropic.sandbox.checks import (
    CARDS,
    check_body,
    check_length,
    version_of,
    who,
)
from fengchao_anthropic.sandbox.codes import BY_FAULT, STATUSES, RefusedError, illegal
from fengchao_anthropic.sandbox.reading import read_body
from fengchao_anthropic.sandbox.shelves import BatchShelf, FileShelf, listing
from fengchao_anthropic.sandbox.visit import Visit
from fengchao_anthropic.sandbox.writing import (
    Answer,
    Blocks,
    end_events,
    message_body,
    refused_body,
    start_event,
)
from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    SandboxDesk,
    Serving,
    answer_for,
    last_user_text,
    prompt_tokens,
    send_whole,
)
from fengchao_core.types import ChatRequest

API_KEY = "sk-ant-sandbox-0000-of-no-worth"
"""The key that the sandbox takes."""

_LARGEST = 32 * 1024 * 1024
_REFUSALS = ("content_filter", "refusal")

Handler = Callable[[web.Request, Visit], Awaitable[web.StreamResponse]]


def build(*, api_key: str = API_KEY, clock: Clock | None = None) -> web.Application:
    """
    The application.

    Args:
        api_key: the one key it takes.
        clock: the time that batches and files are dated by; the machine's own where not given.
    """
    house = _House(api_key, clock)
    files, batches = FileShelf(house.desk), BatchShelf(house.desk, house.whole)
    app = web.Application(client_max_size=_LARGEST)
    for method, path, handler in (
        ("POST", "/v1/messages", house.messages),
        ("POST", "/v1/messages/count_tokens", house.count),
        ("GET", "/v1/models", house.models),
        ("GET", "/v1/models/{id}", house.model),
        ("POST", "/v1/messages/batches", batches.create),
        ("GET", "/v1/messages/batches", batches.list),
        ("GET", "/v1/messages/batches/{id}", batches.get),
        ("DELETE", "/v1/messages/batches/{id}", batches.delete),
        ("POST", "/v1/messages/batches/{id}/cancel", batches.cancel),
        ("GET", "/v1/messages/batches/{id}/results", batches.results),
        ("POST", "/v1/files", files.upload),
        ("GET", "/v1/files", files.list),
        ("GET", "/v1/files/{id}", files.get),
        ("DELETE", "/v1/files/{id}", files.delete),
    ):
        app.router.add_route(method, path, house.guarded(handler))
    house.desk.mount(app)
    app.router.add_route("*", "/{rest:.*}", house.guarded(_nothing_here))
    return app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`."""
    return {"base_url": base_url, "api_key": API_KEY}


class _House:
    def __init__(self, api_key: str, clock: Clock | None) -> None:
        self.desk = SandboxDesk(clock=clock)
        self._api_key = api_key
        self._cache = PromptCache()

    def guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler behind authentication, whose refusals become answers in the vendor's shape."""

        async def handle(request: web.Request) -> web.StreamResponse:
            visit = Visit(f"req_{self.desk.next_id():024d}")
            try:
                visit.credential = who(request.headers, self._api_key)
                visit.version = version_of(request.headers)
                return await handler(request, visit)
            except RefusedError as refused:
                error = refused
            except web.HTTPRequestEntityTooLarge:
                error = RefusedError("request_too_large")
            if visit.model:
                self.desk.served.refused(visit.credential, visit.model)
            headers = visit.headers
            if error.retry_after is not None:
                headers["retry-after"] = f"{error.retry_after:g}"
            return web.json_response(
                error.body(visit.request_id), status=STATUSES[error.kind], headers=headers
            )

        return handle

    async def messages(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """An answer, whole or streamed."""
        body = await _object(request)
        visit.model = str(body.get("model", ""))
        check_body(body, visit.version)
        asked = read_body(body)
        check_length(asked)
        faults = self.desk.faults(last_user_text(asked.messages))
        _refuse_early(faults)
        answer = self._answer(body, asked)
        tokens = answer.reply.usage.prompt_tokens
        with self.desk.served.serving(visit.credential, asked.model, tokens) as serving:
            if asked.stream:
                return await _stream(request, visit, answer, faults, serving)
            is_refused = faults.refusal in _REFUSALS
            whole = refused_body(answer) if is_refused else message_body(answer)
            response = await send_whole(request, whole, faults, serving, headers=visit.headers)
            if not serving.closed_by_client and not is_refused:
                serving.complete(answer.reply.usage)
            return response

    async def count(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """The tokens of a request."""
        body = await _object(request)
        check_body(body, visit.version, counts=True)
        asked = read_body(body)
        _refuse_early(self.desk.faults(last_user_text(asked.messages)))
        return visit.json({"input_tokens": prompt_tokens(asked)})

    async def models(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """A page of the models."""
        every = [_described(card_id) for card_id in dict.fromkeys(c.id for c in CARDS.values())]
        if wanted := request.query.getall("lifecycle", []):
            every = [model for model in every if model["lifecycle"] in wanted]
        return visit.json(listing(every, request.query))

    async def model(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """One model."""
        name = request.match_info["id"]
        if name not in CARDS:
            raise RefusedError("not_found_error", f"model: {name}")
        return visit.json(_described(CARDS[name].id))

    def whole(self, body: Mapping[str, Any], version: str) -> dict[str, object]:
        """An answer of a batch. Raises `RefusedError`."""
        check_body(body, version)
        asked = read_body(body)
        check_length(asked)
        faults = self.desk.faults(last_user_text(asked.messages))
        _refuse_early(faults)
        answer = self._answer(body, asked)
        with self.desk.served.serving(
            "sandbox", asked.model, answer.reply.usage.prompt_tokens
        ) as serving:
            serving.complete(answer.reply.usage)
        return refused_body(answer) if faults.refusal in _REFUSALS else message_body(answer)

    def _answer(self, body: Mapping[str, Any], asked: ChatRequest) -> Answer:
        thinking = body.get("thinking") or {}
        kind = thinking.get("type")
        always = abilities_of(asked.model).thinking == "always"
        thinks = kind in ("enabled", "adaptive") or (kind is None and always)
        reply = answer_for(asked, think=thinks)
        cached, written = self._cache.look(body, reply.usage.prompt_tokens)
        return Answer(
            id=f"msg_{self.desk.next_id():024d}",
            model=asked.model,
            reply=reply,
            stop_sequence=_stopped_by(asked, reply.choices[0].message.text),
            shows_thinking=thinking.get("display") != "omitted",
            cached=cached,
            written=written,
            wants_details=thinks,
        )


async def _stream(
    request: web.Request, visit: Visit, answer: Answer, faults: Faults, serving: Serving
) -> web.StreamResponse:
    stream = EventStream(request, faults, serving, headers=visit.headers)
    is_refused = faults.refusal in _REFUSALS
    async with stream:

        async def send(event: Mapping[str, Any]) -> None:
            await stream.send(event, event=event["type"])

        await send(start_event(answer))
        blocks = Blocks(answer)
        if is_refused and faults.refusal_after is None:
            for event in end_events(answer, refused=True):
                await send(event)
            return stream.response
        for delta in blocks.deltas():
            if stream.refusal_is_due and faults.refusal is not None:
                if not is_refused:
                    await send(_refusal(faults).body(visit.request_id))
                    return stream.response
                break
            for event in blocks.events(delta):
                await send(event)
            serving.sent(delta)
        else:
            is_refused = False
        for event in (*blocks.close(), *end_events(answer, refused=is_refused)):
            await send(event)
        if not is_refused:
            serving.complete(answer.reply.usage)
    return stream.response


def _stopped_by(asked: ChatRequest, text: str) -> str | None:
    """The stop text that ended an answer: the one that goes on where the answer was cut."""
    if not asked.params.stop:
        return None
    unstopped = answer_for(replace(asked, params=replace(asked.params, stop=())))
    rest = unstopped.choices[0].message.text[len(text) :]
    return next((word for word in asked.params.stop if rest.startswith(word)), None)


def _refuse_early(faults: Faults) -> None:
    """Refuse what the prompt asks to be refused before anything is generated."""
    wanted = faults.refusal
    if wanted is not None and faults.refusal_after is None and wanted not in _REFUSALS:
        raise _refusal(faults)


def _refusal(faults: Faults) -> RefusedError:
    wanted = faults.refusal or ""
    kind = BY_FAULT.get(wanted, wanted)
    if kind not in STATUSES:
        return illegal("messages", f"the sandbox knows no fault marker {wanted!r}")
    if wanted == "too_long":
        return RefusedError(kind, "prompt is too long: 200001 tokens > 200000 maximum")
    if wanted == "quota":  # a spend cap: the same type, and no word of when to come back
        return RefusedError(kind, "Your organization has reached its spend limit for this month.")
    wait = faults.retry_after
    if wait is None and kind == "rate_limit_error":
        wait = 1.0
    return RefusedError(kind, retry_after=wait)


def _described(card_id: str) -> dict[str, Any]:
    card = CARDS[card_id]
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.id.replace("-", " ").title(),
        "created_at": f"{card.created}T00:00:00Z",
        "lifecycle": "deprecated" if card.id.startswith("claude-3-") else "active",
        "max_input_tokens": card.max_input_tokens,
        "max_tokens": card.max_output_tokens,
    }


async def _object(request: web.Request) -> Mapping[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise RefusedError("invalid_request_error", "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise RefusedError("invalid_request_error", "The request body must be a JSON object.")
    return body


async def _nothing_here(_: web.Request, __: Visit) -> web.StreamResponse:
    raise RefusedError("not_found_error", "Not Found")
