"""Who may sign in, over HTTP: operators are listed and removed, setup links made, and tokens for one's own scripts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from fengchao_core.store import Role
from fengchao_server.admin.entry import Done
from fengchao_server.admin.reading import Asked, answer, read
from fengchao_server.admin.shape import AdminShape
from fengchao_server.described import Described
from fengchao_server.refusals import Forbidden
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_server.answers import Answer
    from fengchao_server.call import Call


class OwnToken(Described):
    """A token for scripts, without what was given out."""

    label: str
    role: Role
    created_at: datetime
    expires_at: datetime | None


class OneOperator(Described):
    """Somebody who may sign in."""

    name: str
    role: Role
    created_at: datetime
    tokens: list[OwnToken]


class Operators(Described):
    """Everybody who may sign in, by name."""

    operators: list[OneOperator]


class LinkToMake(Asked):
    """Whom a setup link is for."""

    name: str = Field(default="", description="给谁重设口令；空为新的管理员，由他自己取名")
    role: Role = Field(default="operator", description="新的管理员的身份")


class Link(Described):
    """A setup link, at the only moment when it can be read. `path` goes behind the gateway's address."""

    path: str
    expires_in_s: float


class TokenToMake(Asked):
    """A token for scripts."""

    label: str = Field(description="token 的名字")
    role: Role = Field(default="operator", description="viewer 为只读")
    lifetime_s: int | None = Field(
        default=None, ge=60, le=10 * 365 * 86400, description="有效多少秒；null 为一直有效"
    )


class Token(Described):
    """A token for scripts, at the only moment when it can be read."""

    label: str
    token: str


def routes() -> list[Route]:
    """The routes of this module."""
    admin = AdminShape()
    return [
        Route(
            method="GET", path="/admin/operators", handler=list_operators, shape=admin, auth="operator",
            summary="列出管理员 List operators", gives=Operators,
        ),
        Route(
            method="DELETE", path="/admin/operators/{name}", handler=remove, shape=admin, auth="operator",
            summary="删除管理员 Remove an operator", gives=Done,
        ),
        Route(
            method="POST", path="/admin/setup-links", handler=make_link, shape=admin, auth="operator", body="own",
            summary="生成设置口令的一次性链接 Make a setup link", takes=LinkToMake, gives=Link, status=201,
        ),
        Route(
            method="POST", path="/admin/tokens", handler=make_token, shape=admin, auth="signed-in", body="own",
            summary="生成自己的管理 token Make a token for own scripts", takes=TokenToMake, gives=Token, status=201,
        ),
        Route(
            method="DELETE", path="/admin/tokens/{label}", handler=end_token, shape=admin, auth="signed-in",
            summary="收回自己的管理 token End an own token", gives=Done,
        ),
    ]  # fmt: skip


async def list_operators(call: Call) -> Answer:
    """Everybody who may sign in."""
    return answer({"operators": await call.desk.roster.people()})


async def remove(call: Call) -> Answer:
    """Remove an operator, with its sessions and tokens."""
    await call.desk.roster.remove(call.entry, call.params["name"])
    return answer({"msg": "已删除"})


async def make_link(call: Call) -> Answer:
    """Make a setup link."""
    asked = await read(call, LinkToMake)
    roster = call.desk.roster
    token = await roster.make_setup_link(call.entry, name=asked.name.strip(), role=asked.role)
    link = {"path": f"/admin/setup#{token}", "expires_in_s": roster.setup_link_s}
    return answer(link, status=201)


async def make_token(call: Call) -> Answer:
    """Make a token of who is signed in; by a person only, so that a stolen token cannot make others that outlive it."""
    if call.who.grant.kind != "session":
        raise Forbidden(
            "tokens are made by who signed in with a password, not with another token",
            msg="请用口令登录之后再生成 token",
        )
    asked = await read(call, TokenToMake)
    token = await call.desk.roster.make_token(
        call.entry, call.who.name, asked.label, role=asked.role, lifetime_s=asked.lifetime_s
    )
    return answer({"label": asked.label.strip(), "token": token}, status=201)


async def end_token(call: Call) -> Answer:
    """End a token of who is signed in."""
    await call.desk.roster.end_token(call.entry, call.who.name, call.params["label"])
    return answer({"msg": "已收回"})
