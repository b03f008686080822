"""
The application: paths, authentication, scripted faults.

The markers that steer it are told in `fengchao_core.kit.sandbox`; besides the common faults, any code of the vendor
(`[[fault:1302]]`) and the finish reasons `[[fault:sensitive]]` and `[[fault:network_error]]` are understood, these two
with `after=N` also in the middle of a stream, and `[[fault:task_fail]]` for asynchronous tasks.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from zlib import crc32

import orjson
from aiohttp import web

from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import (
    Faults,
    SandboxDesk,
    chat_dialect,
    count_tokens,
    draw,
    embedding,
    last_user_text,
    send_whole,
)
from fengchao_core.types import Usage
from fengchao_zhipu.sandbox.chat import BAD_ENDS, reply_to, stream, whole_body
from fengchao_zhipu.sandbox.checks import (
    DIMENSIONS,
    check_chat,
    check_embeddings,
    check_image,
    who,
)
from fengchao_zhipu.sandbox.codes import CODES, RefusedError
from fengchao_zhipu.sandbox.files import MOST_FILE_BYTES, Files
from fengchao_zhipu.sandbox.search import AGENT_MODEL, check_agent, check_search, found, report
from fengchao_zhipu.sandbox.tasks import TASK_FAIL, Tasks

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
_MOST_IDS = 10_000

Handler = Callable[[web.Request, str, Mapping[str, object]], Awaitable[web.StreamResponse]]


def build(
    *,
    api_key: str = API_KEY,
    clock: Clock | None = None,
    max_file_bytes: int = MOST_FILE_BYTES,
) -> web.Application:
    """
    The application.

    Args:
        api_key: the one key it takes, signed or raw.
        clock: the time by which tokens expire; the machine's own where not given.
        max_file_bytes: longer files are refused.
    """
    sandbox = _Sandbox(api_key, clock, max_file_bytes)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    for path, handler in (
        ("/chat/completions", sandbox.chat),
        ("/async/chat/completions", sandbox.submit),
        ("/embeddings", sandbox.embed),
        ("/images/generations", sandbox.draw),
        ("/web_search", sandbox.search),
        ("/tools", sandbox.search_by_agent),
    ):
        app.router.add_post(BASE_PATH + path, sandbox.guarded(handler))
    for method, path, bodiless in (
        ("GET", "/async-result/{id}", sandbox.result),
        ("POST", "/files", sandbox.files.take),
        ("GET", "/files", sandbox.files.show),
        ("GET", "/files/{id}/content", sandbox.files.read),
        ("DELETE", "/files/{id}", sandbox.files.delete),
    ):
        guarded = sandbox.guarded(bodiless, has_json=False)
        app.router.add_route(method, BASE_PATH + path, guarded)
    sandbox.desk.mount(app)
    app.router.add_get("/_sandbox/pictures/{seed}-{width:[0-9]+}x{height:[0-9]+}.png", _picture)
    app.router.add_route("*", "/{rest:.*}", _nothing_here)
    return app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`."""
    return {"base_url": base_url + BASE_PATH, "api_key": API_KEY}


class _Sandbox:
    def __init__(self, api_key: str, clock: Clock | None, max_file_bytes: int) -> None:
        self.desk = SandboxDesk(clock=clock)
        self._api_key = api_key
        self._used_ids: dict[str, None] = {}
        self._tasks = Tasks(self.desk)
        self.files = Files(self.desk, max_file_bytes)

    def guarded(
        self, handler: Handler, *, has_json: bool = True
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler behind authentication and the reading of a JSON body, whose refusals become answers."""

        async def handle(request: web.Request) -> web.StreamResponse:
            credential = model = ""
            try:
                data = await request.read() if has_json else b"{}"
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
        reply = reply_to(asked, body)
        head = self._head(asked.model)
        prompt_tokens = reply.usage.prompt_tokens
        with self.desk.served.serving(credential, asked.model, prompt_tokens) as serving:
            if asked.stream:
                return await stream(request, reply, head, faults, serving)
            whole = whole_body(asked, reply, head, faults)
            response = await send_whole(request, whole, faults, serving)
            if not serving.closed_by_client:
                serving.complete(reply.usage)
            return response

    async def submit(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Take a task. The answer is made at once, but told only when it was asked for twice."""
        asked = chat_dialect.read_chat(body)
        check_chat(body, asked)
        if asked.stream:
            raise RefusedError("1210", "异步调用不支持 stream 参数")
        faults = self.desk.faults(last_user_text(asked.messages))
        is_failing = faults.refusal == TASK_FAIL
        if not is_failing:
            _refuse_early(faults)
        self._use_once(asked.request_id)
        reply = reply_to(asked, body)
        head = self._head(asked.model)
        whole = whole_body(asked, reply, head, faults)
        task = self._tasks.add(whole, is_failing=is_failing)
        with self.desk.served.serving(
            credential, asked.model, reply.usage.prompt_tokens
        ) as serving:
            serving.complete(Usage() if is_failing else reply.usage)
            return await send_whole(request, task, faults, serving)

    async def result(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """What has become of a task."""
        del credential, body
        return _json(self._tasks.ask(request.match_info["id"]))

    async def search(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Search the web."""
        query, engine, count = check_search(body)
        faults = self.desk.faults(query)
        _refuse_early(faults)
        answer = {**self._search_head(body), **found(query, count, body)}
        with self.desk.served.serving(credential, engine, 0) as serving:
            serving.complete(Usage())
            return await send_whole(request, answer, faults, serving)

    async def search_by_agent(
        self, request: web.Request, credential: str, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Search the web by the older agent."""
        query = check_agent(body)
        faults = self.desk.faults(query)
        _refuse_early(faults)
        answer = {**self._search_head(body), **report(query)}
        with self.desk.served.serving(credential, AGENT_MODEL, 0) as serving:
            serving.complete(Usage())
            return await send_whole(request, answer, faults, serving)

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

    def _head(self, model: str) -> dict[str, object]:
        return {"id": f"{self.desk.next_id():020d}", "created": int(time.time()), "model": model}

    def _search_head(self, body: Mapping[str, object]) -> dict[str, object]:
        request_id = str(body.get("request_id") or "")
        self._use_once(request_id)
        id_ = f"{self.desk.next_id():020d}"
        return {"id": id_, "request_id": request_id or id_, "created": int(time.time())}

    def _use_once(self, request_id: str) -> None:
        if request_id in self._used_ids:
            raise RefusedError("1231")
        if request_id:
            self._used_ids[request_id] = None
        if len(self._used_ids) > _MOST_IDS:
            del self._used_ids[next(iter(self._used_ids))]


def _refuse_early(faults: Faults) -> None:
    """Refuse what the prompt asks to be refused before anything is generated."""
    wanted = faults.refusal
    if wanted is None or faults.refusal_after is not None or wanted in BAD_ENDS:
        return
    code = _BY_FAULT.get(wanted, wanted)
    if code not in CODES:
        raise RefusedError("1210", f"沙箱不认识的故障标记：{wanted}")
    raise RefusedError(code, retry_after=faults.retry_after)


def _json(body: Mapping[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


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
