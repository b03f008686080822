"""The callers' connections, read without asking each to go on piece by piece."""

from __future__ import annotations

from aiohttp import web
from typing_extensions import override

from fengchao_core.kit.http.reading import ResumesPaused


class _Requests(ResumesPaused, web.RequestHandler):
    __slots__ = ()


class Server(web.Server):
    """As `aiohttp.web.Server`, whose connections read so."""

    @override
    def __call__(self) -> web.RequestHandler:
        return _Requests(self, loop=self._loop, **self._kwargs)
