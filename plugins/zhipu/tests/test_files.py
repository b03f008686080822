"""Files: uploaded, listed, given back, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any

import orjson
import pytest

from fengchao_core.errors import (
    InvalidParameter,
    ProviderError,
    ProviderProtocolError,
    RateLimited,
    RequestRejected,
)
from fengchao_core.provider import KeepsFiles
from fengchao_core.testing import (
    Received,
    ScriptedVendor,
    json_answer,
    open_provider,
    open_sandboxed,
    run_app,
)
from fengchao_zhipu import SANDBOX, SPEC, files
from fengchao_zhipu.files import StoredFile
from fengchao_zhipu.provider import ZhipuProvider
from fengchao_zhipu.sandbox import API_KEY, build, settings_for
from fengchao_zhipu.wire import classify

Recorded = dict[str, dict[str, Any]]
JOBS = b'{"custom_id":"r1"}\n'


@asynccontextmanager
async def scripted(vendor: ScriptedVendor, *replies: object) -> AsyncIterator[ZhipuProvider]:
    """The provider against a vendor that gives these replies."""
    vendor.answers(*(json_answer(reply) for reply in replies))
    settings = {"base_url": f"{vendor.base_url}/api/paas/v4", "api_key": API_KEY}
    async with open_provider(SPEC, settings) as provider:
        assert isinstance(provider, ZhipuProvider)
        yield provider


def form_of(received: Received) -> dict[str, tuple[str | None, bytes]]:
    """The fields of a form: file name and value."""
    head = f"Content-Type: {received.headers['Content-Type']}\r\n\r\n".encode()
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename(),
            part.get_payload(decode=True),  # type: ignore[misc]  # bytes, since it is no container
        )
        for part in message_from_bytes(head + received.body).get_payload()  # type: ignore[union-attr]  # a container
    }


async def test_the_requests_are_the_sdks(recorded: Recorded) -> None:
    """Uploads and lists go out as the vendor's SDK sends them."""
    upload, listing = (recorded[name]["expected"] for name in ("file_upload", "file_list"))
    async with ScriptedVendor() as vendor:
        async with scripted(vendor, {"id": "file-1"}, {"data": []}) as provider:
            assert "file-1" == await provider.upload("jobs.jsonl", JOBS, purpose="batch")
            assert () == await provider.list_files(purpose="batch", limit=10)
        sent, listed = vendor.requests
    assert (upload["method"], listing["method"]) == (sent.method, listed.method)
    assert upload["url"].endswith(sent.path)
    assert listing["url"].endswith(listed.path)
    assert dict(listing["query"]) == dict(listed.query)
    expected = {
        field["name"]: (field.get("filename"), field["text"].encode())
        for field in upload["multipart"]
    }
    assert expected == form_of(sent)


async def test_documents_name_their_knowledge_base() -> None:
    """A document travels with the id of its knowledge base, and its id is found in the other shape of the reply."""
    reply = {"successInfos": [{"documentId": "d-1", "filename": "公司制度.txt"}]}
    async with ScriptedVendor() as vendor:
        async with scripted(vendor, reply) as provider:
            assert "d-1" == await provider.upload(
                "公司制度.txt", b"x", purpose="retrieval", knowledge_id="1794"
            )
        (sent,) = vendor.requests
    assert (None, b"1794") == form_of(sent)["knowledge_id"]


@pytest.mark.parametrize(("purpose", "knowledge_id"), [("retrieval", None), ("batch", "1794")])
def test_documents_and_knowledge_bases_belong_together(
    purpose: str, knowledge_id: str | None
) -> None:
    """A document needs a knowledge base, and no other file takes one."""
    with pytest.raises(InvalidParameter) as caught:
        files.encode_upload("a", b"x", purpose=purpose, knowledge_id=knowledge_id)
    assert "knowledge_id" == caught.value.param


def test_replies_to_uploads_are_read() -> None:
    """A document that was not taken is refused in the vendor's words; errors and nonsense are told apart."""
    refused = {"successInfos": [], "failedInfos": [{"failReason": "文件格式不支持"}]}
    with pytest.raises(RequestRejected) as caught:
        files.decode_upload(orjson.dumps(refused), classify)
    assert "文件格式不支持" == caught.value.vendor_message
    limited = orjson.dumps({"error": {"code": "1302", "message": "慢一点"}})
    with pytest.raises(RateLimited):
        files.decode_upload(limited, classify)
    for nonsense in (b"", b"[]", b"{}", b'{"id": 1}'):
        with pytest.raises(ProviderProtocolError):
            files.decode_upload(nonsense, classify)


def test_lists_are_read_with_care() -> None:
    """Only the id is insisted on; a time that no calendar has is left out."""
    body = {"data": [{"id": "a"}, {"id": "b", "created_at": 10**18, "bytes": 3}]}
    assert (StoredFile("a"), StoredFile("b", size_bytes=3)) == files.decode_files(
        orjson.dumps(body), classify
    )
    with pytest.raises(ProviderProtocolError):
        files.decode_files(b'{"data": [{}]}', classify)


def test_a_file_that_stays_is_told() -> None:
    """A reply that says that the file was not deleted is no success."""
    files.check_deleted(b"{}", classify)
    with pytest.raises(RequestRejected):
        files.check_deleted(b'{"id": "a", "deleted": false}', classify)


def test_ids_stay_within_their_path() -> None:
    """Whatever an id holds, it names a file and no other path."""
    assert "/files/..%2Fchat%3Fa%23b" == files.path_of("../chat?a#b")


async def test_files_are_kept() -> None:
    """Files are listed by purpose, page and order, given back as they were, and gone once deleted."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, KeepsFiles)
        assert isinstance(provider, ZhipuProvider)
        first = await provider.upload("jobs.jsonl", JOBS, purpose="batch")
        second = await provider.upload("训练.jsonl", b"{}", purpose="fine-tune")
        third = await provider.upload("a.txt", b"a", purpose="retrieval", knowledge_id="1794")
        listed = await provider.list_files()
        assert [third, second, first] == [file.id for file in listed]
        assert ("训练.jsonl", "fine-tune", 2, "processed") == (
            listed[1].filename,
            listed[1].purpose,
            listed[1].size_bytes,
            listed[1].status,
        )
        created = listed[0].created_at
        assert created is not None
        assert created <= datetime.now(UTC)
        page = await provider.list_files(order="asc", after=first, limit=1)
        assert [second] == [file.id for file in page]
        assert [first] == [file.id for file in await provider.list_files(purpose="batch")]
        assert JOBS == await provider.read_file(first)
        await provider.delete(first)
        with pytest.raises(RequestRejected) as caught:
            await provider.read_file(first)
        assert "1214" == caught.value.vendor_code


@pytest.mark.parametrize(
    ("purpose", "content", "code"),
    [("fun", b"x", "1214"), ("batch", b"", "1214"), ("batch", b"x" * 11, "435")],
)
async def test_uploads_are_verified(purpose: str, content: bytes, code: str) -> None:
    """An unknown purpose, an empty file and one that is too long are refused as the vendor does."""
    async with (
        run_app(build(max_file_bytes=10)) as base_url,
        open_provider(SPEC, settings_for(base_url)) as provider,
    ):
        assert isinstance(provider, ZhipuProvider)
        with pytest.raises(ProviderError) as caught:
            await provider.upload("a", content, purpose=purpose)
    assert (RequestRejected, code) == (type(caught.value), caught.value.vendor_code)


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"order": "odd"}, {"after": "x"}, {"purpose": "fun"}]
)
async def test_lists_are_verified(query: dict[str, Any]) -> None:
    """Values that no list takes are refused."""
    async with open_sandboxed(SPEC, SANDBOX) as provider:
        assert isinstance(provider, ZhipuProvider)
        with pytest.raises(RequestRejected) as caught:
            await provider.list_files(**query)
    assert "1214" == caught.value.vendor_code


async def test_a_stranger_sees_no_files() -> None:
    """Files are behind the same lock as chats."""
    async with run_app(build()) as base_url:
        settings = {**settings_for(base_url), "api_key": "somebody.else"}
        async with open_provider(SPEC, settings) as provider:
            assert isinstance(provider, ZhipuProvider)
            with pytest.raises(ProviderError) as caught:
                await provider.list_files()
    assert (401, "1000") == (caught.value.status, caught.value.vendor_code)
