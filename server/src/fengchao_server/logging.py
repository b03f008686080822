"""
What the server's process logs, and how: structlog for all, the standard library's loggers led into it.

JSON lines where a program reads, coloured text where a person does. Lines of everyday gather for a moment and leave in one
write; warnings and worse leave at once.
What looks like a secret is masked: nothing of ours logs one, this is the net below.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from typing_extensions import override

from fengchao_core.settings import LogSettings
from fengchao_server.dispatch import REQUEST_ID
from fengchao_server.lines import (
    Kind,
    caller_id_of,
    facts_of_kind,
    is_quiet,
    kind_of,
    say,
    usage_of,
)
from fengchao_server.masking import MASK, SECRET_VALUES

if TYPE_CHECKING:
    from fengchao_server.call import Call

_SECRET_NAMES: Final = re.compile(
    r"secret|password|authorization|api[_-]?key|^token$|_token$|credential|cookie|signature",
    re.IGNORECASE,
)
_FLUSH_S: Final = 0.1
_MOST_WAITING: Final = 64

Event = dict[str, Any]


def configure_logging(settings: LogSettings, *, stream: int = 2) -> LineWriter:
    """
    Set the logging of this process up. The server's process calls this once; libraries never do.

    Args:
        settings: which lines, and in which form.
        stream: the file descriptor to write to.

    Returns:
        the writer; call its `flush()` before the process ends.
    """
    is_text = settings.format == "console" or (settings.format == "auto" and os.isatty(stream))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    writer = LineWriter(stream, _console(stream) if is_text else _json, level=level)
    structlog.configure(
        processors=[_note],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(writer),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_IntoStructlog()]
    root.setLevel(logging.WARNING)
    return writer


def redact(event: Event) -> Event:
    """Mask what looks like a secret, by its name or by itself."""
    for name in _secret_names(tuple(event)):
        event[name] = MASK
    for name, value in event.items():
        if type(value) is str:
            event[name] = SECRET_VALUES.sub(MASK, value)
        elif type(value) is dict or type(value) is list or type(value) is tuple:
            event[name] = SECRET_VALUES.sub(MASK, str(value))
    return event


class LineWriter:
    """
    Words events and writes them to a file descriptor, several at a time.

    An event waits a tenth of a second at most, and only while an event loop runs that can come back to it.

    Args:
        stream: the file descriptor.
        word: makes an event a line, without its secrets.
        level: of the lines of requests; other events were sorted out before.
    """

    def __init__(
        self, stream: int, word: Callable[[Event], bytes], *, level: int = logging.INFO
    ) -> None:
        self._stream = stream
        self._word = word
        self._is_json = word is _json
        self._level = level
        self._events: list[Event | bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def request(self, call: Call, status: int, error: BaseException | None, begun: float) -> None:
        """
        Write the line of a request that ends now before long: what `lines.say` does, for a fifth of its price.

        Args:
            begun: when the request entered, on `time.perf_counter`.
        """
        if not self._is_json:
            say(call, status, error, begun)
            return
        is_minor = is_quiet(call)
        if self._level <= (logging.DEBUG if is_minor else logging.INFO):
            level = b"debug" if is_minor else b"info"
            self.soon(_request(call, status, error, begun, level))

    def soon(self, event: Event | bytes) -> None:
        """Write an event, or a line, before long."""
        self._events.append(event)
        if self._timer is None:
            try:
                self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)
            except RuntimeError:  # nobody would come back
                self.flush()
        elif len(self._events) >= _MOST_WAITING:
            self.flush()

    def now(self, event: Event) -> None:
        """Write an event, and those before it, at once."""
        self._events.append(event)
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._events:
            return
        events, self._events = self._events, []
        data = b"".join([each if isinstance(each, bytes) else self._word(each) for each in events])
        while data:
            try:
                data = data[os.write(self._stream, data) :]
            except BlockingIOError:
                continue
            except OSError:  # nobody reads the log any more: serving goes on
                return


class _Lines:
    """The end of structlog's chain."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.msg = self.log = writer.soon
        self.warning = self.warn = self.error = self.critical = writer.now
        self.exception = self.fatal = self.failure = writer.now


class _IntoStructlog(logging.Handler):
    """
    Leads the standard library's log records into structlog.

    aiohttp puts pieces of what a client sent into the exceptions of malformed requests: only their class is kept.
    """

    @override
    def emit(self, record: logging.LogRecord) -> None:
        facts: Event = {"logger": record.name}
        if record.name.startswith("aiohttp"):
            text = str(record.msg)[:200]
            kind = record.exc_info[0] if record.exc_info else None
            facts["error"] = kind.__name__ if kind else ""
        else:
            text = record.getMessage()[:2000]
            if record.exc_info:
                facts["exc_info"] = record.exc_info
        log = structlog.get_logger()
        say = log.error if record.levelno >= logging.ERROR else log.warning
        say("library", message=text, **facts)


def _note(_logger: object, method: str, event: Any) -> tuple[tuple[Event], Event]:
    """When, how grave, and during which request; an exception is put into words while it is here."""
    event["level"] = method
    event["at"] = time.time()
    if request_id := REQUEST_ID.get():
        event["request_id"] = request_id
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(None, method, event)
    return (event,), {}


@lru_cache(maxsize=512)
def _secret_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if _SECRET_NAMES.search(name))


def _may_hide(line: bytes) -> bool:
    return b"=" in line or b"eyJ" in line or b"sk-" in line or b"bearer" in line.lower()


def _json(event: Event) -> bytes:
    at = event["at"]
    event["at"] = f"{_second(int(at)).decode()}.{int(at * 1000) % 1000:03d}Z"
    line = orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE)
    # Nearly no line holds anything that is worth a closer look, which would cost more than all the rest.
    if _secret_names(tuple(event)) or _may_hide(line):
        line = orjson.dumps(redact(event), default=str, option=orjson.OPT_APPEND_NEWLINE)
    return line


def _request(
    call: Call, status: int, error: BaseException | None, begun: float, level: bytes
) -> bytes:
    """The line of a request that ends now, as `_json` words it; what its kind shares is worded once for all."""
    before, after = _shared(kind_of(call, status, error))
    tokens = caller_id = b""
    if (usage := usage_of(call)) is not None:
        tokens = b',"prompt_tokens":%d,"completion_tokens":%d' % (
            usage.prompt_tokens,
            usage.completion_tokens,
        )
    if given := caller_id_of(call):
        caller_id = b',"caller_id":"%b"' % SECRET_VALUES.sub(MASK, given).encode()
    at = time.time()
    return b'%b%.1f%b%b%b,"level":"%b","at":"%b.%03dZ","request_id":"%b"}\n' % (
        before,
        (perf_counter() - begun) * 1000,
        after,
        tokens,
        caller_id,
        level,
        _second(int(at)),
        int(at * 1000) % 1000,
        call.id.encode(),
    )


@lru_cache(maxsize=512)
def _shared(kind: Kind) -> tuple[bytes, bytes]:
    """What all lines of a kind hold, without its secrets: before the time that each took, and after it."""
    before, after = map(redact, facts_of_kind(kind))
    head = orjson.dumps({"event": "request", **before}, default=str)[:-1] + b',"ms":'
    return head, b"," + orjson.dumps(after, default=str)[1:-1] if after else b""


@lru_cache(maxsize=8)
def _second(epoch_s: int) -> bytes:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _console(stream: int) -> Callable[[Event], bytes]:
    render = structlog.dev.ConsoleRenderer(
        colors=os.isatty(stream) and "NO_COLOR" not in os.environ and sys.platform != "win32",
        exception_formatter=structlog.dev.plain_traceback,
        timestamp_key="at",
    )

    def word(event: Event) -> bytes:
        local = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        return f"{render(None, '', redact({**event, 'at': local}))}\n".encode()

    return word
