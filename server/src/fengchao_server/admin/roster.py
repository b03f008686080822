"""Who may sign in: operators are listed and removed here, setup links and tokens for scripts made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fengchao_core.store import Role
from fengchao_server.admin.grants import is_live, new_grant
from fengchao_server.admin.people import Person, TokenFacts, check_name, is_name
from fengchao_server.refusals import Conflict, Invalid, NoSuchThing

if TYPE_CHECKING:
    from fengchao_core import Store
    from fengchao_core.clock import Clock
    from fengchao_core.settings import Settings
    from fengchao_server.auditing import Auditor


class Roster:
    """The operators of a gateway. Every change says who makes it."""

    def __init__(self, store: Store, settings: Settings, *, clock: Clock) -> None:
        self._store = store
        self._settings = settings.admin
        self._clock = clock

    @property
    def setup_link_s(self) -> float:
        """How long a setup link works."""
        return self._settings.setup_link_s

    async def make_setup_link(self, by: Auditor, *, name: str = "", role: Role = "operator") -> str:
        """
        A token with which a password can be set, once.

        Args:
            name: whose password; empty: a new operator chooses its name.
            role: of the new operator.

        Raises:
            Invalid: there is no operator of this name.
        """
        if name and (not is_name(name) or await self._store.operators.find(name) is None):
            raise Invalid(
                f"there is no operator named {name!r}", msg="没有这个管理员", param="name"
            )
        token, grant = new_grant(
            "setup", name, role, self._clock.now(), self._settings.setup_link_s
        )
        entry = by("setup_link.make", name, after={"role": role})
        await self._store.operators.grant(grant, audit=entry)
        return token

    async def make_token(
        self,
        by: Auditor,
        operator: str,
        label: str,
        *,
        role: Role = "operator",
        lifetime_s: float | None = None,
    ) -> str:
        """
        A token for scripts, to be sent as `Authorization: Bearer`. It may do what its operator may, and no more.

        Args:
            label: its name, unique for the operator.
            role: `viewer` makes one that only reads.
            lifetime_s: None: until it is ended.

        Raises:
            Invalid: there is no such operator, or the label is taken or none.
        """
        label = check_name(label, param="label")
        if await self._store.operators.find(operator) is None:
            raise Invalid(
                f"there is no operator named {operator!r}", msg="没有这个管理员", param="name"
            )
        for grant in await self._store.operators.grants("token"):
            if (grant.operator, grant.label) == (operator, label) and is_live(
                grant, self._clock.now()
            ):
                raise Invalid(
                    f"a token named {label!r} exists", msg="已有这个名字的 token", param="label"
                )
        token, grant = new_grant(
            "token", operator, role, self._clock.now(), lifetime_s, label=label
        )
        entry = by("token.create", f"{operator}/{label}", after={"role": role})
        await self._store.operators.grant(grant, audit=entry)
        return token

    async def end_token(self, by: Auditor, operator: str, label: str) -> None:
        """End a token for scripts. Raises `NoSuchThing`."""
        for grant in await self._store.operators.grants("token"):
            if (grant.operator, grant.label) == (operator, label):
                audit = by("token.end", f"{operator}/{label}")
                await self._store.operators.take(grant.digest, audit=audit)
                return
        raise NoSuchThing(
            f"{operator!r} has no token named {label!r}", msg="没有这个 token", param="label"
        )

    async def people(self) -> list[Person]:
        """Every operator with its tokens, by name."""
        tokens = await self._store.operators.grants("token")
        return [
            Person(
                name=record.name,
                role=record.role,
                created_at=record.created_at.isoformat(),
                tokens=[
                    TokenFacts(
                        label=grant.label,
                        role=grant.role,
                        created_at=grant.created_at.isoformat(),
                        expires_at=None
                        if grant.expires_at is None
                        else grant.expires_at.isoformat(),
                    )
                    for grant in tokens
                    if grant.operator == record.name and is_live(grant, self._clock.now())
                ],
            )
            for record in await self._store.operators.all()
        ]

    async def remove(self, by: Auditor, name: str) -> None:
        """
        Remove an operator; its sessions and tokens end.

        Raises:
            NoSuchThing: there is none of this name.
            Conflict: nobody would be left who may change anything.
        """
        others = [other for other in await self._store.operators.all() if other.name != name]
        record = await self._store.operators.find(name) if is_name(name) else None
        if record is None:
            raise NoSuchThing(
                f"there is no operator named {name!r}", msg="没有这个管理员", param="name"
            )
        if record.role == "operator" and not any(other.role == "operator" for other in others):
            raise Conflict(
                "this is the last operator; make another one first",
                msg="这是最后一个管理员，请先添加别的",
                param="name",
            )
        audit = by("operator.remove", name, before={"role": record.role})
        await self._store.operators.remove(name, audit=audit)

    async def has_operators(self) -> bool:
        """Whether anybody can sign in."""
        return bool(await self._store.operators.all())
