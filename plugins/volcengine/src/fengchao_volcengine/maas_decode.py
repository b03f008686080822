"""Answers of the legacy MaaS API as deltas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from typing_extensions import override

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, Decoder
from fengchao_core.types import Delta
from fengchao_volcengine.maas_wire import rewrite


class MaasDecoder(Decoder):
    """The kit's decoder, for events that have to be rewritten first."""

    __slots__ = ()

    def __init__(self, *, classify: Classify, notes: Sequence[str] = ()) -> None:
        super().__init__(CHAT_COMPLETIONS, classify=classify, notes=notes)

    @override
    def decode(self, events: Iterable[bytes]) -> list[Delta]:
        return super().decode(map(rewrite, events))

    @override
    def whole(self, body: bytes) -> list[Delta]:
        return super().whole(rewrite(body))
