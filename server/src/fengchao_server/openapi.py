"""
The OpenAPI 3.1 document, generated from the route table and the models it names.

Every answer that an operation can give is in it by its number: those of its API's own table of errors. There is no
`default` answer, so a checker can find one that nobody has thought of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fengchao.wire import MSG
from fengchao_server.admin.cookies import COOKIE

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fengchao_server.routes import Events, Route, RouteTable

Json = dict[str, Any]

_GROUPS: Final = (
    ("/aigc", "aigc", "产品接口：已发布的 SDK 用的就是它。The product's own API."),
    ("/v1", "v1", "OpenAI 兼容接口。Compatible with OpenAI's clients."),
    ("/admin", "admin", "管理接口，需要管理员登录。For operators."),
    ("", "pages", "页面与健康检查。Pages and health."),
)
_ONLY_WITH_A_BODY: Final = frozenset({408, 413})
_PAGE_FAILURES: Final = frozenset({404, 405, 500})


def document(routes: RouteTable) -> Json:
    """The document. Costs tens of milliseconds: ask once."""
    from pydantic.json_schema import models_json_schema

    models: set[type[BaseModel]] = set()
    for route in routes.routes:
        models.update(m for m in (route.takes, route.gives, route.shape.failure) if m is not None)
        models.update(route.streams.gives if route.streams else ())
    ordered = sorted(models, key=_name)
    pairs, definitions = models_json_schema(
        [(model, "validation") for model in ordered],
        ref_template="#/components/schemas/{model}",
    )
    refs = {model: pairs[model, "validation"] for model in ordered}
    schemas: Json = definitions.get("$defs", {})
    paths: dict[str, Json] = {}
    for route in routes.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
        if route.streams:
            schemas[_event_name(route.streams)] = _event(route.streams, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "蜂巢 fengchao",
            "version": version("fengchao-server"),
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "`/aigc` 的失败以 `status` 与 `msg` 说明："
            + "；".join(f"{int(code)} {msg}" for code, msg in MSG.items()),
        },
        "tags": [{"name": name, "description": said} for _, name, said in _GROUPS],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "/aigc/token 的 token，或 SDK 自签的 JWT",
                },
                "bearer": {"type": "http", "scheme": "bearer", "description": "密钥的单串 token"},
                "operator": {"type": "http", "scheme": "bearer", "description": "管理 token"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "登录管理台所得；写操作还要带请求头 X-CSRF-Token",
                },
            },
        },
    }


def group_of(path: str) -> str:
    """The group of operations that a path belongs to."""
    return next(name for prefix, name, _ in _GROUPS if path.startswith(prefix))


def _name(model: type[BaseModel]) -> str:
    return model.__qualname__


def _operation(route: Route, refs: Mapping[type[BaseModel], Json]) -> Json:
    operation: Json = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": [group_of(route.path)],
    }
    parameters = [_parameter(name, "query") for name in route.query]
    parameters += [_parameter(name, "path") for name in re.findall(r"\{(\w+)\}", route.path)]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        content = {
            media: {"schema": refs[route.takes], **_examples(route)} for media in route.accepts
        }
        operation["requestBody"] = {"required": True, "content": content}
    operation["responses"] = {str(route.status): _success(route, refs)}
    failure = {"application/json": {"schema": refs[route.shape.failure]}}
    for status in sorted(_failures(route)):
        operation["responses"][str(status)] = {"description": _said(status), "content": failure}
    if route.auth == "optional":
        operation["security"] = [{"bearer": []}, {"token": []}, {}]
    elif route.auth is True:
        operation["security"] = [{"bearer": []}, {"token": []}]
    elif route.auth:
        operation["security"] = [{"operator": []}, {"session": []}]
    return operation


def _success(route: Route, refs: Mapping[type[BaseModel], Json]) -> Json:
    answer: Json = {"description": "成功"}
    if route.status == HTTPStatus.NO_CONTENT:
        return answer
    schema: Json = {} if route.gives is None else {"schema": refs[route.gives]}
    answer["content"] = {route.media: schema}
    if route.streams:
        event = {"$ref": f"#/components/schemas/{_event_name(route.streams)}"}
        answer["content"]["text/event-stream"] = {"schema": event}
    return answer


def _examples(route: Route) -> Json:
    """A body that asks for a whole answer, and one that asks for a stream."""
    if route.example is None:
        return {}
    examples: Json = {"whole": {"summary": "一次返回 Whole", "value": route.example}}
    if route.streams and route.streams.asked_by:
        streamed = {**route.example, **route.streams.asked_by}
        examples["streamed"] = {"summary": "流式返回 Streamed", "value": streamed}
    return {"examples": examples}


def _event_name(events: Events) -> str:
    return f"{_name(events.gives[0])}Event"


def _event(events: Events, refs: Mapping[type[BaseModel], Json]) -> Json:
    """
    One event of a stream, after its lines were parsed.

    OpenAPI 3.1 has no words for streams; 3.2 has `itemSchema`, which most generators cannot read yet. Those that know
    streams in 3.1 take the schema of `text/event-stream` for that of each event.
    """
    said = [refs[model] for model in events.gives]
    data: Json = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": said[0] if len(said) == 1 else {"anyOf": said},
    }
    if events.ends:
        data = {"anyOf": [{"type": "string", "const": events.ends}, data]}
    return {
        "type": "object",
        "description": "流（SSE）中的一个事件。One server-sent event of a stream.",
        "properties": {"data": data},
        "required": ["data"],
    }


def _failures(route: Route) -> frozenset[int]:
    """What the API's table has, less what this operation cannot meet."""
    if group_of(route.path) == "pages":
        return _PAGE_FAILURES
    failures = frozenset(route.shape.failures)
    if route.takes is None and route.body == "none":
        failures -= _ONLY_WITH_A_BODY
    return failures


def _said(status: int) -> str:
    try:
        return MSG[next(code for code in MSG if code == status)]
    except StopIteration:
        return HTTPStatus(status).phrase


def _operation_id(route: Route) -> str:
    words = route.path.replace("{", "").replace("}", "").replace(".", "/").split("/")
    return "_".join([route.method.lower(), *(word for word in words if word)])


def _parameter(name: str, where: str) -> Json:
    required = not name.endswith("?")
    name = name.removesuffix("?")
    return {"name": name, "in": where, "required": required, "schema": {"type": "string"}}
