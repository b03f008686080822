"""What `/v1` serves: chat completions and the list of models."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, time
from typing import Any

from fengchao_core.errors import UnknownModel
from fengchao_core.types import ModelCard
from fengchao_server.answers import Answer
from fengchao_server.call import Call
from fengchao_server.v1.chat_answer import Chunks, whole
from fengchao_server.v1.chat_request import read_chat
from fengchao_server.v1.rates import rate_headers


async def chat_completions(call: Call) -> Answer:
    """Answer a conversation, whole or as a stream."""
    body = read_chat(call.document, call.id)
    call.model = body.call.model
    gateway = call.gateway
    exchange = call.exchange = await gateway.prepare(
        body.call, stream=body.stream, caller=call.caller
    )
    if not body.stream:
        answer = whole(await gateway.complete(exchange), call.id)
        return Answer(answer, headers=rate_headers(call))
    chunks = Chunks(exchange, call.id, include_usage=body.include_usage)
    stream = call.events()
    stream.headers_too(rate_headers(call))
    async with aclosing(gateway.run(exchange)) as batches:
        async for batch in batches:
            if data := chunks.word(batch):
                stream.send(data)
                if stream.is_full:
                    await stream.drain()
    stream.finish(chunks.end())
    return stream


async def models(call: Call) -> Answer:
    """The models that the caller may use."""
    return Answer.json({"object": "list", "data": [_model(card) for card in await _usable(call)]})


async def model(call: Call) -> Answer:
    """One of them."""
    wanted = call.params["id"]
    for card in await _usable(call):
        if wanted == card.id or wanted in card.aliases:
            return Answer.json(_model(card))
    raise UnknownModel(
        "no model of this name can be asked; GET /v1/models lists them", param="model"
    )


async def _usable(call: Call) -> list[ModelCard]:
    allowed = call.caller.models
    return [card for card in await call.models() if not allowed or card.id in allowed]


def _model(card: ModelCard) -> dict[str, Any]:
    created = datetime.combine(card.created, time(), UTC) if card.created else None
    return {
        "id": card.id,
        "object": "model",
        "created": int(created.timestamp()) if created else 0,
        "owned_by": card.owned_by,
    }
