"""What `fengchao serve` says when it serves: where, and lines to paste."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fengchao_server.cli.terminal import answer_json, say

if TYPE_CHECKING:
    from fengchao_server.credentials import NewKey


@dataclass(frozen=True, slots=True)
class Banner:
    """
    What to say.

    Attributes:
        key: ready to use, where one was made.
        models: that can be chatted with, where they are known.
        setup: token of the link with which the first operator sets its password; empty where there is one.
    """

    url: str
    sandbox: bool
    key: NewKey | None = None
    models: tuple[str, ...] = ()
    setup: str = field(default="", repr=False)


def show(banner: Banner, *, as_json: bool) -> None:
    """Say it: to a person on stderr, to a program as one line of JSON on stdout."""
    if as_json:
        key = banner.key
        answer_json(
            {
                "url": banner.url,
                "docs": f"{banner.url}/docs",
                "pid": os.getpid(),
                "sandbox": banner.sandbox,
                "models": banner.models,
                "key": key
                and {
                    "name": key.name,
                    "api_key": key.api_key,
                    "secret_key": key.secret_key,
                    "token": key.token,
                },
                "setup": setup_url(banner.url, banner.setup) if banner.setup else None,
            }
        )
    else:
        say(_text(banner, colour=sys.stderr.isatty() and "NO_COLOR" not in os.environ))


def setup_url(url: str, token: str) -> str:
    """Where a password is set. What stands behind the `#` stays in the browser: no log and no proxy sees it."""
    return f"{url}/admin/setup#{token}"


def curl_line(url: str, token: str, model: str) -> str:
    """A chat by curl, streamed."""
    return (
        f"curl -N {url}/v1/chat/completions -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' "
        f"""-d '{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"你好，介绍一下北京"}}]}}'"""
    )


def sdk_snippet(url: str, api_key: str, secret_key: str, model: str) -> str:
    """The same by the SDK."""
    return f"""from fengchao import FengChao

fengchao = FengChao(api_key="{api_key}", secret_key="{secret_key}", base_url="{url}")
for piece in fengchao.chat("{model}", query="你好，介绍一下北京", mode="stream"):
    print(piece.data.choices[0].message.content, end="", flush=True)
print()"""


def openai_snippet(url: str, token: str, model: str) -> str:
    """The same by OpenAI's SDK."""
    return f"""from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="{token}")
print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "你好"}}])
      .choices[0].message.content)"""


def _text(banner: Banner, *, colour: bool) -> str:
    bold, dim, plain = ("\x1b[1;36m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
    key = banner.key
    lines = [
        "",
        f"{bold}蜂巢 fengchao{plain} 已启动 is running",
        f"  首页 console   {banner.url}/",
        f"  文档 docs      {banner.url}/docs",
        f"  管理 admin     {banner.url}/admin/",
    ]
    if banner.setup:
        lines += [
            f"  {bold}设置 setup     {setup_url(banner.url, banner.setup)}{plain}",
            f"                 {dim}还没有管理员：打开这个一次性链接设置用户名和口令。{plain}",
            f"                 {dim}No operator yet: open this link, once, to set a name and password.{plain}",
        ]
    if key is None:
        lines += [
            f"  密钥 key       {dim}fengchao keys create --name my-app{plain}",
            "",
        ]
        return "\n".join(lines)
    models = banner.models
    model = next(
        (m for m in ("glm-4", "gpt-3.5-turbo") if m in models), models[0] if models else "glm-4"
    )
    lines += [
        f"  密钥 key       {key.token}",
        f"                 {dim}api_key {key.api_key}  secret_key {key.secret_key}{plain}",
        f"  模型 models    {', '.join(models[:8])}{' …' if len(models) > 8 else ''}",
        "",
        f"{dim}沙箱模式：所有厂商都是本机模拟，回答不是真的；此密钥在退出时吊销。{plain}",
        f"{dim}Sandbox: every vendor is emulated on this machine; the key is revoked at the end.{plain}",
        "",
        f"{bold}# 终端 shell{plain}",
        curl_line(banner.url, key.token, model),
        "",
        f"{bold}# Python SDK (pip install fengchao){plain}",
        sdk_snippet(banner.url, key.api_key, key.secret_key, model),
        "",
        f"{bold}# OpenAI SDK (pip install openai){plain}",
        openai_snippet(banner.url, key.token, model),
        "",
    ]
    return "\n".join(lines)
