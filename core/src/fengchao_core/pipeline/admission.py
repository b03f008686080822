"""What is refused for free, and what is said: a call becomes a conversation that a model can take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fengchao_core.caller import Caller
from fengchao_core.catalog import Entry
from fengchao_core.compose import compose
from fengchao_core.errors import (
    InvalidParameter,
    PermissionDenied,
    UnknownKnowledge,
    WrongChannel,
)
from fengchao_core.files import OpenFile
from fengchao_core.files.attaching import documents, notes_of, shown
from fengchao_core.media import check_capable, media_of, needs_of, resolve
from fengchao_core.retrieval import Passage, Retriever
from fengchao_core.routing import Deployment
from fengchao_core.searching import with_pages
from fengchao_core.types import Capability, ChatCall, Gathered, Message, ModelCard
from fengchao_core.window import Fitted, check_history, fit

if TYPE_CHECKING:
    from fengchao_core.assembly import Parts
    from fengchao_core.screening import CleanTexts, Screening

LONG_TEXT = 20_000
"""Characters beyond which a text is screened and measured in a thread."""


class Admission:
    """Which model a caller may ask, and with what words. One for a gateway."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog
        self._known: CleanTexts | None = None

    def admit(self, call: ChatCall, entry: Entry, caller: Caller) -> None:
        """Check that a caller may chat with a model, on the channel the call came by. Raises `CallError`."""
        _check(entry, "chat", caller)
        if call.channel is not None and entry.card.is_local != (call.channel == "local"):
            kind = "a local model" if entry.card.is_local else "an online model"
            raise WrongChannel(
                f"model {entry.card.id!r} is {kind}; ask it on that channel",
                is_local=entry.card.is_local,
            )

    async def find(self, model: str, kind: str, caller: Caller) -> Entry:
        """The model, where the caller may ask it. Raises `CallError`."""
        entry = self._catalog.get(model) or await self._catalog.find(model)
        _check(entry, kind, caller)
        return entry

    @property
    def is_stale(self) -> bool:
        """Whether operators changed something since the last request, so that `follow` is due: two looks into memory."""
        words = self._parts.words
        return self._parts.prompts.is_stale or (words is not None and words.is_stale)

    async def follow(self) -> None:
        """Bring in force what operators changed since the last request."""
        prompts, words = self._parts.prompts, self._parts.words
        if prompts.is_stale:
            await prompts.refresh()
        if words is not None and words.is_stale:
            await words.refresh()

    def screening(self, *, is_sensitive: bool, replace_words: bool) -> Screening | None:
        """The word filter of a request that begins now; None where there is nothing to filter."""
        words = self._parts.words
        lexicon = words.lexicon if words is not None and is_sensitive else None
        if lexicon is None:
            return None
        known = self._known
        if known is None or known.lexicon is not lexicon:
            from fengchao_core.screening import CleanTexts  # loaded only where there are words

            known = self._known = CleanTexts(lexicon)
        if self._parts.settings.sensitive.log_text:
            from fengchao_core.screening_log import LoggedScreening  # rare

            return LoggedScreening(known, replace=replace_words, telemetry=self._parts.telemetry)
        return known.screening(replace=replace_words, telemetry=self._parts.telemetry)

    async def retrieve(self, call: ChatCall) -> tuple[Passage, ...]:
        """The passages of the knowledge base that the call names."""
        knowledge = call.knowledge or ""
        return await self.retriever(knowledge).retrieve(
            knowledge,
            call.query or "",
            top_k=call.knowledge_top_k,
            threshold=call.knowledge_threshold,
        )

    def retriever(self, knowledge: str) -> Retriever:
        """What looks things up in a knowledge base. Raises `UnknownKnowledge`."""
        for retriever in self._parts.retrievers:
            if any(base.id == knowledge for base in retriever.bases()):
                return retriever
        known = ", ".join(
            repr(base.id) for retriever in self._parts.retrievers for base in retriever.bases()
        )
        raise UnknownKnowledge(
            f"no knowledge base of this name; known: {known or 'none'}", param="knowledge"
        )

    async def open_files(
        self, call: ChatCall, caller: Caller
    ) -> tuple[ChatCall, tuple[OpenFile, ...]]:
        """The call with the pictures and films among its files, and all of them."""
        files = await self._parts.files.open(call.files, caller)
        parts = await shown(self._parts.files, files)
        return replace(call, attachments=(*parts, *call.attachments)), files

    def is_long(self, call: ChatCall, files: Sequence[OpenFile]) -> bool:
        """Whether `fitted` takes longer than the other requests should wait, so that it belongs in a thread."""
        length = call.length
        for file in files:
            length += file.record.chars or 0
        return length >= LONG_TEXT

    def fitted(
        self,
        call: ChatCall,
        passages: tuple[Passage, ...],
        gathered: Gathered | None,
        screening: Screening | None,
        card: ModelCard,
        *,
        files: tuple[OpenFile, ...],
    ) -> Fitted:
        """
        The conversation to send, screened, within the window of its model.

        A caller that brings its own messages minds their order and length itself.

        Raises:
            CallError: it cannot be sent.
            SensitiveContent: a word list blocked it.
        """
        if call.history:
            check_history(call.history)
        messages = compose(call, self._parts.prompts.library, passages, screening)
        if gathered is not None and gathered.pages:
            most = self._parts.settings.search.page_chars
            messages = with_pages(messages, gathered.pages, most, card.max_input_tokens)
        if call.messages:
            return Fitted(messages)
        if not files:
            return fit(messages, card.max_input_tokens)
        texts, are_own = documents(files, None if screening is None else screening.input)
        fitted = fit(messages, card.max_input_tokens, texts)
        # A vendor may read a file itself only where that says the same as what was screened and is sent of it.
        may_read = bool(texts) and are_own and fitted.is_whole
        return fitted._replace(
            notes=(*notes_of(files), *fitted.notes),
            question=messages[-1] if may_read else None,
        )

    async def look_at_media(
        self, call: ChatCall, messages: tuple[Message, ...], entry: Entry
    ) -> tuple[tuple[Message, ...], frozenset[Capability]]:
        """The conversation with its pictures and films as they can be sent, and what a model needs for them."""
        media = media_of(messages)
        if not media:
            return messages, frozenset()
        needs = needs_of(media)
        check_capable(entry.card, needs, self._catalog.cards())
        checks = not call.messages
        if checks or not self._all_take_addresses(entry, needs):
            most = self._parts.settings.fetch.max_bytes
            messages = await resolve(messages, self._parts.fetcher, most, checks_data=checks)
        return messages, needs

    def _all_take_addresses(self, entry: Entry, needs: frozenset[Capability]) -> bool:
        groups = self.groups(entry, needs)
        return all(each.provider.takes_addresses for group in groups for each in group)

    def groups(
        self, entry: Entry, needs: frozenset[Capability] = frozenset()
    ) -> list[list[Deployment]]:
        """Who may be asked, the model's own deployments first; fallbacks only where they can do what is needed."""
        groups = [entry.deployments]
        for name in entry.fallbacks:
            fallback = self._catalog.get(name)
            if fallback is not None and (
                not needs or needs <= fallback.card.capabilities or not fallback.card.is_known
            ):
                groups.append(fallback.deployments)
        return groups


def _check(entry: Entry, kind: str, caller: Caller) -> None:
    card = entry.card
    if caller.models and card.id not in caller.models:
        raise PermissionDenied(f"this key may not use model {card.id!r}", param="model")
    if card.kind != kind:
        raise InvalidParameter(
            f"model {card.id!r} is for {card.kind}, not for {kind}", param="model"
        )
