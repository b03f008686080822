"""
What a browser sees: the start page, the documentation of the HTTP API, and examples that run.

No script, no font and no style sheet from anywhere else, so the pages work on a machine without internet. The
documentation is generated from the route table; `/docs/plain` shows it without any script.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import orjson

from fengchao.wire import MSG
from fengchao_server import static
from fengchao_server.answers import HTML, JSON_UTF8, Answer
from fengchao_server.call import Call
from fengchao_server.described import Described
from fengchao_server.openapi import document
from fengchao_server.v1.errors import TABLE

if TYPE_CHECKING:
    from fengchao_server.routes import Events, Route, RouteTable

_HOST: Final = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
_STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei",sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,Consolas,monospace;font-size:.9em}
pre{padding:1rem;overflow:auto;border:1px solid #8886;border-radius:.5rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}
h2{margin-top:2.5rem}.m{font-weight:600;color:#087}.lock{opacity:.7}
"""


_HOW_TO_AUTHENTICATE: Final = (
    "<p>鉴权：请求头 <code>Authorization</code> 可以是 <code>/aigc/token</code> 返回的 token、SDK 自签的 JWT，"
    "或 <code>Bearer</code> 加密钥的单串 token。路径末尾的斜杠可有可无。</p>"
)


_LOCKS: Final[dict[bool | str, str]] = {
    True: "需要鉴权 needs a key",
    "operator": "需要管理员登录 needs an operator",
    "signed-in": "需要登录 needs a login",
    "optional": "可以不带密钥 a key is optional",
}


class TokenRequest(Described):
    """A key pair."""

    api_key: str
    secret_key: str


class Health(Described):
    """The server serves."""

    status: str = "ok"
    version: str


async def health(_call: Call) -> Answer:
    """Say that requests are served."""
    return Answer.json({"status": "ok", "version": version("fengchao-server")})


async def landing(call: Call) -> Answer:
    """Show what runs, and how to begin."""
    base = _base_url(call)
    cards = call.gateway.models()
    rows = "".join(
        f"<tr><td><code>{escape(card.id)}</code></td><td>{escape(card.owned_by)}</td>"
        f"<td>{card.kind}</td><td>{'本地 local' if card.is_local else '在线 online'}</td></tr>"
        for card in cards
    )
    example = next((card.id for card in cards if card.kind == "chat"), "glm-4")
    curl = (
        f"curl {base}/v1/chat/completions \\\n"
        "  -H 'Authorization: Bearer <token>' -H 'Content-Type: application/json' \\\n"
        f"""  -d '{{"model": "{example}", "stream": true, "messages": """
        """[{"role": "user", "content": "你好"}]}'"""
    )
    body = f"""
<h1>蜂巢 fengchao</h1>
<p>大模型网关正在运行。一个接口，所有模型。<br>The gateway is running: one API to every model.</p>
<p><a href="/examples">请求示例 Examples</a> · <a href="/docs">接口文档 API documentation</a> ·
<a href="/openapi.json">OpenAPI</a> · <a href="/admin/">安全中心 Security centre</a> ·
<a href="/healthz">健康检查 health</a></p>
<h2>开始 Begin</h2>
<p>密钥由运行网关的人生成：Keys are made by whoever runs the gateway:</p>
<pre>fengchao keys create --name my-app</pre>
<pre>{escape(curl)}</pre>
<h2>模型 Models ({len(cards)})</h2>
<table><tr><th>id</th><th>归属 owned by</th><th>种类 kind</th><th>类别 channel</th></tr>{rows}</table>
"""
    return _page("蜂巢 fengchao", body)


async def docs(call: Call) -> Answer:
    """Show the documentation of the HTTP API, to read and to try out."""
    return static.answer(call, "docs/index.html")


async def examples(call: Call) -> Answer:
    """Show requests that can be changed, run and copied."""
    return static.answer(call, "examples/index.html")


async def plain_docs(call: Call) -> Answer:
    """Show the documentation of the HTTP API as plain text."""
    return _page("接口文档 · fengchao", _documentation(call.routes))


async def openapi(call: Call) -> Answer:
    """Give the OpenAPI document."""
    return Answer(_openapi(call.routes), content_type=JSON_UTF8)


def _page(title: str, body: str) -> Answer:
    html = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    return Answer(html.encode(), content_type=HTML)


def _base_url(call: Call) -> str:
    host = call.request.headers.get("Host", "")
    return f"http://{host}" if _HOST.fullmatch(host) else "http://127.0.0.1:8000"


@lru_cache(maxsize=1)
def _openapi(routes: RouteTable) -> bytes:
    return orjson.dumps(document(routes))


@lru_cache(maxsize=1)
def _documentation(routes: RouteTable) -> str:
    schemas = document(routes)["components"]["schemas"]
    parts = [
        "<h1>接口文档 HTTP API</h1>",
        _HOW_TO_AUTHENTICATE,
        *(_route(route, schemas) for route in routes.routes),
        "<h2>/aigc 状态码</h2><table><tr><th>code</th><th>描述</th></tr>",
        *(f"<tr><td>{int(code)}</td><td>{escape(msg)}</td></tr>" for code, msg in MSG.items()),
        "</table><h2>/v1 错误 errors</h2>",
        "<table><tr><th>HTTP</th><th>code</th><th>type</th><th>原因 cause</th></tr>",
        *(
            f"<tr><td>{w.status}</td><td>{w.code or ''}</td><td>{w.type}</td><td>{cls.__name__}</td></tr>"
            for cls, w in TABLE.items()
        ),
        "</table>",
    ]
    return "".join(parts)


def _route(route: Route, schemas: dict[str, Any]) -> str:
    lock = f' <span class="lock">{_LOCKS[route.auth]}</span>' if route.auth else ""
    fields = [
        f"<tr><td><code>{name.removesuffix('?')}</code></td><td>string</td>"
        f"<td>{'' if name.endswith('?') else '必填'}</td><td></td></tr>"
        for name in route.query
    ]
    if route.takes is not None:
        fields += _fields(schemas.get(route.takes.__name__, {}))
    table = (
        "<table><tr><th>字段</th><th>类型</th><th></th><th>说明</th></tr>"
        + "".join(fields)
        + "</table>"
        if fields
        else ""
    )
    streams = _streams(route.streams) if route.streams else ""
    return (
        f'<h2><span class="m">{route.method}</span> <code>{escape(route.path)}</code></h2>'
        f"<p>{escape(route.summary)}{lock}</p>{streams}{table}"
    )


def _streams(events: Events) -> str:
    given = "、".join(f"<code>{model.__name__}</code>" for model in events.gives)
    end = f"，完整结束时最后一个是 <code>{escape(events.ends)}</code>" if events.ends else ""
    return f"<p>可流式返回：<code>text/event-stream</code>，每个事件的 data 是 {given} 的 JSON{end}</p>"


def _fields(schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", ())
    return [
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(field))}</td>"
        f"<td>{'必填' if name in required else _default(field)}</td><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " | ".join(
            _type(option) for option in field["anyOf"] if option.get("type") != "null"
        )
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if field.get("type") == "array":
        return f"[{_type(field.get('items', {}))}]"
    return str(field.get("type", ""))


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default is None else escape(f"默认 {default}")
