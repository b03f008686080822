"""The preset instructions in force: the product's, the plugins' and, over both, those that operators wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from typing_extensions import override

from fengchao_core.errors import SetupError
from fengchao_core.live import Follower
from fengchao_core.logs import Log
from fengchao_core.prompts import DEFAULT_PREFIX, PromptLibrary, PromptTemplate
from fengchao_core.store.prompts import PromptStore, PromptVersion

log = Log()


class LivePrompts(Follower):
    """
    The library in force. Its owner awaits `open()` once, and runs `run()`.

    Args:
        store: what operators wrote.
        layers: what the library is made of below that.

    Attributes:
        library: take it once per request.
        layers: as given.

    Raises:
        SetupError: the layers make no library.
    """

    def __init__(self, store: PromptStore, *layers: Iterable[PromptTemplate]) -> None:
        super().__init__(store, "prompts")
        self.layers = tuple(tuple(layer) for layer in layers)
        self.library = PromptLibrary(*self.layers)
        self._store = store

    @override
    async def _load(self) -> int:
        revision = await self._store.revision()
        written = to_templates(await self._store.newest())
        try:
            self.library = PromptLibrary(*self.layers, written)
        except SetupError:  # the database was changed by hand: what is sound stays in force
            self.library = PromptLibrary(*self.layers, self._sound(written))
        return revision

    def _sound(self, written: Sequence[PromptTemplate]) -> list[PromptTemplate]:
        sound: list[PromptTemplate] = []
        for template in written:
            try:
                PromptLibrary(*self.layers, [*sound, template])
            except SetupError:
                log.exception("prompts.left_out", prompt=template.id)
            else:
                sound.append(template)
        return sound


def to_templates(versions: Iterable[PromptVersion]) -> list[PromptTemplate]:
    """The templates of the presets' newest versions, without those that were removed."""
    return [to_template(version) for version in versions if not version.removed]


def to_template(version: PromptVersion) -> PromptTemplate:
    """A version as the library takes it."""
    return PromptTemplate(
        id=version.id,
        prompt=version.prompt,
        created=version.created_at,
        prefix=DEFAULT_PREFIX if version.prefix is None else version.prefix,
        system=version.system,
    )
