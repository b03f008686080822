"""
Keeping the preset instructions: what operators do to them, checked before it reaches the store.

Version 0 of a preset is what the product or a plugin ships; what operators write over it counts from 1. Nothing is ever
overwritten: to roll back is to write an old text once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fengchao_core.clock import Clock, SystemClock
from fengchao_core.errors import InvalidParameter, SetupError
from fengchao_core.live_prompts import to_template, to_templates
from fengchao_core.prompts import PromptLibrary, PromptTemplate
from fengchao_core.store.audit import Journal
from fengchao_core.store.prompts import PromptStore, PromptVersion, check_newest

TEXTS: Final = ("prompt", "prefix", "system")
"""The fields of a preset that operators write."""

_LONGEST_ID: Final = 64
_LONGEST_TEXT: Final = 20_000
_LONGEST_COMMENT: Final = 500


@dataclass(frozen=True, slots=True)
class Preset:
    """
    A preset in force, and where it comes from.

    Attributes:
        version: of the operators; 0 as it is shipped.
        shipped: whether the product or a plugin brings one of this id.
    """

    template: PromptTemplate
    version: int
    shipped: bool


class PromptKeeper:
    """
    The presets of a store over those that are shipped.

    Args:
        store: where operators' versions are kept.
        layers: what is shipped: the product's, then the plugins'.
        journal: writes down who changed what; nobody does where not given.
    """

    def __init__(
        self,
        store: PromptStore,
        layers: Iterable[Iterable[PromptTemplate]],
        *,
        journal: Journal | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._layers = tuple(tuple(layer) for layer in layers)
        self._shipped = {template.id: template for layer in self._layers for template in layer}
        self._clock = clock or SystemClock()

    async def presets(self) -> tuple[Preset, ...]:
        """Every preset in force, in the order in which callers see them."""
        newest = await self._store.newest()
        versions = {version.id: version.version for version in newest if not version.removed}
        library = PromptLibrary(*self._layers, to_templates(newest))
        return tuple(
            Preset(template, versions.get(template.id, 0), template.id in self._shipped)
            for template in library
        )

    async def history(self, id_: str) -> tuple[PromptVersion, ...]:
        """
        Every version of a preset, newest first, the shipped one last.

        Raises:
            InvalidParameter: there never was one of this id.
        """
        versions = await self._store.history(id_)
        shipped = self._shipped.get(id_)
        if shipped is not None:
            versions = (*versions, _as_version(shipped))
        if not versions:
            raise _unknown(id_)
        return versions

    async def show(self, id_: str, *, version: int | None = None) -> PromptVersion:
        """
        One version of a preset, the newest where none is named. One that is removed is shown as such.

        Raises:
            InvalidParameter: there is none.
        """
        history = await self.history(id_)
        if version is None:
            newest = history[0]
            return history[-1] if newest.removed and id_ in self._shipped else newest
        for known in history:
            if known.version == version:
                return known
        raise InvalidParameter(f"preset {id_!r} has no version {version}", param="version")

    async def add(
        self,
        id_: str,
        prompt: str,
        *,
        prefix: str | None = None,
        system: str | None = None,
        author: str = "",
        comment: str = "",
    ) -> PromptVersion:
        """
        Write a new preset.

        Args:
            prompt: holds `{{query}}`.
            prefix: `{{system}}` where not given.
            system: the default's where not given; empty text means none.

        Raises:
            InvalidParameter: the id is taken, or a text is wrong.
        """
        if not id_.strip() or len(id_) > _LONGEST_ID or not id_.isprintable() or "{{" in id_:
            raise InvalidParameter(
                f"a preset has an id of 1 to {_LONGEST_ID} printable characters, without '{{{{'",
                param="id",
            )
        history = await self._store.history(id_)
        if id_ in self._shipped or (history and not history[0].removed):
            raise InvalidParameter(f"a preset {id_!r} is there already; edit it", param="id")
        texts = {"prompt": prompt, "prefix": prefix, "system": system}
        return await self._write(
            id_, texts, author, comment, after=len(history), action="prompt.add"
        )

    async def edit(
        self,
        id_: str,
        texts: Mapping[str, str | None],
        *,
        author: str = "",
        comment: str = "",
        after: int | None = None,
    ) -> PromptVersion:
        """
        Write another version of a preset, a shipped one too.

        Args:
            texts: some of `TEXTS`, as for `add`; what is not given stays.
            after: the version that the author saw; refused where somebody wrote another meanwhile.

        Raises:
            InvalidParameter: there is no such preset, a text is wrong, or it was changed meanwhile.
        """
        unknown = sorted(texts.keys() - set(TEXTS))
        if unknown:
            raise InvalidParameter(f"a preset has no {unknown[0]!r}", param=unknown[0])
        shown = await self.show(id_)
        if shown.removed:
            raise _unknown(id_)
        newest = await self._newest(id_)
        check_newest(newest, after)
        merged = {name: getattr(shown, name) for name in TEXTS} | dict(texts)
        return await self._write(id_, merged, author, comment, after=newest, action="prompt.edit")

    async def rollback(
        self, id_: str, version: int, *, author: str = "", comment: str = ""
    ) -> PromptVersion:
        """
        Bring an old version back, as the newest. Version 0 is the shipped one.

        Raises:
            InvalidParameter: there is no such version, or it is one that removed the preset.
        """
        old = await self.show(id_, version=version)
        if old.removed:
            raise InvalidParameter(
                f"version {version} removed the preset; name one that has a text", param="version"
            )
        comment = comment or f"rollback to version {version}"
        if version == 0:
            return await self._give_up(id_, author, comment)
        texts = {name: getattr(old, name) for name in TEXTS}
        return await self._write(
            id_, texts, author, comment, after=await self._newest(id_), action="prompt.rollback"
        )

    async def remove(self, id_: str, *, author: str = "", comment: str = "") -> PromptVersion:
        """
        Take a preset away; a shipped one is as it was shipped again. Its history stays.

        Raises:
            InvalidParameter: operators did not write it.
        """
        history = await self._store.history(id_)
        if not history or history[0].removed:
            if id_ in self._shipped:
                raise InvalidParameter(
                    f"preset {id_!r} is shipped and unchanged; it can be edited, not removed",
                    param="id",
                )
            raise _unknown(id_)
        return await self._give_up(id_, author, comment)

    async def _give_up(self, id_: str, author: str, comment: str) -> PromptVersion:
        version = PromptVersion(
            id=id_,
            prompt="",
            created_at=self._clock.now(),
            removed=True,
            author=author,
            comment=_comment(comment),
        )
        return await self._append(version, "prompt.remove", await self._newest(id_))

    async def _newest(self, id_: str) -> int:
        history = await self._store.history(id_)
        return history[0].version if history else 0

    async def _write(
        self,
        id_: str,
        texts: Mapping[str, str | None],
        author: str,
        comment: str,
        *,
        after: int,
        action: str,
    ) -> PromptVersion:
        for name, text in texts.items():
            if text is not None and (len(text) > _LONGEST_TEXT or "\0" in text):
                raise InvalidParameter(f"{name} has at most {_LONGEST_TEXT} characters", param=name)
        version = PromptVersion(
            id=id_,
            prompt=texts["prompt"] or "",
            prefix=texts["prefix"],
            system=texts["system"],
            created_at=self._clock.now(),
            author=author,
            comment=_comment(comment),
        )
        others = [v for v in await self._store.newest() if v.id != id_]
        try:
            PromptLibrary(*self._layers, [*to_templates(others), to_template(version)])
        except SetupError as error:
            raise InvalidParameter("; ".join(error.problems), param="prompt") from error
        return await self._append(version, action, after)

    async def _append(self, version: PromptVersion, action: str, after: int) -> PromptVersion:
        audit = None
        if self._journal is not None:
            audit = self._journal(
                action, version.id, before={"version": after}, after={"version": after + 1}
            )
        return await self._store.append(version, after=after, audit=audit)


def _as_version(template: PromptTemplate) -> PromptVersion:
    return PromptVersion(
        id=template.id,
        prompt=template.prompt,
        prefix=template.prefix,
        system=template.system,
        created_at=template.created,
        version=0,
    )


def _comment(text: str) -> str:
    if len(text) > _LONGEST_COMMENT or "\0" in text:
        raise InvalidParameter(
            f"a comment has at most {_LONGEST_COMMENT} characters", param="comment"
        )
    return text


def _unknown(id_: str) -> InvalidParameter:
    return InvalidParameter(f"there is no preset {id_[:_LONGEST_ID]!r}", param="id")
