"""The OpenAPI 3.1 document, generated from the route table and the models it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fengchao.wire import MSG
from fengchao_server.admin.cookies import COOKIE
from fengchao_server.admin.shape import Refusal
from fengchao_server.v1 import schema

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fengchao_server.routes import Route, RouteTable

Json = dict[str, Any]


def document(routes: RouteTable) -> Json:
    """The document. Costs tens of milliseconds: ask once."""
    from pydantic.json_schema import models_json_schema

    models: set[type[BaseModel]] = {schema.Error, Refusal}
    for route in routes.routes:
        models.update(model for model in (route.takes, route.gives) if model is not None)
    ordered = sorted(models, key=_name)
    pairs, definitions = models_json_schema(
        [(model, "validation") for model in ordered],
        ref_template="#/components/schemas/{model}",
    )
    refs = {model: pairs[model, "validation"] for model in ordered}
    paths: dict[str, Json] = {}
    for route in routes.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fengchao",
            "version": version("fengchao-server"),
            "description": "`/aigc` 的失败以 `status` 与 `msg` 说明："
            + "；".join(f"{int(code)} {msg}" for code, msg in MSG.items()),
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
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


def _name(model: type[BaseModel]) -> str:
    return model.__qualname__


def _operation(route: Route, refs: Mapping[type[BaseModel], Json]) -> Json:
    operation: Json = {"summary": route.summary, "operationId": _operation_id(route)}
    parameters = [_parameter(name, "query") for name in route.query]
    parameters += [_parameter(name, "path") for name in re.findall(r"\{(\w+)\}", route.path)]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        content = {"application/json": {"schema": refs[route.takes]}}
        operation["requestBody"] = {"required": True, "content": content}
    answer: Json = {"description": "成功"}
    if route.gives is not None:
        answer["content"] = {"application/json": {"schema": refs[route.gives]}}
        if route.streams:
            answer["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    operation["responses"] = {"200": answer}
    if route.path.startswith("/v1"):
        error = {"application/json": {"schema": refs[schema.Error]}}
        operation["responses"]["default"] = {"description": "失败", "content": error}
    if route.path.startswith("/admin/") and route.gives is not None:
        error = {"application/json": {"schema": refs[Refusal]}}
        operation["responses"]["default"] = {"description": "失败", "content": error}
    if route.auth is True:
        operation["security"] = [{"bearer": []}, {"token": []}]
    elif route.auth:
        operation["security"] = [{"operator": []}, {"session": []}]
    return operation


def _operation_id(route: Route) -> str:
    words = route.path.replace("{", "").replace("}", "").replace(".", "/").split("/")
    return "_".join([route.method.lower(), *(word for word in words if word)])


def _parameter(name: str, where: str) -> Json:
    required = not name.endswith("?")
    name = name.removesuffix("?")
    return {"name": name, "in": where, "required": required, "schema": {"type": "string"}}
