"""What the account keeps: models, files, knowledge bases."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fengchao_sensetime.sandbox.checks import CARDS, illegal
from fengchao_sensetime.sandbox.codes import RefusedError
from fengchao_sensetime.sandbox.reading import body_of
from fengchao_sensetime.sandbox.shelves import Shelves
from fengchao_sensetime.wire import is_token_plan


class Keeping:
    """
    The handlers.

    Args:
        shelves: files and knowledge bases.
    """

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    async def models(self, _: web.Request, __: str) -> web.StreamResponse:
        """All models."""
        return web.json_response({"data": [_model(name) for name in CARDS if _is_here(name)]})

    async def model(self, request: web.Request, _: str) -> web.StreamResponse:
        """One model."""
        name = request.match_info["id"]
        if not _is_here(name):
            raise RefusedError(5, "model is not found")
        return web.json_response({"model": _model(name)})

    async def delete_model(self, request: web.Request, _: str) -> web.StreamResponse:
        """Only models of one's own can be deleted, and here are none."""
        if not _is_here(request.match_info["id"]):
            raise RefusedError(5, "model is not found")
        raise RefusedError(7, "the model is not yours")

    async def upload(self, request: web.Request, _: str) -> web.StreamResponse:
        """A form with a file."""
        if request.content_type != "multipart/form-data":
            raise illegal("the body", "is not a form")
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise illegal("file", "is missing")
        stored = self._shelves.add_file(
            form.get("scheme"), form.get("description"), file.file.read()
        )
        return web.json_response({"id": stored.id})

    async def files(self, _: web.Request, __: str) -> web.StreamResponse:
        """All files."""
        return web.json_response({"files": [file.body() for file in self._shelves.files()]})

    async def file(self, request: web.Request, _: str) -> web.StreamResponse:
        """One file."""
        return web.json_response({"file": self._shelves.file(request.match_info["id"]).body()})

    async def delete_file(self, request: web.Request, _: str) -> web.StreamResponse:
        """Forget a file."""
        self._shelves.delete_file(request.match_info["id"])
        return web.json_response({})

    async def content(self, request: web.Request, _: str) -> web.StreamResponse:
        """The storage has it: the client is sent on."""
        file = self._shelves.file(request.match_info["id"])
        url = request.url.with_path(f"/_sandbox/storage/{file.id}").with_query(signature="open")
        raise web.HTTPFound(str(url))

    async def stored(self, request: web.Request) -> web.StreamResponse:
        """What is in a file."""
        if request.query.get("signature") != "open":
            return web.Response(status=403)
        try:
            file = self._shelves.file(request.match_info["id"])
        except RefusedError:
            return web.Response(status=404)
        return web.Response(body=file.content, content_type="application/octet-stream")

    async def create_knowledge(self, request: web.Request, _: str) -> web.StreamResponse:
        """A new knowledge base."""
        body = body_of(await request.read())
        base = self._shelves.put_knowledge(body.get("description"), body.get("files"))
        return web.json_response({"knowledge_base": base.body()})

    async def knowledge_bases(self, _: web.Request, __: str) -> web.StreamResponse:
        """All knowledge bases."""
        bases = [base.body() for base in self._shelves.knowledge_bases()]
        return web.json_response({"knowledge_bases": bases})

    async def knowledge(self, request: web.Request, _: str) -> web.StreamResponse:
        """One knowledge base."""
        base = self._shelves.knowledge(request.match_info["id"])
        return web.json_response({"knowledge_base": base.body()})

    async def update_knowledge(self, request: web.Request, _: str) -> web.StreamResponse:
        """A knowledge base as it shall be."""
        body = body_of(await request.read())
        base = self._shelves.put_knowledge(
            body.get("description"), body.get("files"), request.match_info["id"]
        )
        return web.json_response({"knowledge_base": base.body()})

    async def delete_knowledge(self, request: web.Request, _: str) -> web.StreamResponse:
        """Forget a knowledge base."""
        self._shelves.delete_knowledge(request.match_info["id"])
        return web.json_response({})


def _is_here(name: str) -> bool:
    return name in CARDS and not is_token_plan(name)


def _model(name: str) -> Mapping[str, object]:
    card = CARDS[name]
    return {"id": name, "object": "model", "owned_by": card.owned_by}
