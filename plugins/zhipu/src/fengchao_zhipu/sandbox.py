"""
A stand-in for Zhipu on loopback: it verifies what it is sent as the vendor would, and answers from the prompt.

The markers that steer it are told in `fengchao_core.kit.sandbox`; besides the common faults, any code of the vendor
(`[[fault:1302]]`) and the finish reasons `[[fault:sensitive]]` and `[[fault:network_error]]` are understood, these two
with `after=N` also in the middle of a stream.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from zlib import crc32

import orjson
from aiohttp import web

from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    SandboxDesk,
    Serving,
    answer_for,
    chat_dialect,
    count_tokens,
    deltas,
    draw,
    embedding,
    last_user_text,
    send_whole,
    shorten,
)
from fengchao_core.types import ChatRequest, Usage
from fengchao_zhipu.sandbox_checks import (
    DIMENSIONS,
    check_chat,
    check_embeddings,
    check_image,
    who,
)
from fengchao_zhipu.sandbox_codes import CODES, RefusedError

BASE_PATH = "/api/paas/v4"
API_KEY = "5a6e64626f780000.SandboxSecretOfNoWorth"
"""The key that the sandbox takes."""

_BY_FAULT = {
    "401": "1002",
    "429": "1302",
    "500": "500",
    "503": "503",
    "expired_token": "1003",
    "content_filter": "1301",
    "arrears": "1113",
    "too_long": "1261",
    "overloaded": "1305",
    "quota": "1308",
}
_BAD_ENDS = ("sensitive", "network_error")
_MOST_IDS = 10_000

Handler = Callable[[web.Request, str, Mapping[str, object]], Awaitable[web.StreamResponse]]


def build(*, api_key: str = API_KEY, clock: Clock | None = None) -> web.Application:
    """
    The application.

    Args:
        api_key: the one key it takes, signed or raw.
        clock: the time by which tokens expire; the machine's own where not given.
    """
    sandbox = _Sandbox(api_key, clock)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    for path, handler in (
        ("/chat/completions", sandbox.chat),
        ("/embeddings", sandbox.embed),
        ("/images/generations", sandbox.draw),
    ):
        app.router.add_post(BASE_PATH + path, sandbox.guarded(handler))
    sandbox.desk.mount(app)
    app.router.add_get("/_sandbox/pictures/{seed}-{width:[0-9]+}x{height:[0-9]+}.png", _picture)
    app.router.add_route("*", "/{rest:.*}", _nothing_here)
    return app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`."""
    return {"base_url": base_url + BASE_PATH, "api_key": API_KEY}


class _Sandbox:
    def __init__(self, api_key: str, clock: Clock | None) -> None:
        self.desk = SandboxDesk(clock=clock)
        self._api_key = api_key
        self._used_ids: dict[str, None] = {}

    def guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler behind authentication and the reading of the body, whose refusals become answers."""

        async def handle(request: web.Request) -> web.StreamResponse:
            credential = model = ""
            try:
                data = await request.read()
                credential = who(request.headers, self._api_key, self.desk.clock.now())
                body = _object(data)
                model = str(body.get("model", ""))
                return await handler(request, credential, body)
            except RefusedError as refused:
                if credential:
                    self.desk.served.refused(credential, model)
                return _refusal(refused)

        return handle

    async def chat(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        asked = chat_dialect.read_chat(body)
        check_chat(body, asked)
        faults = self.desk.faults(last_user_text(asked.messages))
        _refuse_early(faults)
        self._use_once(asked.request_id)
        reply = answer_for(asked, think=_thinks(asked.model, body))
        if asked.model.startswith("glm-z1"):
            reply = _in_text(reply)
        id_ = f"{self.desk.next_id():020d}"
        head = {"id": id_, "created": int(time.time()), "model": asked.model}
        prompt_tokens = reply.usage.prompt_tokens
        with self.desk.served.serving(credential, asked.model, prompt_tokens) as serving:
            if asked.stream:
                return await _stream(request, reply, head, faults, serving)
            whole: dict[str, object] = {**head, "request_id": asked.request_id or id_}
            whole |= {
                "choices": _choices(reply, faults.refusal),
                "usage": chat_dialect.usage_body(reply.usage),
                **_search_results(asked),
            }
            if faults.refusal == "sensitive":
                whole["content_filter"] = [{"role": "assistant", "level": 0}]
            response = await send_whole(request, whole, faults, serving)
            if not serving.closed_by_client:
                serving.complete(reply.usage)
            return response

    async def embed(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        model, texts = check_embeddings(body)
        faults = self.desk.faults(texts[-1])
        _refuse_early(faults)
        wanted = body.get("dimensions")
        dimensions = wanted if isinstance(wanted, int) else DIMENSIONS[model][-1]
        tokens = sum(count_tokens(text) for text in texts)
        answer = {
            "object": "list",
            "model": model,
            "data": [
                {"object": "embedding", "index": at, "embedding": embedding(text, dimensions)}
                for at, text in enumerate(texts)
            ],
            "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens},
        }
        with self.desk.served.serving(credential, model, tokens) as serving:
            serving.complete(Usage(tokens))
            return await send_whole(request, answer, faults, serving)

    async def draw(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        model, prompt, width, height = check_image(body)
        faults = self.desk.faults(prompt)
        _refuse_early(faults)
        seed = crc32(prompt.encode())
        url = request.url.with_path(f"/_sandbox/pictures/{seed:08x}-{width}x{height}.png")
        answer = {
            "created": int(time.time()),
            "data": [{"url": str(url)}],
            "content_filter": [{"role": "assistant", "level": 3}],
        }
        with self.desk.served.serving(credential, model, count_tokens(prompt)) as serving:
            serving.complete(Usage(count_tokens(prompt)))
            return await send_whole(request, answer, faults, serving)

    def _use_once(self, request_id: str) -> None:
        if request_id in self._used_ids:
            raise RefusedError("1231")
        if request_id:
            self._used_ids[request_id] = None
        if len(self._used_ids) > _MOST_IDS:
            del self._used_ids[next(iter(self._used_ids))]


async def _stream(
    request: web.Request,
    reply: Reply,
    head: Mapping[str, object],
    faults: Faults,
    serving: Serving,
) -> web.StreamResponse:
    """The answer as events: the role in each, calls whole, the usage with the finish reason."""

    def chunk(said: Mapping[str, object], **more: object) -> dict[str, object]:
        choice = {"index": 0, "delta": {"role": "assistant", **said}}
        usage = more.pop("usage", None)
        whole = {**head, "choices": [{**choice, **more}]}
        return whole if usage is None else {**whole, "usage": usage}

    usage = chat_dialect.usage_body(reply.usage)
    calls: list[object] = []
    async with EventStream(request, faults, serving) as stream:
        for delta in deltas(reply, whole_tool_calls=True):
            if stream.refusal_is_due and faults.refusal is not None:
                end = faults.refusal if faults.refusal in _BAD_ENDS else "network_error"
                await stream.send(chunk({"content": ""}, finish_reason=end, usage=usage))
                break
            if delta.finish_reason is not None:
                last = {"tool_calls": calls} if calls else {"content": ""}
                await stream.send(chunk(last, finish_reason=delta.finish_reason, usage=usage))
                serving.complete(reply.usage)
            elif delta.tool_calls:
                calls += [
                    {
                        "id": call.id,
                        "index": call.index,
                        "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments},
                    }
                    for call in delta.tool_calls
                ]
            else:
                await stream.send(chunk(chat_dialect.delta_body(delta)))
                serving.sent(delta)
        await stream.send(b"[DONE]")
    return stream.response


def _choices(reply: Reply, end: str | None) -> list[dict[str, object]]:
    choices = chat_dialect.choice_bodies(reply)
    for choice in choices:
        if end in _BAD_ENDS:
            choice["finish_reason"] = end
            choice["message"] = {"role": "assistant", "content": ""}
    return choices


def _thinks(model: str, body: Mapping[str, object]) -> bool:
    """Whether a model shows its thinking: those that can be told to unless they are told not to."""
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and thinking.get("type") == "disabled":
        return False
    return model.startswith(("glm-4.5", "glm-4.6", "glm-4.7", "glm-4.1v", "glm-z1"))


def _in_text(reply: Reply) -> Reply:
    """The thinking in the text itself, as glm-z1 has it."""
    choices = tuple(
        replace(
            choice,
            message=replace(
                choice.message,
                content=f"<think>\n{choice.message.reasoning}</think>\n{choice.message.text}",
                reasoning=None,
            ),
        )
        for choice in reply.choices
    )
    return replace(reply, choices=choices)


def _search_results(asked: ChatRequest) -> dict[str, object]:
    """What a web search found, where one was asked for with its results; knowledge retrieval silences it."""
    tools = {tool.type: tool.body for tool in asked.params.tools}
    search = tools.get("web_search")
    if search is None or "retrieval" in tools:
        return {}
    if search.get("enable") is not True or search.get("search_result") is not True:
        return {}
    query = str(search.get("search_query") or last_user_text(asked.messages))
    found = {
        "refer": "ref_1",
        "title": f"关于“{shorten(query, 40)}”的网页",
        "link": "https://example.com/",
        "media": "示例网",
        "icon": "",
        "content": f"这是沙箱为“{shorten(query, 40)}”找到的一段摘要。",
    }
    return {"web_search": [found]}


def _refuse_early(faults: Faults) -> None:
    """Refuse what the prompt asks to be refused before anything is generated."""
    wanted = faults.refusal
    if wanted is None or faults.refusal_after is not None or wanted in _BAD_ENDS:
        return
    code = _BY_FAULT.get(wanted, wanted)
    if code not in CODES:
        raise RefusedError("1210", f"沙箱不认识的故障标记：{wanted}")
    raise RefusedError(code, retry_after=faults.retry_after)


def _refusal(refused: RefusedError) -> web.Response:
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = f"{refused.retry_after:g}"
    return web.json_response(
        {"error": {"code": refused.code, "message": refused.message}},
        status=CODES[refused.code][0],
        headers=headers,
    )


def _object(data: bytes) -> Mapping[str, object]:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RefusedError("1210", "请求体不是合法的 JSON") from None
    if not isinstance(body, dict):
        raise RefusedError("1210", "请求体必须是 JSON 对象")
    return body


async def _picture(request: web.Request) -> web.Response:
    width, height = (min(int(request.match_info[name]), 4096) for name in ("width", "height"))
    data = draw(request.match_info["seed"], max(width, 1), max(height, 1))
    return web.Response(body=data, content_type="image/png")


async def _nothing_here(_: web.Request) -> web.Response:
    return _refusal(RefusedError("1222"))
