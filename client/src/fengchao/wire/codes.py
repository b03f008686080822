"""
THE table of the product's codes: which error is answered with which HTTP status, body status and Chinese `msg`.

Two kinds of codes, as the product text has it. What the caller did wrong is an **HTTP status** (401, 404, 405, 413, 429, 440-445);
what happened while the call was served is a **body status** under HTTP 200 (6601, 6602, 400, 408, or a vendor's own).

A failure on the vendor's side is 408 where a time limit passed, and the vendor's own HTTP status where it sent one
(429, 503 …): the product's «其他：各服务端返回的错误状态». It is 400 (访问异常) where there was none, where the vendor refused
*our* credentials (its 401 would tell callers that theirs are wrong), and where its status would read as one of our codes.

Errors are recognized by the names of their classes, so that the table needs no `fengchao_core`; a subclass counts as the
nearest ancestor in the table. A database that does not answer is 503. What is not in the table is a fault of ours: 500, and
not a word of it reaches the caller.
"""

from __future__ import annotations

import math
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

_DETAIL_LIMIT = 500


class Code(IntEnum):
    """The product's codes: HTTP statuses up to 445 but for 400 and 408, body statuses the rest."""

    OK = 200
    ACCESS_FAILED = 400
    UNAUTHORIZED = 401
    NOT_FOUND = 404
    METHOD_NOT_ALLOWED = 405
    TIMEOUT = 408
    BODY_TOO_LARGE = 413
    TOO_MANY_REQUESTS = 429
    UNKNOWN_MODEL = 440
    LOCAL_MODEL_ON_ONLINE_PATH = 441
    ONLINE_MODEL_ON_LOCAL_PATH = 442
    EMPTY_QUERY = 443
    UNKNOWN_KNOWLEDGE = 444
    INVALID_PARAMETER = 445
    INTERNAL = 500
    UNAVAILABLE = 503
    SENSITIVE = 6601
    RESULT_NOT_READY = 6602


MSG = MappingProxyType(
    {
        Code.OK: "执行成功",
        Code.ACCESS_FAILED: "访问异常",
        Code.UNAUTHORIZED: "鉴权失败",
        Code.NOT_FOUND: "接口不存在",
        Code.METHOD_NOT_ALLOWED: "请求方式不支持",
        Code.TIMEOUT: "请求超时",
        Code.BODY_TOO_LARGE: "请求体过大",
        Code.TOO_MANY_REQUESTS: "请求过于频繁或额度已用尽",
        Code.UNKNOWN_MODEL: "模型不存在",
        Code.LOCAL_MODEL_ON_ONLINE_PATH: "模型为本地模型却使用了在线接口",
        Code.ONLINE_MODEL_ON_LOCAL_PATH: "模型为在线模型却使用了本地接口",
        Code.EMPTY_QUERY: "问题为空",
        Code.UNKNOWN_KNOWLEDGE: "知识库不存在",
        Code.INVALID_PARAMETER: "参数错误",
        Code.INTERNAL: "服务内部错误",
        Code.UNAVAILABLE: "服务暂不可用，请稍后再试",
        Code.SENSITIVE: "敏感词",
        Code.RESULT_NOT_READY: "异步结果未生成",
    }
)
"""What each code says."""


class Failure(NamedTuple):
    """
    How an error is answered.

    Attributes:
        http_status: of the response.
        body_status: the `status` field of its JSON body.
        msg: its `msg` field, Chinese first; holds no secret.
    """

    http_status: int
    body_status: int
    msg: str


class BodyError(ValueError):
    """
    A request body that cannot be served: malformed, out of range, or asking for what is not offered. Answered 445.

    Args:
        msg: what is wrong and what to do, in Chinese; holds nothing of the body but names of its fields.
        param: the field that is wrong, where one field is.
    """

    def __init__(self, msg: str, *, param: str | None = None) -> None:
        super().__init__(msg)
        self.msg = msg
        self.param = param


_CALLER = MappingProxyType(
    {
        "BodyError": Code.INVALID_PARAMETER,
        "InvalidParameter": Code.INVALID_PARAMETER,
        "EmptyQuery": Code.EMPTY_QUERY,
        "UnknownTask": Code.INVALID_PARAMETER,
        "UnknownModel": Code.UNKNOWN_MODEL,
        "UnknownKnowledge": Code.UNKNOWN_KNOWLEDGE,
        "AuthenticationFailed": Code.UNAUTHORIZED,
        "PermissionDenied": Code.UNAUTHORIZED,
        "LimitExceeded": Code.TOO_MANY_REQUESTS,
        "CallError": Code.INVALID_PARAMETER,
    }
)

_LIMITS = MappingProxyType(
    {
        "requests_per_minute": "请求过于频繁：每分钟请求数的限额已用尽",
        "tokens_per_minute": "请求过于频繁：每分钟词元数的限额已用尽",
        "concurrent": "请求过于频繁：并发请求数已达上限",
        "budget_day": "额度已用尽：今日的预算不够这个请求",
        "budget_month": "额度已用尽：本月的预算不够这个请求",
    }
)

_VENDOR = MappingProxyType(
    {
        "ProviderAuthFailed": "模型服务的凭据无效，请联系管理员",
        "QuotaExhausted": "模型服务的额度已用尽，请联系管理员",
        "RateLimited": "模型服务限流，请稍后再试",
        "ProviderOverloaded": "模型服务繁忙，请稍后再试",
        "ProviderUnavailable": "模型服务暂不可用，请稍后再试",
        "ProviderTimeout": "模型服务未在时限内回答",
        "ContentRefused": "模型服务拒绝了内容",
        "ContextTooLong": "输入与输出之和超过模型的上下文长度",
        "RequestRejected": "模型服务不接受该请求",
        "ProviderProtocolError": "模型服务的回答无法解析",
        "ProviderError": "模型服务出错",
    }
)

_TASK = MappingProxyType(
    {
        "cancelled": "任务已取消",
        "expired": "任务未在有效期内完成",
        "interrupted": "执行任务的进程中断，请重新提交",
        "too long": "流式结果超过可保留的长度",
    }
)

_OWN_STATUSES = frozenset(
    {Code.UNAUTHORIZED, Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED, Code.BODY_TOO_LARGE}
    | set(range(440, 446))
)
_BLAMES_US = frozenset({"ProviderAuthFailed", "ProviderProtocolError"})


_FILES = MappingProxyType(
    {
        "empty": "文件是空的",
        "too_large": "文件过大",
        "too_many": "文件过多",
        "type": "不支持的文件类型（按内容判断）；支持 txt、md、html、json、csv、pdf、docx、xlsx、pptx，以及图片与视频",
        "mismatch": "文件的内容与扩展名不符",
        "old_office": "是旧版 Office 文件或已加密；请去除密码，另存为 docx、xlsx 或 pptx",
        "encrypted": "文件已加密，请先去除密码",
        "broken": "文件已损坏",
        "unsafe": "文件的结构不安全，不予打开",
        "too_complex": "文件过于复杂，未能在限制内读完",
        "no_text": "文件里没有可读的文字",
        "no_reader": "本服务没有安装读取这种文件的插件 fengchao-documents",
        "disabled": "本服务不接受这样上传文件",
    }
)
"""Why a file is refused, in the product's words."""


def failure(code: Code, detail: str | None = None) -> Failure:
    """
    The answer of a code.

    Args:
        detail: appended to the code's own words; what exactly is wrong, or what to do.
    """
    served = code in (Code.ACCESS_FAILED, Code.TIMEOUT, Code.SENSITIVE, Code.RESULT_NOT_READY)
    msg = f"{MSG[code]}：{detail[:_DETAIL_LIMIT]}" if detail else MSG[code]
    return Failure(200 if served else int(code), int(code), msg)


def status_of(error: BaseException) -> Failure:
    """How an error is answered: the one place that decides it, for the server and for the embedded client."""
    for name in _names(error):
        if name in _VENDOR:
            return _vendor_failure(name, error)
        if name == "SensitiveContent":
            return failure(Code.SENSITIVE, _hit(error))
        if name == "FileRefused":
            return _file_failure(error)
        if name == "UnknownFile":
            said = "文件不存在、已过期，或不属于这个密钥；请重新上传"
            return failure(Code.INVALID_PARAMETER, f"files {said}")
        if name == "ResultNotReady":
            return failure(Code.RESULT_NOT_READY)
        if name == "TaskEnded":
            return _task_failure(getattr(error, "reason", ""))
        if name == "StoreUnavailable":
            return failure(Code.UNAVAILABLE)
        if name == "WrongChannel":
            is_local = getattr(error, "is_local", False)
            return failure(
                Code.LOCAL_MODEL_ON_ONLINE_PATH if is_local else Code.ONLINE_MODEL_ON_LOCAL_PATH
            )
        if name in _CALLER:
            return _caller_failure(_CALLER[name], error)
    return failure(Code.INTERNAL)


def _hit(error: BaseException) -> str:
    """Where the hit is and of which category; never the word."""
    place = "输出" if getattr(error, "direction", "") == "output" else "输入"
    category, where = getattr(error, "category", ""), getattr(error, "where", "")
    start, end = getattr(error, "start", None), getattr(error, "end", None)
    said = f"{place}内容包含敏感词"
    if category and isinstance(start, int) and isinstance(end, int):
        named = f"，{where}" if where else ""
        place = f"{start + 1} 至 {end}" if end > start + 1 else f"{end}"
        said += f"（类别“{category}”{named}，第 {place} 个字符）"
    return said


def _names(error: BaseException) -> list[str]:
    # Only the core's classes and ours count: another package may well have a RateLimited of its own.
    return [
        c.__name__
        for c in type(error).__mro__
        if c is BodyError or c.__module__.partition(".")[0] == "fengchao_core"
    ]


def _file_failure(error: BaseException) -> Failure:
    reason = getattr(error, "reason", "")
    code = Code.BODY_TOO_LARGE if reason == "too_large" else Code.INVALID_PARAMETER
    name = getattr(error, "filename", "")
    # The English says the limits.
    said = f"{_FILES.get(reason, '文件不能使用')}（{error}）"
    return failure(code, f"files 中的 {name}：{said}" if name else f"files {said}")


def _caller_failure(code: Code, error: BaseException) -> Failure:
    if isinstance(error, BodyError):
        return failure(code, error.msg)
    if code is Code.EMPTY_QUERY:
        return failure(code)
    if type(error).__name__ == "UnknownTask":
        return failure(code, "task_id 不存在、已过期，或不属于当前密钥")
    limit: str | None = getattr(error, "limit", None)
    if limit is not None and limit in _LIMITS:
        after: float | None = getattr(error, "retry_after", None)
        when = f"，请在 {math.ceil(after)} 秒后再试" if after is not None else ""
        return failure(code)._replace(msg=f"{_LIMITS[limit]}{when}（{error}）"[:_DETAIL_LIMIT])
    # The core speaks English; the words of the code before it say the same in Chinese.
    said = f"（{error}）" if str(error) else ""
    if code is Code.INVALID_PARAMETER:
        return failure(code, f"{getattr(error, 'param', None) or ''}{said}")
    return failure(code)._replace(msg=f"{MSG[code]}{said}"[:_DETAIL_LIMIT])


def _task_failure(reason: str) -> Failure:
    if reason == "expired":
        return failure(Code.TIMEOUT, _TASK[reason])
    return failure(Code.ACCESS_FAILED, _TASK.get(reason, "任务执行失败，请联系管理员"))


def _vendor_failure(name: str, error: BaseException) -> Failure:
    said = _VENDOR[name]
    vendor_message = getattr(error, "vendor_message", None)
    # A vendor that refuses a key likes to quote a part of it.
    if vendor_message and name != "ProviderAuthFailed":
        said = f"{said}（{vendor_message}）"
    if name == "ProviderTimeout":
        return failure(Code.TIMEOUT, said)
    status = getattr(error, "status", None)
    if status is None and name == "RateLimited":
        status = Code.TOO_MANY_REQUESTS
    passes = (
        isinstance(status, int)
        and 400 <= status < 600
        and status not in _OWN_STATUSES
        and name not in _BLAMES_US
    )
    if not passes:
        status = Code.ACCESS_FAILED
    text = MSG[Code.TIMEOUT] if status == Code.TIMEOUT else MSG[Code.ACCESS_FAILED]
    return Failure(200, int(status or Code.ACCESS_FAILED), f"{text}：{said[:_DETAIL_LIMIT]}")
