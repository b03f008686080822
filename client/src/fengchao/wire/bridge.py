"""
The contract joined to the core: a checked body becomes a `ChatCall`, what comes back becomes the contract's JSON.

The server and the embedded client both go through here. Answers are plain dicts, ready for orjson: no pydantic where
every request passes. Streams are in `fengchao.wire.events`. Needs `fengchao_core`, which `fengchao.wire` itself does not.

What the contract knows but nobody serves yet (uploaded files) is
refused by name; a field that would be ignored in silence is never accepted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from fengchao.wire.codes import BodyError, Failure, status_of
from fengchao.wire.models import OK_MSG
from fengchao.wire.request import ChatBody, DrawBody, HistoryMessage, SearchParam
from fengchao_core.drawing import addresses
from fengchao_core.prompts import PromptTemplate
from fengchao_core.retrieval import KnowledgeBase, Passage
from fengchao_core.store import FileRecord
from fengchao_core.structured import json_in
from fengchao_core.types import (
    ChatCall,
    ChatParams,
    Choice,
    Completion,
    ContentPart,
    DrawCall,
    Gathered,
    ImagePart,
    ImageResult,
    Message,
    ModelCard,
    Money,
    PartialAnswer,
    ResponseFormat,
    Usage,
    VideoPart,
    WebSearch,
)

Channel = Literal["online", "local"]
Json = dict[str, Any]

ONLINE, LOCAL = "在线模型", "本地模型"
JSON_CONTENT_TYPE = "application/json; charset=utf-8"
"""The content type of every JSON answer. Without the charset the published SDKs guess one, and guess Chinese wrong."""

_MODES: Mapping[str, tuple[str, ...]] = {
    "chat": ("invoke", "async_invoke", "stream"),
    "image": ("invoke", "async_invoke"),
}
_JSON_FORMAT = ResponseFormat("json_object")
# The first characters of base64 tell the kind of a file that came without one.
_PICTURES = {"/9j/": "jpeg", "iVBORw0KGgo": "png", "R0lGOD": "gif", "UklGR": "webp"}
_FILMS = {"GkXfo": "webm", "AAAA": "mp4"}


def to_call(body: ChatBody, channel: Channel | None) -> ChatCall:
    """
    What a body asks of the gateway.

    Args:
        channel: that of the path the body came by; None takes either.

    Raises:
        BodyError: it asks for what is not served.
    """
    asked: Json = {"query": body.query or ""}
    if body.files:
        asked["files"] = body.files
    if media := _media(body):
        asked["attachments"] = media
    if body.system is not None:
        asked["system"] = body.system
    if body.prompt:
        asked["prompt"] = body.prompt
    if body.prompt_fill:
        asked["prompt_fill"] = body.prompt_fill
    if body.knowledge:
        asked["knowledge"] = body.knowledge
        asked["knowledge_top_k"] = 5 if body.top_k is None else body.top_k
        asked["knowledge_threshold"] = 500 if body.threshold is None else body.threshold
    if body.history:
        asked["history"] = tuple(_turn(turn) for turn in body.history)
    if body.agg_models:
        asked["aggregate"] = body.agg_models
    if body.search_param is not None:
        asked["search"] = _web_search(body.search_param)
    return ChatCall(
        model=body.model,
        request_id=body.request_id or None,
        is_sensitive=body.is_sensitive is not False,
        sensitive_replace=bool(body.sensitive_replace),
        channel=channel,
        params=ChatParams(
            temperature=body.temperature,
            top_p=body.top_p,
            max_tokens=body.max_tokens,
            do_sample=body.do_sample,
            response_format=_form(body) if wants_json(body) else None,
        ),
        **asked,
    )


def answer(
    completion: Completion, passages: Iterable[Passage] = (), *, as_json: bool = False
) -> Json:
    """
    The JSON of a whole answer.

    Args:
        passages: what the knowledge base gave: `Exchange.passages`.
        as_json: whether `response_format` asked for JSON. A text that is none even without its fence becomes `{}`, as
            the product promises.
    """
    gathered = completion.gathered
    bad_json = as_json and completion.is_json is False
    shown: Json = {
        "request_id": completion.request_id,
        "created": local_time(completion.created),
        "model": completion.model,
        "choices": [
            _choice(choice, as_json=as_json, bad_json=bad_json) for choice in completion.choices
        ],
        "usage": usage(completion.usage, completion.cost),
        "msg": msg_of(gathered),
        "knowledge": knowledge(passages),
        "status": 200,
        "search": search(gathered),
        "agg": agg(gathered),
    }
    if completion.notes:
        shown["notes"] = list(completion.notes)
    return shown


def search(gathered: Gathered | None) -> list[Json]:
    """The JSON of the pages that the web search found, with the numbers by which the answer cites them."""
    if gathered is None:
        return []
    return [
        {
            "title": page.title,
            "url": page.url,
            "index": number,
            "site": page.site,
            "published": page.published,
            "score": page.score,
        }
        for number, page in enumerate(gathered.pages, 1)
    ]


def agg(gathered: Gathered | None) -> list[Json]:
    """The JSON of the answers that were merged; of a model that failed, why. The published SDK wants texts, never null."""
    if gathered is None:
        return []
    return [_partial(partial) for partial in gathered.partials]


def msg_of(gathered: Gathered | None) -> str:
    """The `msg` of a good answer: the product's word, and what its user should know of how it came about."""
    if gathered is None:
        return OK_MSG
    said = []
    if gathered.search_error is not None:
        reason = status_of(gathered.search_error).msg
        said.append(f"网页搜索失败，回答未参考网页：{reason}")
    if gathered.partials and all(partial.error is not None for partial in gathered.partials):
        said.append("聚合模型均未作答，由主模型单独回答")
    return f"{OK_MSG}（{'；'.join(said)}）" if said else OK_MSG


def wants_json(body: ChatBody) -> bool:
    """Whether a whole answer must be JSON: `answer`'s `as_json`."""
    return body.response_format not in (None, "text") or body.json_schema is not None


def failed(
    failure: Failure, *, request_id: str | None = None, model: str | None = None, created: float = 0
) -> Json:
    """
    The JSON of a failure: the two fields that say it, and under HTTP 200 the whole shape of an answer around them.

    The published SDK reads a failed answer like a good one, its first choice included; what is missing or null there is a
    traceback for its user. So nothing is.
    """
    if failure.http_status != 200:
        return {"status": failure.body_status, "msg": failure.msg}
    return {
        "request_id": request_id or "",
        "created": local_time(created or time.time()),
        "model": model or "",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ""},
                "finish_reason": "error",
            }
        ],
        "usage": usage(None, None),
        "msg": failure.msg,
        "knowledge": [],
        "status": failure.body_status,
        "search": [],
        "agg": [],
    }


def model_list(cards: Iterable[ModelCard], today: date | None = None) -> Json:
    """
    The JSON of `/aigc/models/`: the models one can chat with, then those that draw, whose `mode` has no `stream`.

    Args:
        today: whose prices are shown; the UTC day where not given.
    """
    day = today or datetime.now(UTC).date()
    shown = [card for card in cards if card.kind in _MODES]
    shown.sort(key=lambda card: card.kind != "chat")
    return {"data": [_model(card, day) for card in shown]}


def prompt_list(templates: Iterable[PromptTemplate]) -> Json:
    """The JSON of `/aigc/prompts/`."""
    return {
        "data": [
            {
                "id": template.id,
                "prefix": template.prefix,
                "prompt": template.prompt,
                "system": template.system or "",
                "created": local_time(template.created.timestamp()),
            }
            for template in templates
        ]
    }


def kg_list(bases: Iterable[KnowledgeBase]) -> Json:
    """The JSON of `/aigc/kgs/`."""
    return {
        "data": [
            {
                "id": base.id,
                "desc": base.description,
                "created": local_time(base.created.timestamp()),
            }
            for base in bases
        ]
    }


def file_list(records: Iterable[FileRecord]) -> Json:
    """The JSON of a caller's files."""
    return {
        "data": [
            {
                "id": record.id,
                "name": record.name,
                "kind": record.kind,
                "size": record.size_bytes,
                "chars": record.chars,
                "created": local_time(record.created_at.timestamp()),
                "expires": local_time(record.expires_at.timestamp()),
            }
            for record in records
        ]
    }


def usage(used: Usage | None, cost: Money | None) -> Json:
    """The JSON of a usage; zeros where there is none yet."""
    if used is None:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost": 0}
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
        "cost": 0 if cost is None else float(cost.amount),
    }


def knowledge(passages: Iterable[Passage]) -> list[Json]:
    """The JSON of the passages found."""
    return [
        {"source": passage.source, "text": passage.text, "distance": passage.distance}
        for passage in passages
    ]


def local_time(epoch_s: float) -> str:
    """An instant as the contract writes it: local time, `YYYY-MM-DD HH:MM:SS`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_s))


def to_draw_call(body: DrawBody) -> DrawCall:
    """What a body asks to be drawn."""
    return DrawCall(
        model=body.model,
        query=body.query,
        prompt=body.prompt or None,
        prompt_fill=body.prompt_fill or {},
        negative_prompt=body.negative_prompt,
        n=body.n,
        size=body.size.replace("*", "x") if body.size else None,
        style=body.style,
        request_id=body.request_id or None,
        is_sensitive=body.is_sensitive is not False,
        sensitive_replace=bool(body.sensitive_replace),
    )


def drawn(result: ImageResult, model: str) -> Json:
    """
    The JSON of pictures, in the shape of an answer: one choice each, whose content is the picture's address.

    A picture that the vendor gives as data is a `data:` URL. `result_type` is `image`.
    """
    return {
        "request_id": result.request_id,
        "created": local_time(result.created),
        "model": model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": address},
                "finish_reason": "stop",
            }
            for index, address in enumerate(addresses(result))
        ],
        "usage": usage(result.usage, result.cost),
        "msg": OK_MSG,
        "knowledge": [],
        "status": 200,
        "search": [],
        "agg": [],
        "result_type": "image",
    }


def json_text(text: str) -> str:
    """The JSON in a text, without the fence that models like to put around it; `{}` where there is none."""
    found = json_in(text)
    return "{}" if found is None else found


def _form(body: ChatBody) -> ResponseFormat:
    if body.json_schema is not None:
        return ResponseFormat("json_schema", name="answer", schema=body.json_schema)
    if body.response_format == "json_schema":
        raise BodyError(
            "response_format 为 json_schema 时必须给出 json_schema", param="json_schema"
        )
    return _JSON_FORMAT


def _web_search(param: SearchParam) -> WebSearch:
    return WebSearch(
        5 if param.top_k is None else param.top_k, 0.1 if param.score is None else param.score
    )


def _partial(partial: PartialAnswer) -> Json:
    said = None if partial.error is None else status_of(partial.error)
    return {
        "model": partial.model,
        "content": partial.text,
        "status": 200 if said is None else said.body_status,
        "msg": OK_MSG if said is None else said.msg,
        "usage": usage(partial.usage, partial.cost),
    }


def _turn(turn: HistoryMessage) -> Message:
    return Message(turn.role, turn.content or "")


def _media(body: ChatBody) -> tuple[ContentPart, ...]:
    parts: list[ContentPart] = []
    if body.image:
        parts.append(ImagePart(_url(body.image, "image", _PICTURES)))
    if body.video:
        parts.append(VideoPart(_url(body.video, "video", _FILMS)))
    return tuple(parts)


def _url(value: str, field: str, kinds: Mapping[str, str]) -> str:
    if value.startswith(("http://", "https://", f"data:{field}/")):
        return value
    for start, kind in kinds.items():
        if value.startswith(start):
            return f"data:{field}/{kind};base64,{value}"
    raise BodyError(
        f"{field} 应为 http(s) 地址、data:{field}/ 地址，或 {'、'.join(kinds.values())} 文件的 base64",
        param=field,
    )


def _choice(choice: Choice, *, as_json: bool, bad_json: bool) -> Json:
    message = choice.message
    text = message.text or message.refusal or ""
    if as_json:
        text = "{}" if bad_json else json_text(text)
    shown: Json = {"role": "assistant", "content": text}
    if message.reasoning:
        shown["reasoning_content"] = message.reasoning
    if message.tool_calls:
        shown["tool_calls"] = [
            {
                "id": call.id,
                "type": call.type,
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return {"index": choice.index, "message": shown, "finish_reason": choice.finish_reason}


def _model(card: ModelCard, day: date) -> Json:
    price = card.price_on(day)
    free = 0.0 if card.is_local else None
    out_price = float(price.output) if price else free
    if price is not None and price.per_image is not None:
        out_price = float(price.per_image)
    return {
        "id": card.id,
        "owned_by": card.owned_by,
        "max_input_token": card.max_input_tokens,
        "max_output_token": card.max_output_tokens,
        "price": out_price,
        "in_price": float(price.input) if price else free,
        "out_price": out_price,
        "unit": price.currency if price else "CNY",
        "mode": list(_MODES[card.kind]),
        "channel": LOCAL if card.is_local else ONLINE,
        "created": f"{card.created.isoformat()} 00:00:00" if card.created else None,
    }
