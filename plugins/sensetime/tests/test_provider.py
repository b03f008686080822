"""The provider against a scripted vendor: where it asks what, and what the account keeps."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fengchao_core.errors import ProviderAuthFailed, ProviderProtocolError, RequestRejected
from fengchao_core.fold import Fold
from fengchao_core.provider import Embeds, KeepsFiles, ListsModels, Provider
from fengchao_core.testing import (
    Answer,
    ScriptedVendor,
    deltas_of,
    json_answer,
    open_provider,
    sse_answer,
)
from fengchao_core.types import ChatParams, ChatRequest, EmbeddingRequest, Message
from fengchao_sensetime import SPEC
from fengchao_sensetime.provider import SenseTimeProvider

_FILE = json.loads((Path(__file__).parent / "vectors" / "sensetime.json").read_text("utf-8"))
REQUESTS = {vector["name"]: vector["expected"] for vector in _FILE["requests"]}
AK, SK, KEY = "2AbCdEfGhIjKlMnOpQrStUvWxYz", "ThisIsTheSecretAccessKey0000", "sk-12345678"
SAID = {"data": {"choices": [{"index": 0, "message": "好", "finish_reason": "stop"}]}}
CHAT = {"choices": [{"index": 0, "message": {"content": "好"}, "finish_reason": "stop"}]}


@asynccontextmanager
async def opened(vendor: ScriptedVendor, **more: str) -> AsyncIterator[SenseTimeProvider]:
    """The provider, its hosts told apart by their paths."""
    settings = {
        "base_url": f"{vendor.base_url}/v1/llm",
        "file_base_url": f"{vendor.base_url}/file/v1",
        "compatible_base_url": f"{vendor.base_url}/compatible/v1",
        "token_base_url": f"{vendor.base_url}/token/v1",
        "ak": AK,
        "sk": SK,
        "api_key": KEY,
        **more,
    }
    async with open_provider(SPEC, settings) as provider:
        assert isinstance(provider, SenseTimeProvider)
        yield provider


def asked(model: str, *, stream: bool = False, **params: Any) -> ChatRequest:
    """A request of one message."""
    return ChatRequest(
        model=model,
        messages=(Message("user", "你好"),),
        stream=stream,
        params=ChatParams(**params),
    )


def path_of(name: str) -> str:
    """The recorded path of a request; what goes to the host of the files is marked."""
    url = urlsplit(REQUESTS[name]["url"])
    return ("/file" if url.netloc.startswith("file.") else "") + url.path


@pytest.mark.parametrize(
    ("model", "settings", "path", "body"),
    [
        ("SenseChat-5", {}, "/v1/llm/chat-completions", SAID),
        ("SenseChat-5", {"dialect": "compatible"}, "/compatible/v1/chat/completions", CHAT),
        ("SenseChat-Character", {}, "/v1/llm/character/chat-completions", SAID),
        (
            "SenseChat-Character-Pro",
            {"dialect": "compatible"},
            "/v1/llm/character/chat-completions",
            SAID,
        ),
        ("sensenova-6.7-flash-lite", {}, "/token/v1/chat/completions", CHAT),
    ],
)
async def test_each_model_is_asked_at_its_address(
    model: str, settings: dict[str, str], path: str, body: object
) -> None:
    """Native chats, the compatible mode, characters and the token plan each have their address and credential."""
    async with ScriptedVendor() as vendor:
        vendor.answers(json_answer(body))
        async with opened(vendor, **settings) as provider:
            assert "好" == (await deltas_of(provider, asked(model)))[0].text
        (request,) = vendor.requests
        assert path == request.path
        is_plain = request.headers["Authorization"] == f"Bearer {KEY}"
        assert path.startswith("/token") == is_plain


async def test_a_streamed_request_answered_in_one_piece_is_read() -> None:
    """A vendor that does not stream what was asked as a stream is understood, also where it answers an error."""
    async with ScriptedVendor() as vendor, opened(vendor) as provider:
        vendor.answers(json_answer(SAID), json_answer({"error": {"code": 3, "message": "m"}}))
        assert "好" == (await deltas_of(provider, asked("SenseChat", stream=True)))[0].text
        with pytest.raises(RequestRejected):
            await deltas_of(provider, asked("SenseChat", stream=True))


async def test_sessions_and_completions_are_asked_at_their_addresses() -> None:
    """A session is made, a turn is said in it, and a text is gone on with, where the SDK does."""
    async with ScriptedVendor() as vendor, opened(vendor) as provider:
        vendor.answers(json_answer({"session_id": "55b1f0815c76000"}))
        session = await provider.create_session([Message("system", "你是翻译")])
        vendor.answers(
            sse_answer(
                {"data": {"delta": "一"}},
                {"data": {"delta": "", "finish_reason": "stop"}},
                b"data:[DONE]\n\n",
            )
        )
        fold = Fold()
        async for batch in provider.continue_session(
            session, "地球直径", model="nova-ptc-xl-v1", params=ChatParams(max_tokens=5)
        ):
            fold.feed(batch)
        vendor.answers(json_answer({"data": {"choices": [{"text": "真好"}]}}))
        completed = Fold()
        async for batch in provider.complete(
            "今天天气", model="nova-ptc-s-v1-codecompletion", stream=False
        ):
            completed.feed(batch)
        made, turn, completion = vendor.requests
    assert "55b1f0815c76000" == session
    assert ("一", "真好") == (fold.choices()[0].message.text, completed.choices()[0].message.text)
    assert REQUESTS["session_create_system"]["body"] == made.json()
    assert {
        "session_id": session,
        "action": "next",
        "content": "地球直径",
        "model": "nova-ptc-xl-v1",
        "stream": True,
        "max_new_tokens": 5,
    } == turn.json()
    assert [
        path_of("session_create_system"),
        path_of("conversation"),
        path_of("completion"),
    ] == [made.path, turn.path, completion.path]


async def test_models_are_listed() -> None:
    """The models of the account are listed and looked for at the recorded addresses."""
    async with ScriptedVendor() as vendor, opened(vendor) as provider:
        vendor.answers(
            json_answer({"data": [{"id": "SenseChat-5"}]}),
            json_answer({"model": {"id": "SenseChat-5"}}),
            json_answer({"error": {"code": 5, "message": "m"}}, status=404),
            json_answer({"error": {"code": 3, "message": "m"}}, status=400),
        )
        assert isinstance(provider, ListsModels)
        assert ("SenseChat-5",) == await provider.list_models()
        assert await provider.has_model("SenseChat-5")
        assert not await provider.has_model("SenseChat-0")
        with pytest.raises(RequestRejected):
            await provider.has_model("a/b c")
        assert [
            ("GET", path_of("model_list")),
            ("GET", path_of("model_retrieve")),
        ] == [(request.method, request.path) for request in vendor.requests[:2]]
        assert vendor.requests[3].target.endswith("/models/a%2Fb+c")


async def test_files_go_to_their_host() -> None:
    """Files are uploaded, listed, looked at and deleted at the recorded addresses, in the recorded form."""
    async with ScriptedVendor() as vendor, opened(vendor) as provider:
        vendor.answers(
            json_answer({"id": "7007c025"}),
            json_answer({"files": [{"id": "7007c025", "status": "PENDING"}]}),
            json_answer({"file": {"id": "7007c025", "status": "VALID"}}),
            json_answer(b""),
        )
        assert isinstance(provider, KeepsFiles)
        content = REQUESTS["file_upload"]["multipart"][2]["text"].encode()
        id_ = await provider.upload(
            "库.json", content, purpose="KNOWLEDGE_BASE_1", description="知识库文件"
        )
        assert "7007c025" == id_
        assert "PENDING" == (await provider.files())[0].status
        assert "VALID" == (await provider.file(id_)).status
        await provider.delete(id_)
        names = ["file_upload", "file_list", "file_retrieve", "file_delete"]
        assert [(REQUESTS[name]["method"], path_of(name)) for name in names] == [
            (request.method, request.path) for request in vendor.requests
        ]
        form = form_of(vendor.requests[0].headers["Content-Type"], vendor.requests[0].body)
    for part in REQUESTS["file_upload"]["multipart"]:
        told = form[part["name"]]
        assert part["text"] == told.get_payload(decode=True).decode()  # type: ignore[union-attr]  # a leaf
        assert part.get("filename") == told.get_filename()
    assert "库.json" == form["user_provided_filename"].get_payload(decode=True).decode()  # type: ignore[union-attr]  # likewise


def form_of(content_type: str, body: bytes) -> dict[str, EmailMessage]:
    """The parts of a form, by their names."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parsed: Any = BytesParser(policy=HTTP).parsebytes(head + body)
    return {
        part.get_param("name", header="content-disposition"): part for part in parsed.iter_parts()
    }


@pytest.mark.parametrize("status", [302, 307])
async def test_a_download_follows_to_the_storage_without_credentials(status: int) -> None:
    """The content of a file is fetched from the storage that the vendor names, and no credential goes there."""
    async with ScriptedVendor() as vendor, ScriptedVendor() as storage, opened(vendor) as provider:
        target = "/bucket/a%20file?Signature=a%2Bb&Expires=1"
        vendor.answers(Answer((b"",), status, {"Location": storage.base_url + target}))
        storage.answers(Answer((b"content",)))
        assert b"content" == await provider.file_content("7007c025")
        (request,) = storage.requests
        assert ("GET", target) == (request.method, request.target)
        assert "Authorization" not in request.headers
        assert path_of("file_download") == vendor.requests[0].path


async def test_a_download_may_come_at_once_or_nowhere() -> None:
    """A content that comes itself is taken; a redirect to nothing is the vendor's nonsense; a storage may refuse."""
    async with ScriptedVendor() as vendor, ScriptedVendor() as storage, opened(vendor) as provider:
        vendor.answers(
            Answer((b"content",)),
            Answer((b"",), 302, {"Location": "gopher://nowhere"}),
            Answer((b"",), 302),
            Answer((b"",), 302, {"Location": f"{storage.base_url}/?Signature=secret-signature"}),
        )
        storage.answers(Answer((b"<Error/>",), 403))
        assert b"content" == await provider.file_content("f")
        for _ in range(2):
            with pytest.raises(ProviderProtocolError):
                await provider.file_content("f")
        with pytest.raises(ProviderAuthFailed) as caught:
            await provider.file_content("f")
        assert "secret-signature" not in repr(caught.value.__dict__) + str(caught.value)


async def test_knowledge_bases_are_kept() -> None:
    """Knowledge bases are made, listed, looked at, changed and deleted at the recorded addresses."""
    base = {"id": "s1", "description": "测试库", "files": ["file-1"]}
    async with ScriptedVendor() as vendor, opened(vendor) as provider:
        vendor.answers(
            json_answer({"knowledge_base": base}),
            json_answer({"knowledge_bases": [base]}),
            json_answer({"knowledge_base": base}),
            json_answer({}),
            json_answer({}),
        )
        made = await provider.create_knowledge_base("测试库", ["file-1"])
        assert ("s1", "测试库", ("file-1",)) == (made.id, made.description, made.files)
        assert (made,) == await provider.knowledge_bases()
        assert made == await provider.knowledge_base("s1")
        await provider.update_knowledge_base("s1", "新", [])
        await provider.delete_knowledge_base("s1")
        path = path_of("knowledge_base_create")
        assert path == path_of("knowledge_base_list")
        assert [
            ("POST", path),
            ("GET", path),
            ("GET", f"{path}/s1"),
            ("PUT", f"{path}/s1"),
            ("DELETE", f"{path}/s1"),
        ] == [(request.method, request.path) for request in vendor.requests]
        assert REQUESTS["knowledge_base_create"]["body"] == vendor.requests[0].json()
        assert {"description": "新", "files": []} == vendor.requests[3].json()


async def test_many_texts_take_several_calls() -> None:
    """More texts than one call takes are asked for in several, in order, and their usage is added up."""
    async with ScriptedVendor() as vendor, opened(vendor) as provider:

        def vectors(received: Any) -> Answer:
            texts = received.json()["input"]
            rows = [{"index": at, "embedding": [float(text)]} for at, text in enumerate(texts)]
            usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
            return json_answer({"embeddings": rows[::-1], "usage": usage})

        vendor.answers(vectors)
        assert isinstance(provider, Embeds)
        inputs = tuple(str(number) for number in range(70))
        result = await provider.embed(
            EmbeddingRequest(model="nova-embedding-stable", inputs=inputs)
        )
        assert [[float(text)] for text in inputs] == [list(vector) for vector in result.vectors]
        assert 70 == result.usage.prompt_tokens
        assert [32, 32, 6] == [len(request.json()["input"]) for request in vendor.requests]
        assert {path_of("embeddings")} == {request.path for request in vendor.requests}


async def test_nothing_secret_is_shown_by_the_provider() -> None:
    """The provider's repr names it and nothing else."""
    async with ScriptedVendor() as vendor, opened(vendor) as provider:
        assert "<SenseTimeProvider sensetime>" == repr(provider)
        assert isinstance(provider, Provider)
