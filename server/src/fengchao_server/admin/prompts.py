"""The preset instructions: listed, added, changed, rolled back and removed, with all their versions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import Field

from fengchao_core.errors import InvalidParameter
from fengchao_core.prompt_keeping import TEXTS
from fengchao_server.admin.reading import Asked, answer, query, read
from fengchao_server.admin.shape import AdminShape
from fengchao_server.described import Described
from fengchao_server.refusals import Conflict, Invalid, NoSuchThing
from fengchao_server.routes import Route

if TYPE_CHECKING:
    from fengchao_core.prompt_keeping import PromptKeeper
    from fengchao_core.store import PromptVersion
    from fengchao_server.answers import Answer
    from fengchao_server.call import Call


class PresetToAdd(Asked):
    """A preset instruction to be added."""

    id: str = Field(description="名称，调用方用它点这条指令")
    prompt: str = Field(description="指令，含 {{query}}")
    prefix: str | None = Field(default=None, description="system 消息的模板；缺省 {{system}}")
    system: str | None = Field(default=None, description="system 文本；缺省随“默认”，空为没有")
    comment: str = Field(default="", description="为什么")


class PresetToEdit(Asked):
    """What of a preset is to be changed; what is left out stays."""

    prompt: str = Field(default="", description="指令，含 {{query}}")
    prefix: str | None = Field(default=None, description="system 消息的模板；null 为 {{system}}")
    system: str | None = Field(default=None, description="system 文本；null 为随“默认”")
    comment: str = Field(default="", description="为什么")
    after: int | None = Field(default=None, description="看到的版本；别人改过就拒绝")


class Rollback(Asked):
    """Which version is to be brought back."""

    version: int = Field(ge=0, description="版本；0 为自带的")
    comment: str = Field(default="", description="为什么")


class Preset(Described):
    """A preset in force."""

    id: str
    version: int
    shipped: bool
    prompt: str
    prefix: str
    system: str | None
    created_at: datetime


class Presets(Described):
    """Every preset in force, as callers see them."""

    prompts: list[Preset]


class Version(Described):
    """One version of a preset; 0 is the shipped one."""

    id: str
    version: int
    prompt: str
    prefix: str | None
    system: str | None
    removed: bool
    author: str
    comment: str
    created_at: datetime


class History(Described):
    """Every version of a preset, newest first."""

    versions: list[Version]


def routes() -> list[Route]:
    """The routes of this module."""
    admin = AdminShape()
    return [
        Route(
            method="GET", path="/admin/prompts", handler=list_presets, shape=admin, auth="operator",
            summary="列出预设指令 List presets", gives=Presets,
        ),
        Route(
            method="POST", path="/admin/prompts", handler=add, shape=admin, auth="operator", body="own",
            summary="新增预设指令，从下一个请求起生效 Add a preset", takes=PresetToAdd, gives=Version, status=201,
        ),
        Route(
            method="GET", path="/admin/prompts/{id}", handler=show, shape=admin, auth="operator",
            summary="查看预设指令的一个版本 Show a preset", query=("version?",), gives=Version,
        ),
        Route(
            method="PATCH", path="/admin/prompts/{id}", handler=edit, shape=admin, auth="operator", body="own",
            summary="修改预设指令，成为新版本 Change a preset", takes=PresetToEdit, gives=Version,
        ),
        Route(
            method="GET", path="/admin/prompts/{id}/history", handler=history, shape=admin, auth="operator",
            summary="预设指令的所有版本 A preset's versions", gives=History,
        ),
        Route(
            method="POST", path="/admin/prompts/{id}/rollback", handler=rollback, shape=admin, auth="operator",
            body="own", summary="恢复旧版本 Bring an old version back", takes=Rollback, gives=Version,
        ),
        Route(
            method="DELETE", path="/admin/prompts/{id}", handler=remove, shape=admin, auth="operator",
            summary="移除预设指令；自带的恢复原样 Remove a preset", gives=Version,
        ),
    ]  # fmt: skip


async def list_presets(call: Call) -> Answer:
    """Every preset in force."""
    presets = await _keeper(call).presets()
    return answer(
        {
            "prompts": [
                {
                    "id": preset.template.id,
                    "version": preset.version,
                    "shipped": preset.shipped,
                    "prompt": preset.template.prompt,
                    "prefix": preset.template.prefix,
                    "system": preset.template.system,
                    "created_at": preset.template.created,
                }
                for preset in presets
            ]
        }
    )


async def add(call: Call) -> Answer:
    """Add a preset."""
    asked = await read(call, PresetToAdd)
    version = await _keeper(call).add(
        asked.id,
        asked.prompt,
        prefix=asked.prefix,
        system=asked.system,
        author=call.who.actor,
        comment=asked.comment,
    )
    return await _done(call, version, status=201)


async def show(call: Call) -> Answer:
    """One version, the newest unless the query names another."""
    wanted = query(call, ("version",)).get("version")
    if wanted is not None and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 10):
        raise Invalid("'version' must be a number", msg="version 应为数字", param="version")
    keeper, id_ = await _found(call)
    try:
        return answer(await keeper.show(id_, version=None if wanted is None else int(wanted)))
    except InvalidParameter as error:
        raise NoSuchThing(str(error), msg="没有这个版本", param="version") from error


async def edit(call: Call) -> Answer:
    """Write another version."""
    asked = await read(call, PresetToEdit)
    keeper, id_ = await _found(call)
    texts: dict[str, str | None] = {
        name: getattr(asked, name) for name in TEXTS if name in asked.model_fields_set
    }
    if not texts:
        raise Invalid("nothing is to be changed", msg="没有要修改的内容")
    try:
        version = await keeper.edit(
            id_, texts, author=call.who.actor, comment=asked.comment, after=asked.after
        )
    except InvalidParameter as error:
        if error.param != "after":
            raise
        raise Conflict(str(error), msg="别人刚改过，请看过再改", param="after") from error
    return await _done(call, version)


async def history(call: Call) -> Answer:
    """Every version."""
    keeper, id_ = await _found(call)
    return answer({"versions": list(await keeper.history(id_))})


async def rollback(call: Call) -> Answer:
    """Bring an old version back."""
    asked = await read(call, Rollback)
    keeper, id_ = await _found(call)
    version = await keeper.rollback(
        id_, asked.version, author=call.who.actor, comment=asked.comment
    )
    return await _done(call, version)


async def remove(call: Call) -> Answer:
    """Remove what operators wrote of a preset."""
    keeper, id_ = await _found(call)
    return await _done(call, await keeper.remove(id_, author=call.who.actor))


def _keeper(call: Call) -> PromptKeeper:
    return call.gateway.prompt_keeper(call.entry)


async def _found(call: Call) -> tuple[PromptKeeper, str]:
    """The keeper and the id of a preset that is or was there."""
    keeper, id_ = _keeper(call), call.params["id"]
    try:
        await keeper.history(id_)
    except InvalidParameter as error:
        raise NoSuchThing(str(error), msg="没有这条指令", param="id") from error
    return keeper, id_


async def _done(call: Call, version: PromptVersion, *, status: int = 200) -> Answer:
    await call.gateway.refresh()
    return answer(version, status=status)
