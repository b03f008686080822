"""The application: the native API, its files, the compatible mode and the token plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import format_datetime

from aiohttp import web

from fengchao_core.clock import Clock
from fengchao_core.kit.sandbox import SandboxDesk
from fengchao_sensetime.sandbox.chats import Chats
from fengchao_sensetime.sandbox.codes import RefusedError, error_body
from fengchao_sensetime.sandbox.keeping import Keeping
from fengchao_sensetime.sandbox.reading import named_model
from fengchao_sensetime.sandbox.shelves import Shelves
from fengchao_sensetime.sandbox.tokens import who

AK = "2SandboxAccessKeyIdOfNoWorth0"
SK = "SandboxSecretAccessKeyOfNoWorth0"
API_KEY = "sk-SandboxApiKeyOfNoWorth"
"""The credentials that the sandbox takes: the pair signs tokens, the key goes as it is."""

_NATIVE = "/v1/llm"
_FILES = "/v1/files"
_COMPATIBLE = "/compatible-mode/v1"
_TOKEN_PLAN = "/token-plan/v1"  # noqa: S105  # a path; the vendor has a host of its own for it

Handler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


def build(*, clock: Clock | None = None) -> web.Application:
    """
    The application.

    Args:
        clock: the time by which tokens expire; the machine's own where not given.
    """
    sandbox = _Sandbox(SandboxDesk(clock=clock))
    chats, keeping = Chats(sandbox.desk, sandbox.shelves), Keeping(sandbox.shelves)
    app = web.Application(client_max_size=64 * 1024 * 1024)

    def add(method: str, path: str, handler: Handler, *, dialect: str = "native") -> None:
        app.router.add_route(method, path, sandbox.guarded(handler, dialect))

    add("POST", f"{_NATIVE}/chat-completions", chats.chat)
    add("POST", f"{_NATIVE}/chat/sessions", chats.open_session)
    add("POST", f"{_NATIVE}/chat-conversations", chats.converse)
    add("POST", f"{_NATIVE}/character/chat-completions", chats.character)
    add("POST", f"{_NATIVE}/completions", chats.complete)
    add("POST", f"{_NATIVE}/embeddings", chats.embed)
    add("GET", f"{_NATIVE}/models", keeping.models)
    add("GET", f"{_NATIVE}/models/{{id}}", keeping.model)
    add("DELETE", f"{_NATIVE}/models/{{id}}", keeping.delete_model)
    add("POST", f"{_NATIVE}/knowledge-bases", keeping.create_knowledge)
    add("GET", f"{_NATIVE}/knowledge-bases", keeping.knowledge_bases)
    add("GET", f"{_NATIVE}/knowledge-bases/{{id}}", keeping.knowledge)
    add("PUT", f"{_NATIVE}/knowledge-bases/{{id}}", keeping.update_knowledge)
    add("DELETE", f"{_NATIVE}/knowledge-bases/{{id}}", keeping.delete_knowledge)
    add("POST", _FILES, keeping.upload)
    add("GET", _FILES, keeping.files)
    add("GET", f"{_FILES}/{{id}}", keeping.file)
    add("DELETE", f"{_FILES}/{{id}}", keeping.delete_file)
    add("GET", f"{_FILES}/{{id}}/content", keeping.content)
    compatible, token_plan = chats.compatible, chats.token_plan
    add("POST", f"{_COMPATIBLE}/chat/completions", compatible, dialect="compatible")
    add("POST", f"{_TOKEN_PLAN}/chat/completions", token_plan, dialect="token")
    # The storage behind the files: its addresses are their own credentials.
    app.router.add_get("/_sandbox/storage/{id}", keeping.stored)
    sandbox.desk.mount(app)
    app.router.add_route("*", "/{rest:.*}", sandbox.guarded(_nothing_here, "native"))
    return app


def settings_for(base_url: str) -> dict[str, object]:
    """The provider's settings that reach a sandbox at `base_url`; all hosts are this one."""
    return {
        "base_url": base_url + _NATIVE,
        "compatible_base_url": base_url + _COMPATIBLE,
        "token_base_url": base_url + _TOKEN_PLAN,
        "file_base_url": base_url + "/v1",
        "ak": AK,
        "sk": SK,
        "api_key": API_KEY,
    }


class _Sandbox:
    def __init__(self, desk: SandboxDesk) -> None:
        self.desk = desk
        self.shelves = Shelves()

    def guarded(
        self, handler: Handler, dialect: str
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler behind the verification of the token, whose refusals become answers."""

        async def handle(request: web.Request) -> web.StreamResponse:
            credential = ""
            now = self.desk.clock.now()
            try:
                credential = who(request.headers, AK, SK, API_KEY, now, signed=dialect != "token")
                return await handler(request, credential)
            except RefusedError as refused:
                if credential and request.content_type == "application/json":
                    model = named_model(await request.read())
                    self.desk.served.refused(credential, model)
                headers = {
                    "Date": format_datetime(now, usegmt=True),  # a test may hold it in its hand
                    "X-Request-Id": f"sandbox-{self.desk.next_id():08x}",
                }
                if refused.retry_after is not None:
                    headers["Retry-After"] = f"{refused.retry_after:g}"
                return web.json_response(
                    error_body(refused, is_native=dialect == "native"),
                    status=refused.status,
                    headers=headers,
                )

        return handle


async def _nothing_here(_: web.Request, __: str) -> web.StreamResponse:
    raise RefusedError(5, "no such path")
