"""
What a request is expected to use, known before a vendor is asked: what limits hold back.

    limits.reserve(reservation)     may refuse; of callers that have limits
    ledger.begin(...)               never refuses, never waits
    ... the vendor is asked ...
    ledger.settle(row), limits.settle(reservation, row)

A pure estimate, cheap enough for every request: it looks at the length of texts, never at their characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from fengchao_core.types import ChatParams, Currency, Message, ModelCard, Price, Usage
from fengchao_core.types.messages import TextPart
from fengchao_core.types.shared import dataclass
from fengchao_core.usage import cost, estimate_length, estimate_tokens

USUAL_COMPLETION_TOKENS = 1024
"""The length of an answer that is expected where nobody said how long it may be."""

MESSAGE_TOKENS = 4
"""What a chat template puts around each message."""

PART_TOKENS = 1024
"""A picture, a film, a sound or a file in a message: what vendors charge for one of middling size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """
    One request that is about to be sent to a vendor.

    Attributes:
        id: of the request; its usage row has the same.
        request_id: the caller's id of the conversation, or `id`.
        key: the public half of the caller's key; `embedded` where there is none.
        group: the group of keys that the key belongs to; empty for none.
        model: as the caller asked for it.
        card: the card of the deployment that is likely asked.
        prompt_tokens: estimated.
        completion_tokens: the most that may come: `max_tokens` times `n` where given, else what is usual for the model.
        images: how many pictures are asked for.
        cost: of these tokens and pictures; None where the model has no price.
        started_at: when the request arrived, aware UTC.
        streamed: whether the caller wants deltas.
        operation: `chat`, `embeddings`, `image_generation`.
    """

    id: str
    request_id: str
    key: str
    group: str
    model: str
    card: ModelCard
    prompt_tokens: int
    completion_tokens: int
    images: int
    cost: Decimal | None
    currency: Currency | None
    started_at: datetime
    streamed: bool
    operation: str = "chat"

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


def expected_prompt(messages: Iterable[Message]) -> int:
    """
    The likely length of a conversation in tokens.

    Its time grows with the number of messages and the bytes of their text, at memory speed.
    """
    tokens = characters = size = 0
    for message in messages:
        content = message.content
        tokens += MESSAGE_TOKENS
        if isinstance(content, str):
            characters += len(content)
            size += len(content.encode("utf-8", "surrogatepass"))
        elif content:
            for part in content:
                if isinstance(part, TextPart):
                    characters += len(part.text)
                    size += len(part.text.encode("utf-8", "surrogatepass"))
                else:
                    tokens += PART_TOKENS
    return tokens + estimate_length(characters, size)


def expected_texts(texts: Iterable[str]) -> int:
    """The likely length in tokens of texts that are no conversation."""
    return sum(map(estimate_tokens, texts))


def expected_completion(params: ChatParams, card: ModelCard) -> int:
    """The most tokens that an answer may have, all choices together; what is usual where neither side said."""
    most = params.max_tokens
    if most is None:
        most = min(card.max_output_tokens or USUAL_COMPLETION_TOKENS, USUAL_COMPLETION_TOKENS)
    return most * (params.n or 1)


def reserve_chat(
    id_: str,
    card: ModelCard,
    messages: Iterable[Message],
    params: ChatParams,
    *,
    request_id: str,
    key: str,
    model: str,
    group: str = "",
    streamed: bool,
    started_at: datetime,
) -> Reservation:
    """The reservation of a chat, its money by the card's price of the day."""
    prompt, completion = expected_prompt(messages), expected_completion(params, card)
    price = _price(card, started_at)
    return Reservation(
        id=id_,
        request_id=request_id,
        key=key,
        group=group,
        model=model,
        card=card,
        prompt_tokens=prompt,
        completion_tokens=completion,
        images=0,
        cost=_money(price, prompt, completion, 0, started_at),
        currency=price.currency if price is not None else None,
        started_at=started_at,
        streamed=streamed,
    )


def reserve_once(
    id_: str,
    card: ModelCard,
    texts: Iterable[str],
    *,
    key: str,
    model: str,
    group: str = "",
    images: int = 0,
    started_at: datetime,
    operation: str,
) -> Reservation:
    """The reservation of embeddings or pictures: what goes in is tokens, what comes out is counted in pictures."""
    prompt = expected_texts(texts)
    price = _price(card, started_at)
    return Reservation(
        id=id_,
        request_id=id_,
        key=key,
        group=group,
        model=model,
        card=card,
        prompt_tokens=prompt,
        completion_tokens=0,
        images=images,
        cost=_money(price, prompt, 0, images, started_at),
        currency=price.currency if price is not None else None,
        started_at=started_at,
        streamed=False,
        operation=operation,
    )


def _price(card: ModelCard, started_at: datetime) -> Price | None:
    return card.price_on(started_at.astimezone(UTC).date()) if card.prices else None


def _money(
    price: Price | None, prompt_tokens: int, completion_tokens: int, images: int, at: datetime
) -> Decimal | None:
    if price is None:
        return None
    return cost(Usage(prompt_tokens, completion_tokens, images=images), price, at).amount
