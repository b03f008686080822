"""
How `/admin` words its errors: one JSON object, for people first.

    {"status": 403, "code": "forbidden", "msg": "…", "detail": "…", "param": null}

`msg` is for whoever sits before the page, in Chinese; `detail` says it in English, with what was expected; `code` is for
programs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from typing_extensions import override

from fengchao.wire import BodyError
from fengchao_core import errors as e
from fengchao_server import refusals as r
from fengchao_server.answers import JSON_UTF8, Answer
from fengchao_server.described import Described
from fengchao_server.shapes import Shape

if TYPE_CHECKING:
    from fengchao_server.call import Call

NOT_KEPT: Final = {"Cache-Control": "no-store"}
"""Of every answer under `/admin` that is no static file."""


class Refusal(Described):
    """An error of `/admin`."""

    status: int
    code: str
    msg: str
    detail: str
    param: str | None = None


class Wording(NamedTuple):
    """How a class of errors is answered."""

    status: int
    code: str
    msg: str


TABLE: Final[dict[type[BaseException], Wording]] = {
    e.CallError: Wording(400, "bad_request", "请求有误"),
    e.InvalidParameter: Wording(400, "invalid_parameter", "参数有误"),
    BodyError: Wording(400, "invalid_parameter", "参数有误"),
    e.AuthenticationFailed: Wording(401, "sign_in", "请先登录"),
    e.PermissionDenied: Wording(403, "forbidden", "没有权限"),
    e.LimitExceeded: Wording(429, "too_many_requests", "请求过于频繁"),
    e.StoreUnavailable: Wording(503, "store_unavailable", "数据库暂时不可用，请稍后再试"),
    e.SetupError: Wording(503, "not_set_up", "网关的配置有问题"),
    r.Forbidden: Wording(403, "forbidden", "没有权限"),
    r.Conflict: Wording(409, "conflict", "与现状冲突，请刷新后再试"),
    r.UnknownKey: Wording(404, "no_such_key", "没有这个密钥"),
    r.NoSuchThing: Wording(404, "no_such_thing", "没有这一项"),
    r.TooManyAttempts: Wording(429, "too_many_attempts", "尝试过于频繁，请稍后再试"),
    r.NotFound: Wording(404, "not_found", "接口不存在，可用接口见 /docs"),
    r.MethodNotAllowed: Wording(405, "method_not_allowed", "请求方式不支持"),
    r.BodyTooLarge: Wording(413, "request_too_large", "请求体过大"),
    r.BodyTimeout: Wording(408, "request_timeout", "请求体未在时限内到达"),
    r.MalformedBody: Wording(400, "invalid_json", "请求体应为 JSON 对象"),
    r.Incident: Wording(500, "internal_error", "服务内部错误，请查日志中的事件编号"),
    e.FengChaoError: Wording(500, "internal_error", "服务内部错误"),
}
"""The nearest class of an error's own line of classes is the one that holds."""


class AdminShape(Shape):
    """Words the errors of `/admin`."""

    failures = frozenset(wording.status for wording in TABLE.values())
    failure = Refusal

    @override
    def refuse(self, error: Exception, call: Call) -> Answer:
        """One JSON object. An error with a `msg` of its own is worded by it."""
        wording = wording_of(error)
        headers = dict(NOT_KEPT)
        after = getattr(error, "retry_after", None)
        if after is not None:
            headers["Retry-After"] = str(math.ceil(after))
        if isinstance(error, r.MethodNotAllowed):
            headers["Allow"] = ", ".join(error.allowed)
        if wording.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Answer(
            _body(error, wording), status=wording.status, content_type=JSON_UTF8, headers=headers
        )

    @override
    def last_event(self, error: Exception, call: Call) -> bytes:
        """The same object, as an event."""
        return b"data: %b\n\n" % _body(error, wording_of(error))


def wording_of(error: Exception) -> Wording:
    """The line of the table that holds for an error."""
    return next(TABLE[cls] for cls in type(error).__mro__ if cls in TABLE)


def _body(error: Exception, wording: Wording) -> bytes:
    param = getattr(error, "param", None)
    refusal = {
        "status": wording.status,
        "code": wording.code,
        "msg": getattr(error, "msg", None) or (f"{wording.msg}：{param}" if param else wording.msg),
        "detail": str(error),
        "param": param,
    }
    return orjson.dumps(refusal)
