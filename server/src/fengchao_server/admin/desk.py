"""
The desk where operators sign in, and where each of their requests is looked at.

What is given out (a session, a token, a setup link) is 256 random bits; the store keeps its digest only. Whoever signs in
gets a new session, whatever cookie came along. A name that is not there and a password that is wrong take the same time
and are refused in the same words, and both are slowed down: per name and address, per address, and per name.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

import structlog

from fengchao_core.clock import Clock, SystemClock
from fengchao_core.store import AuditRecord, GrantKind, GrantRecord, OperatorRecord, Pace, Role
from fengchao_server.admin.cookies import is_own_page, read_cookie
from fengchao_server.admin.grants import TOKEN_PREFIX, digest, is_live, new_grant
from fengchao_server.admin.passwords import Passwords, check_new
from fengchao_server.admin.people import Operator, check_name, is_name
from fengchao_server.admin.roster import Roster
from fengchao_server.auditing import auditor
from fengchao_server.refusals import Forbidden, Invalid, SignInRefused, TooManyAttempts

if TYPE_CHECKING:
    from aiohttp import web

    from fengchao_core import Store
    from fengchao_core.settings import Settings
    from fengchao_server.addresses import Address

log = structlog.get_logger()

_PER_NAME_AND_ADDRESS: Final = Pace(free=5, longest_s=900)
_PER_ADDRESS: Final = Pace(free=30, longest_s=900)
# Short, for whoever knows a name could lock its owner out: it only takes the pace out of a crowd of addresses.
_PER_NAME: Final = Pace(free=50, longest_s=20)


class Desk:
    """
    Lets operators in, for one event loop.

    Args:
        store: where operators are kept.
        settings: how long they stay signed in, and which proxies are believed.

    Attributes:
        roster: makes and removes those who may sign in.
        trusted: the proxies that are believed.
    """

    def __init__(self, store: Store, settings: Settings, *, clock: Clock | None = None) -> None:
        self.trusted = settings.server.trusted_proxies
        self._store = store
        self._settings = settings.admin
        self.clock = clock or SystemClock()
        self._passwords = Passwords()
        self.roster = Roster(store, settings, clock=self.clock)

    @property
    def session_s(self) -> float:
        """How long a session lasts."""
        return self._settings.session_s

    async def admit(self, request: web.BaseRequest, *, changing: bool) -> Operator:
        """
        Who sends a request: by an admin token in `Authorization`, or by the cookie of a session.

        Args:
            changing: whether the request is for operators only, and not for viewers.

        Raises:
            SignInRefused: nobody that may be let in.
            Forbidden: a viewer that wants to change something, or a request that is not from our own page.
        """
        authorization = request.headers.get("Authorization")
        if authorization is None:
            token = read_cookie(request, self.trusted)
            operator = await self._known(token, "session")
            if request.method not in ("GET", "HEAD") and not is_own_page(request, token):
                raise Forbidden(
                    "the request lacks the header X-CSRF-Token that belongs to this session",
                    msg="请求不是从管理页发出的，请刷新页面",
                )
        else:
            scheme, _, token = authorization.strip().partition(" ")
            is_token = scheme.lower() == "bearer" and token.strip().startswith(TOKEN_PREFIX)
            operator = await self._known(token.strip() if is_token else "", "token")
        if changing and operator.role != "operator":
            raise Forbidden("a viewer may look, but not change anything", msg="只读账号不能修改")
        return operator

    async def sign_in(
        self, name: str, password: str, address: Address | None
    ) -> tuple[Operator, str]:
        """
        A new session, and its token.

        Raises:
            SignInRefused: the two do not belong together.
            TooManyAttempts: too many attempts.
        """
        place = place_of(address)
        counted = (f"name {name}\0{place}", f"name {name}")
        for subject, pace in (
            (f"place {place}", _PER_ADDRESS),
            (counted[0], _PER_NAME_AND_ADDRESS),
            (counted[1], _PER_NAME),
        ):
            await self.pace(subject, pace)
        record = await self._store.operators.find(name) if is_name(name) else None
        hashed = None if record is None else record.password_hash
        if not await self._passwords.check(hashed, password) or record is None:
            log.warning("admin.sign_in_refused", address=str(address))
            raise SignInRefused(
                "the name and the password do not belong together", msg="用户名或口令不对"
            )
        for subject in counted:
            await self._store.operators.forgive(digest(subject))
        return await self.open_session(record, address)

    async def open_session(
        self, record: OperatorRecord, address: Address | None
    ) -> tuple[Operator, str]:
        """A new session of an operator that has proved who it is."""
        token, grant = new_grant(
            "session", record.name, record.role, self.clock.now(), self._settings.session_s
        )
        operator = Operator(record.name, record.role, grant)
        await self._store.operators.grant(
            grant, audit=self._entry(operator.actor, "session.begin", record.name, address)
        )
        return operator, token

    async def sign_out(self, operator: Operator, address: Address | None) -> None:
        """End the session, or the token, that an operator came with."""
        await self._store.operators.take(
            operator.grant.digest,
            audit=self._entry(operator.actor, f"{operator.grant.kind}.end", operator.name, address),
        )

    async def change_password(
        self, operator: Operator, old: str, new: str, address: Address | None
    ) -> None:
        """
        Give an operator another password, and end its other sessions.

        Raises:
            SignInRefused: the old one is wrong.
            Invalid: the new one is too easy to guess.
            TooManyAttempts: too many attempts.
        """
        await self.pace(f"password {operator.name}", _PER_NAME_AND_ADDRESS)
        record = await self._store.operators.find(operator.name)
        if record is None or not await self._passwords.check(record.password_hash, old):
            raise SignInRefused("the old password is wrong", msg="原口令不对")
        await self._set_password(record, new, operator.actor, address, keep=operator.grant.digest)
        await self._store.operators.forgive(digest(f"password {operator.name}"))

    async def set_up(
        self, token: str, name: str, password: str, address: Address | None
    ) -> tuple[Operator, str]:
        """
        Use a setup link: make the operator, or give it the password, and sign it in.

        Raises:
            SignInRefused: the link was used, expired, or never given out.
            Invalid: the name is taken or none, or the password too easy to guess; the link still works.
            TooManyAttempts: too many attempts.
        """
        await self.pace(f"setup {place_of(address)}", _PER_ADDRESS)
        operators = self._store.operators
        grant = self._check_setup(await operators.granted(digest(token)))
        name = check_name(name)
        known = await operators.find(name)
        if grant.operator and (grant.operator != name or known is None):
            raise Invalid(
                "the link is for another operator", msg="这个链接是给另一位管理员的", param="name"
            )
        if not grant.operator and known is not None:
            raise Invalid(f"an operator named {name!r} exists", msg="已有这个名字", param="name")
        check_new(password, name)
        hashed = await self._passwords.hash(password)
        grant = self._check_setup(await operators.take(digest(token)))
        if known is None:
            known = OperatorRecord(
                name=name, role=grant.role, password_hash=hashed, created_at=self.clock.now()
            )
            entry = self._entry(
                "setup", "operator.create", name, address, after={"role": grant.role}
            )
            await operators.add(known, audit=entry)
        else:
            await self._replace_password(known, hashed, "setup", address)
        return await self.open_session(known, address)

    async def pace(self, subject: str, pace: Pace) -> None:
        """Count an attempt. Raises `TooManyAttempts` where it comes too soon."""
        wait = await self._store.operators.attempt(digest(subject), pace, self.clock.now())
        if wait:
            log.warning("admin.too_many_attempts", wait_s=round(wait, 1))
            raise TooManyAttempts(wait)

    def _entry(
        self,
        actor: str,
        action: str,
        target: str,
        address: Address | None,
        *,
        after: dict[str, object] | None = None,
    ) -> AuditRecord:
        return auditor(actor, self.clock, address)(action, target, after=after)

    async def _known(self, token: str, kind: GrantKind) -> Operator:
        """Whom a token lets in. Its digest is looked for, so that nothing can be learnt from how long that takes."""
        grant = await self._store.operators.granted(digest(token)) if token else None
        if grant is not None and grant.kind == kind and is_live(grant, self.clock.now()):
            record = await self._store.operators.find(grant.operator)
            if record is not None:
                role: Role = record.role if grant.role == "operator" else "viewer"
                return Operator(record.name, role, grant)
        raise SignInRefused(
            "nobody is signed in; sign in at /admin/, or send Authorization: Bearer with an admin token",
            msg="请先登录",
        )

    async def _set_password(
        self,
        record: OperatorRecord,
        password: str,
        actor: str,
        address: Address | None,
        *,
        keep: str = "",
    ) -> None:
        check_new(password, record.name)
        hashed = await self._passwords.hash(password)
        await self._replace_password(record, hashed, actor, address, keep=keep)

    async def _replace_password(
        self,
        record: OperatorRecord,
        hashed: str,
        actor: str,
        address: Address | None,
        *,
        keep: str = "",
    ) -> None:
        await self._store.operators.replace(
            replace(record, password_hash=hashed),
            audit=self._entry(actor, "operator.password", record.name, address),
        )
        await self._store.operators.end(record.name, "session", keep=keep)

    def _check_setup(self, grant: GrantRecord | None) -> GrantRecord:
        if grant is None or grant.kind != "setup" or not is_live(grant, self.clock.now()):
            raise SignInRefused(
                "the link was used, expired or never given out; make another with: fengchao admin setup-link",
                msg="链接已用过、已过期或不存在；请用 fengchao admin setup-link 重新生成",
            )
        return grant


def place_of(address: Address | None) -> str:
    """What an address is counted under: an IPv6 network is one place, for its owner has all of its addresses."""
    if address is None or address.version == 4:
        return str(address)
    return str(ip_network((address, 64), strict=False))
