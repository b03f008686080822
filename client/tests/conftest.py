"""
A service on a loopback socket that plays the contract, in a thread of its own, so that sync clients can be tested too.

It writes its answers by hand, from the product text: it is a judge of the client, so it shares no code with it.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections import deque

import pytest
from aiohttp import web

API_KEY = "public-half-of-the-keys"
SECRET_KEY = "s3cret-half-of-the-keys-which-nobody-may-see"
NOW = "2026-11-21 10:00:00"


class Service:
    """
    The contract, played.

    Attributes:
        url: where it listens.
        requests: what came in: path, headers, parsed body (None of a GET), the peer's port.
        faults: taken by the next chat requests, first in first out, instead of an answer.
        models_fault: answers the models list, where set.
        paced: where set, each streamed event but the first waits for a permit.
        hung_up: set when a peer closed its connection before a stream had ended.
    """

    def __init__(self):
        self.url = ""
        self.requests = []
        self.faults = deque()
        self.models_fault = None
        self.models = [card("glm-4", "在线模型"), card("Qwen1.5-0.5B-Chat", "本地模型")]
        self.aliases = {"qwen": "Qwen1.5-0.5B-Chat"}
        self.paced = None
        self.hung_up = threading.Event()
        self.barrier = None
        self.loop = None
        self._stop = None

    def chats(self):
        """The chat requests that came in."""
        return [seen for seen in self.requests if "chat" in seen["path"]]

    def paths(self):
        """The paths that were asked, in order."""
        return [seen["path"] for seen in self.requests]

    def run(self, ready):
        """Serve until `stop`; what the thread does."""
        asyncio.run(self._serve(ready))

    def stop(self):
        """End the thread."""
        self.loop.call_soon_threadsafe(self._stop.set)

    def permit(self):
        """Let one more streamed event go."""
        self.loop.call_soon_threadsafe(self.paced.release)

    async def _serve(self, ready):
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application()
        app.add_routes(
            [
                web.get("/aigc/models/", self._models),
                web.get("/aigc/prompts/", self._prompts),
                web.get("/aigc/kgs/", self._kgs),
                web.post("/aigc/chat/", self._chat),
                web.post("/aigc/local_chat/", self._chat),
                web.post("/aigc/t2i/", self._refuse),
                web.post("/aigc/uploadfiles/", self._upload),
            ]
        )
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _note(self, request, body=None):
        self.requests.append(
            {
                "path": request.path,
                "headers": dict(request.headers),
                "body": body,
                "port": request.transport.get_extra_info("peername")[1],
            }
        )

    async def _models(self, request):
        await self._note(request)
        if self.models_fault is not None:
            return await self.models_fault(request)
        return web.json_response({"data": self.models})

    async def _prompts(self, request):
        await self._note(request)
        entry = {
            "id": "默认",
            "prefix": "{{system}}",
            "prompt": "{{query}}",
            "system": "你好",
            "created": NOW,
        }
        return web.json_response({"data": [entry]})

    async def _kgs(self, request):
        await self._note(request)
        entry = {"id": "news_vector_store", "desc": "咨询知识库", "created": NOW}
        return web.json_response({"data": [entry]})

    async def _refuse(self, request):
        await self._note(request, await request.json())
        return failure(404, "接口不存在")

    async def _upload(self, request):
        names = [part.filename async for part in await request.multipart()]
        await self._note(request, names)
        return web.json_response(
            {"files": [f"kept-{n}" for n in names], "msg": "执行成功", "status": 200}
        )

    async def _chat(self, request):
        body = await request.json()
        await self._note(request, body)
        if self.faults:
            fault = self.faults.popleft()
            answer = await fault(request)
            if answer is not None:
                return answer
        if (refusal := self._refusal(request, body)) is not None:
            return refusal
        if self.barrier is not None:
            await self.barrier.wait()
        if body["mode"] == "async":
            return web.json_response(whole(body, "615d5fa4697fbc63cbe7b2774c96a71b"))
        if body["query"] == "敏感":
            return await self._blocked(request, body)
        if body["mode"] == "stream":
            return await self._stream(request, body)
        return web.json_response(whole(body, f"你问：{body['query']}"))

    def _refusal(self, request, body):
        if not self._knows(request.headers.get("Authorization", "")):
            return failure(401, "鉴权失败")
        name = self.aliases.get(body["model"], body["model"])
        model = next((m for m in self.models if m["id"] == name), None)
        if model is None:
            return failure(440, "模型不存在")
        is_local = model["channel"] == "本地模型"
        if is_local != ("local" in request.path):
            return failure(441 if is_local else 442, "接口用错")
        return None if body["query"] else failure(443, "问题为空")

    def _knows(self, token):
        # By hand, from the JWT standard: the client's own library must not be its judge.
        with contextlib.suppress(ValueError):
            signed, _, signature = token.rpartition(".")
            header, payload = (json.loads(unb64(part)) for part in signed.split("."))
            good = hmac.new(SECRET_KEY.encode(), signed.encode(), hashlib.sha256).digest()
            return (
                unb64(signature) == good
                and header["sign_type"] == "SIGN"
                and payload["api_key"] == API_KEY
                and payload["exp"] > time.time() * 1000
            )
        return False

    async def _blocked(self, request, body):
        blocked = whole(body, "") | {"choices": [], "status": 6601, "msg": "敏感词"}
        if body["mode"] != "stream":
            return web.json_response(blocked)
        response = await self._begun(request)
        await response.write(event(blocked))
        return response

    async def _begun(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        return response

    async def _stream(self, request, body):
        response = await self._begun(request)
        await response.write(b": a comment, as proxies like to have\n\n")
        try:
            pieces = list(f"你问：{body['query']}")
            for index, text in enumerate(pieces):
                if index and self.paced is not None:
                    await self.paced.acquire()
                await response.write(event(piece(body, index, text)))
            last = piece(body, len(pieces), "", "stop")
            last["usage"] = {
                "prompt_tokens": 7,
                "completion_tokens": 9,
                "total_tokens": 16,
                "cost": 0.5,
            }
            await response.write(event(last))
        except (asyncio.CancelledError, ConnectionError):
            self.hung_up.set()
            raise
        return response


def unb64(part):
    """Base64url without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def card(name, channel):
    """A model of the list, as the product text shows one."""
    return {
        "id": name,
        "owned_by": "ChatGLM",
        "max_input_token": 5000,
        "max_output_token": 2000,
        "price": 0.1,
        "in_price": 0.05,
        "out_price": 0.1,
        "unit": "CNY",
        "mode": ["invoke", "stream"],
        "channel": channel,
        "created": NOW,
    }


def failure(status, msg):
    """A refusal by HTTP status."""
    return web.json_response({"status": status, "msg": msg}, status=status)


def whole(body, content):
    """A whole answer, as the product text shows one."""
    message = {"role": "assistant", "content": content}
    return {
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "created": NOW,
        "model": body["model"],
        "msg": "执行成功",
        "request_id": body["request_id"],
        "status": 200,
        "knowledge": [],
        "search": [],
        "agg": [],
        "usage": {"completion_tokens": 9, "prompt_tokens": 7, "total_tokens": 16, "cost": 0.5},
    }


def piece(body, index, content, finish_reason=None):
    """A streamed event."""
    answer = whole(body, content)
    answer["choices"][0] |= {"index": index, "finish_reason": finish_reason}
    answer["usage"] = {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0, "cost": 0}
    return answer


def event(answer):
    """An event's bytes."""
    return b"data: " + json.dumps(answer, ensure_ascii=False).encode() + b"\n\n"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Loopback is reached directly, and no address comes from outside."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "FENGCHAO_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def service():
    """A running service."""
    played = Service()
    ready = threading.Event()
    thread = threading.Thread(target=played.run, args=(ready,))
    thread.start()
    assert ready.wait(10)
    yield played
    played.stop()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def keys(service):
    """What a client of the service is made with."""
    return {"api_key": API_KEY, "secret_key": SECRET_KEY, "base_url": service.url}
