"""
Reading from a connection without asking it, piece by piece, to go on.

From 3.14 on aiohttp tells its parser and the transport to go on after every piece of a body that somebody reads, whether
or not they were paused. That was a tenth of a request's time, and of an event's in a stream. Here they are told where they
were paused: only then is there anything that waits.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import TCPConnector
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from typing_extensions import override


class ResumesPaused(BaseProtocol):
    """For a protocol of aiohttp, before its own base. Where aiohttp no longer says whether it paused, all is as it has it."""

    __slots__ = ()

    @override
    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        if getattr(self, "_reading_paused", True):
            super().resume_reading(*args, **kwargs)


class _Answers(ResumesPaused, ResponseHandler):
    __slots__ = ()


class Connector(TCPConnector):
    """A connector whose connections read so. Arguments as `aiohttp.TCPConnector` has them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_Answers, loop=self._loop)  # type: ignore[assignment]  # a partial does not vary
