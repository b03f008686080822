"""Signing in and out, and the setup link."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fengchao_core.store import Role
from fengchao_server.admin.cookies import csrf_token, is_from_elsewhere, read_cookie, write_cookie
from fengchao_server.admin.reading import Asked, answer, read
from fengchao_server.admin.shape import NOT_KEPT, AdminShape
from fengchao_server.answers import JSON_UTF8, Answer
from fengchao_server.described import Described
from fengchao_server.refusals import Forbidden
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_server.admin.people import Operator
    from fengchao_server.call import Call


class SignIn(Asked):
    """A name and its password."""

    name: str
    password: str


class SetUp(Asked):
    """What a setup link is used with. `token` is what stands behind the `#` of the link."""

    token: str
    name: str
    password: str


class NewPassword(Asked):
    """Another password for who is signed in."""

    old: str
    new: str


class Session(Described):
    """
    Who is signed in.

    Attributes:
        csrf: what every request that changes something repeats in `X-CSRF-Token`; empty with a token for scripts.
    """

    name: str
    role: Role
    expires_at: datetime | None
    csrf: str


class Done(Described):
    """It was done."""

    msg: str


def routes() -> list[Route]:
    """The routes of this module."""
    admin = AdminShape()
    return [
        Route(
            method="POST", path="/admin/login", handler=sign_in, shape=admin, auth=False, body="own",
            summary="登录 Sign in", takes=SignIn, gives=Session,
        ),
        Route(
            method="POST", path="/admin/setup", handler=set_up, shape=admin, auth=False, body="own",
            summary="用一次性链接设置口令 Set a password by a setup link", takes=SetUp, gives=Session,
        ),
        Route(
            method="GET", path="/admin/session", handler=session, shape=admin, auth="signed-in",
            summary="谁登录了 Who is signed in", gives=Session,
        ),
        Route(
            method="POST", path="/admin/logout", handler=sign_out, shape=admin, auth="signed-in",
            summary="退出登录 Sign out", gives=Done,
        ),
        Route(
            method="POST", path="/admin/password", handler=change_password, shape=admin, auth="signed-in", body="own",
            summary="修改自己的口令 Change the own password", takes=NewPassword, gives=Done,
        ),
    ]  # fmt: skip


async def sign_in(call: Call) -> Answer:
    """Begin a session; one that the browser already has is not taken up."""
    _refuse_other_sites(call)
    asked = await read(call, SignIn)
    return _begun(call, *await call.desk.sign_in(asked.name, asked.password, call.address))


async def set_up(call: Call) -> Answer:
    """Use a setup link, and begin a session."""
    _refuse_other_sites(call)
    asked = await read(call, SetUp)
    return _begun(
        call, *await call.desk.set_up(asked.token, asked.name, asked.password, call.address)
    )


async def session(call: Call) -> Answer:
    """Say who is signed in."""
    token = read_cookie(call.request, call.desk.trusted)
    return answer(_session(call.who, token if call.who.grant.kind == "session" else ""))


async def sign_out(call: Call) -> Answer:
    """End the session, or the token that came along."""
    await call.desk.sign_out(call.who, call.address)
    forget = write_cookie(call.request, call.desk.trusted, "", seconds=0)
    return Answer.json({"msg": "已退出"}, content_type=JSON_UTF8, headers={**NOT_KEPT, **forget})


async def change_password(call: Call) -> Answer:
    """Change the password of who is signed in; its other sessions end."""
    asked = await read(call, NewPassword)
    await call.desk.change_password(call.who, asked.old, asked.new, call.address)
    return answer({"msg": "口令已修改，其他会话已退出"})


def _begun(call: Call, operator: Operator, token: str) -> Answer:
    call.operator = operator  # for the log
    keep = write_cookie(call.request, call.desk.trusted, token, seconds=int(call.desk.session_s))
    return Answer.json(
        _session(operator, token), content_type=JSON_UTF8, headers={**NOT_KEPT, **keep}
    )


def _session(operator: Operator, token: str) -> dict[str, object]:
    return {
        "name": operator.name,
        "role": operator.role,
        "expires_at": operator.grant.expires_at,
        "csrf": csrf_token(token) if token else "",
    }


def _refuse_other_sites(call: Call) -> None:
    """Nobody is signed in by the page of another site, not even with credentials that are right."""
    if is_from_elsewhere(call.request):
        raise Forbidden("the request comes from another site", msg="请求来自别的网站")
