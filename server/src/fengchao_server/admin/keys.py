"""The security centre: callers' keys are made, looked at, changed, rotated and revoked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fengchao_core.limits import KeyLimits
from fengchao_server.admin.reading import Asked, answer, query, read
from fengchao_server.admin.shape import AdminShape
from fengchao_server.described import Described
from fengchao_server.keyring import GRACE, LONGEST_GRACE
from fengchao_server.refusals import Invalid
from fengchao_server.routes import Route
from fengchao_server.terms import (
    LONGEST_NAME,
    LONGEST_NOTE,
    MOST_ADDRESSES,
    MOST_MODELS,
    KeyTerms,
    check_group,
    facts,
    state_of,
)

if TYPE_CHECKING:
    from fengchao_core.store import KeyRecord
    from fengchao_server.answers import Answer
    from fengchao_server.call import Call
    from fengchao_server.credentials import NewKey


class Terms(Asked):
    """What may be set of a key. What is left out stays as it is; of a new key: without limits."""

    models: tuple[str, ...] = Field(
        default=(), max_length=MOST_MODELS, description="允许的模型，空为不限"
    )
    addresses: tuple[str, ...] = Field(
        default=(), max_length=MOST_ADDRESSES, description="允许的地址（CIDR），空为不限"
    )
    group: str = Field(
        default="", max_length=LONGEST_NAME, description="所属的组，须在设置的 [groups] 里"
    )
    limits: dict[str, Any] | None = Field(default=None, description="限额")
    expires_at: datetime | None = Field(default=None, description="到期时间，带时区；null 为不过期")
    note: str = Field(default="", max_length=LONGEST_NOTE, description="备注")


class KeyToMake(Terms):
    """A key to be made."""

    name: str = Field(
        min_length=1, max_length=LONGEST_NAME, description="给谁用；有效的密钥中不能重名"
    )


class KeyToChange(Terms):
    """What of a key is to be changed."""

    name: str = Field(default="", description="新名字")


class Rotation(Asked):
    """How a key is rotated."""

    grace_s: int = Field(
        default=int(GRACE.total_seconds()),
        ge=0,
        le=int(LONGEST_GRACE.total_seconds()),
        description="旧 secret 继续有效多少秒，0 为立即失效",
    )


class Key(Described):
    """A key, without its secret."""

    name: str
    api_key: str
    state: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    old_secret_until: datetime | None
    models: list[str]
    addresses: list[str]
    group: str
    limits: dict[str, Any]
    note: str


class Keys(Described):
    """All keys, oldest first."""

    keys: list[Key]


class Secrets(Described):
    """A key at the only moment when its secret can be read."""

    name: str
    api_key: str
    secret_key: str
    token: str


def routes() -> list[Route]:
    """The routes of this module."""
    admin = AdminShape()
    return [
        Route(
            method="GET", path="/admin/keys", handler=list_keys, shape=admin, auth="operator",
            summary="列出密钥 List keys", query=("state?",), gives=Keys,
        ),
        Route(
            method="POST", path="/admin/keys", handler=create, shape=admin, auth="operator", body="own",
            summary="生成密钥，secret 只显示这一次 Make a key", takes=KeyToMake, gives=Secrets, status=201,
        ),
        Route(
            method="GET", path="/admin/keys/{key}", handler=show, shape=admin, auth="operator",
            summary="查看密钥 Show a key", gives=Key,
        ),
        Route(
            method="PATCH", path="/admin/keys/{key}", handler=update, shape=admin, auth="operator", body="own",
            summary="修改密钥 Change a key", takes=KeyToChange, gives=Key,
        ),
        Route(
            method="DELETE", path="/admin/keys/{key}", handler=revoke, shape=admin, auth="operator",
            summary="吊销密钥 Revoke a key", gives=Key,
        ),
        Route(
            method="POST", path="/admin/keys/{key}/rotate", handler=rotate, shape=admin, auth="operator", body="own",
            summary="更换 secret，旧的在宽限期内有效 Rotate a key", takes=Rotation, gives=Secrets,
        ),
        Route(
            method="DELETE", path="/admin/keys/{key}/grace", handler=end_grace, shape=admin, auth="operator",
            summary="立即结束旧 secret 的宽限期 End the grace of the old secret", gives=Key,
        ),
    ]  # fmt: skip


async def list_keys(call: Call) -> Answer:
    """Every key, or those of one state."""
    wanted = query(call, ("state",)).get("state")
    if wanted not in (None, "live", "expired", "revoked"):
        raise Invalid(
            "'state' must be live, expired or revoked",
            msg="state 应为 live、expired 或 revoked",
            param="state",
        )
    await call.keyring.refresh()
    keys = [_shown(call, record) for record in call.keyring.records]
    return answer({"keys": [key for key in keys if wanted in (None, key["state"])]})


async def create(call: Call) -> Answer:
    """Make a key."""
    asked = await read(call, KeyToMake)
    check_group(asked.group, call.gateway.settings.groups)
    key = await call.keyring.create(
        asked.name,
        models=asked.models,
        addresses=asked.addresses,
        group=asked.group,
        limits=_limits(asked.limits),
        expires_at=asked.expires_at,
        note=asked.note,
        by=call.entry,
    )
    return answer(_secrets(key), status=201)


async def show(call: Call) -> Answer:
    """One key."""
    return answer(_shown(call, await call.keyring.find(call.params["key"])))


async def update(call: Call) -> Answer:
    """Change what the body names, and nothing else."""
    asked = await read(call, KeyToChange)
    check_group(asked.group, call.gateway.settings.groups)
    given: dict[str, Any] = {name: getattr(asked, name) for name in asked.model_fields_set}
    if "limits" in given:
        given["limits"] = _limits(asked.limits)

    def changed(terms: KeyTerms) -> KeyTerms:
        return replace(terms, **given)

    record = await call.keyring.update(call.params["key"], changed, by=call.entry)
    return answer(_shown(call, record))


async def rotate(call: Call) -> Answer:
    """Give a key a new secret."""
    asked = await read(call, Rotation)
    grace = timedelta(seconds=asked.grace_s)
    key = await call.keyring.rotate(call.params["key"], grace=grace, by=call.entry)
    return answer(_secrets(key))


async def end_grace(call: Call) -> Answer:
    """End the grace of a key's old secret."""
    return answer(_shown(call, await call.keyring.end_grace(call.params["key"], by=call.entry)))


async def revoke(call: Call) -> Answer:
    """Revoke a key for good."""
    return answer(_shown(call, await call.keyring.revoke(call.params["key"], by=call.entry)))


def _limits(given: dict[str, Any] | None) -> KeyLimits | None:
    return KeyLimits.from_json(given) if given else None


def _shown(call: Call, record: KeyRecord) -> dict[str, object]:
    return {**facts(record), "state": state_of(record, call.desk.clock.now())}


def _secrets(key: NewKey) -> dict[str, str]:
    return {
        "name": key.name,
        "api_key": key.api_key,
        "secret_key": key.secret_key,
        "token": key.token,
    }
