"""The callers' connections, read without asking each to go on piece by piece."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from typing_extensions import override

from fengchao_core.kit.http.reading import ResumesPaused


class _Requests(ResumesPaused, web.RequestHandler):
    __slots__ = ()

    @override
    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        # The parser stops by itself where a caller sends many requests at once; those that it has read are in line here.
        if getattr(self, "_messages", True):
            web.RequestHandler.resume_reading(self, *args, **kwargs)
        else:
            super().resume_reading(*args, **kwargs)


class Server(web.Server):
    """As `aiohttp.web.Server`, whose connections read so."""

    @override
    def __call__(self) -> web.RequestHandler:
        return _Requests(self, loop=self._loop, **self._kwargs)
