"""What is gathered before a model answers: pages of the web, and the answers of other models."""

from __future__ import annotations

from dataclasses import field

from fengchao_core.types.models import Money
from fengchao_core.types.shared import dataclass
from fengchao_core.types.using import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class WebSearch:
    """
    How a caller wants the web searched before the answer.

    Attributes:
        top_k: how many pages at most, 1 to 50.
        min_score: least relevance of a page, 0 to 1; 0 keeps every page.
    """

    top_k: int = 5
    min_score: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """
    What a search provider receives.

    Attributes:
        query: what to look for, in the caller's words.
        count: how many pages at most.
        engine: the vendor's name of a search engine; None takes the provider's own choice.
        request_id: unique for this search, for vendors that take one.
    """

    query: str
    count: int = 5
    engine: str | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class WebPage:
    """
    A page that was found.

    Attributes:
        text: what of the page answers the query.
        site: the site's name; empty where it is not known.
        published: when, in the vendor's words; empty where it does not say.
        score: relevance to the query, 0 to 1; None where nobody measured it yet.
    """

    title: str
    url: str
    text: str = ""
    site: str = ""
    published: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The pages that a search provider found, best first."""

    pages: tuple[WebPage, ...]


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """
    What one of several models answered to the question that is put to all of them.

    Attributes:
        model: its name as the caller gave it.
        text: its answer; empty where it failed.
        error: why it failed; None where it answered.
        usage: its own, not part of the merged answer's.
        cost: what that costs; None where the model has no price.
    """

    model: str
    text: str = ""
    error: Exception | None = None
    usage: Usage = NO_USAGE
    cost: Money | None = None


@dataclass(slots=True)
class Gathered:
    """
    What one request gathered before its model was asked.

    Attributes:
        pages: pages of the web, in the order of the numbers by which the model may cite them, from 1.
        search_error: why the web could not be searched; None where it was, or was not to be.
        companions: the models that are asked the question as well.
        partials: what they answered, in their order; empty until they have.
    """

    pages: tuple[WebPage, ...] = ()
    search_error: Exception | None = None
    companions: tuple[str, ...] = field(default_factory=tuple)
    partials: tuple[PartialAnswer, ...] = ()
