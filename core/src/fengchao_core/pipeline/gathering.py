"""What a call wants beyond its own model, seen to before that model is asked: other models checked, the web searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fengchao_core.aggregate import check_companions, unknown_companion
from fengchao_core.conversations import last_question
from fengchao_core.errors import ProviderError, UnknownModel
from fengchao_core.logs import Log
from fengchao_core.searching import SEARCH, check_search, screened_pages
from fengchao_core.types import ChatCall, Gathered, WebPage, WebSearch

if TYPE_CHECKING:
    from fengchao_core.assembly import Parts
    from fengchao_core.caller import Caller
    from fengchao_core.pipeline.admission import Admission
    from fengchao_core.pipeline.books import Books
    from fengchao_core.screening import Screening
    from fengchao_core.searching import Searcher

log = Log()


@dataclass(frozen=True, slots=True)
class Gathering:
    """Gathers for one call; made for those alone that want it."""

    admission: Admission
    books: Books
    parts: Parts
    caller: Caller
    screening: Screening | None

    async def check(self, call: ChatCall) -> Gathered | None:
        """
        Refuse what can be refused for free.

        Returns:
            where to put what is gathered, the models to ask as well in it; None where nothing is.

        Raises:
            CallError: a model is not known or not allowed, there is nobody to search, or the JSON schema is none.
        """
        if call.params.response_format is not None:
            from fengchao_core.structured import check_form  # loaded only where it is wanted

            check_form(call.params.response_format)
        if call.search is not None:
            check_search(call.search, self.parts.searcher)
        elif not call.aggregate:
            return None
        return Gathered(companions=await self._companions(call))

    async def search(
        self, gathered: Gathered | None, call: ChatCall, id_: str, request_id: str
    ) -> None:
        """
        Look the question up on the web, where the call wants it. A failure is kept, not raised.

        Args:
            id_: of the call's own usage row, with which the search's row begins.

        Raises:
            SensitiveContent: a word list blocked what was to be searched for.
        """
        searcher = self.parts.searcher
        if gathered is None or call.search is None or searcher is None:
            return
        query = call.query if call.query is not None else last_question(call.messages)
        if not query.strip():  # refused in its own words when the conversation is composed
            return
        if self.screening is not None:
            query = self.screening.input(query)
        try:
            pages = await self._found(searcher, query, call.search, id_, request_id)
            gathered.pages = screened_pages(pages, self.screening)
        except ProviderError as error:
            gathered.search_error = error
            log.warning("search.failed", provider=searcher.name, error=type(error).__name__)

    async def _companions(self, call: ChatCall) -> tuple[str, ...]:
        entries = []
        for name in call.aggregate:
            try:
                entries.append(await self.admission.find(name, "chat", self.caller))
            except UnknownModel as error:
                raise unknown_companion(error, name) from error
        most = self.parts.settings.aggregate.max_models
        return check_companions(call.aggregate, entries, most)

    async def _found(
        self, searcher: Searcher, query: str, wanted: WebSearch, id_: str, request_id: str
    ) -> tuple[WebPage, ...]:
        """Search, booked as a request of its own."""
        with self.books.booked(
            "web_search", SEARCH, self.caller, id_=f"{id_}-s", request_id=request_id
        ) as meter:
            await self.books.reserve(
                meter, searcher.card, (), self.caller, "web_search", model=SEARCH, is_part=True
            )
            meter.asking(searcher.name, searcher.card)
            pages = await searcher.find(query, wanted, meter.id)
            meter.searched()
        return pages
