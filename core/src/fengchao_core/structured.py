"""
Answers in JSON, from models that can and from models that cannot.

A model whose card says so is asked in its vendor's own JSON mode; any other is told in words. Either way a whole answer is
checked, against its schema where there is one, and the model is asked again once where it does not hold: two requests, and
two usage rows. A stream is not checked: its pieces have left before anybody could.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

import orjson

from fengchao_core.branching import Branching
from fengchao_core.conversations import with_system
from fengchao_core.errors import FengChaoError, InvalidParameter
from fengchao_core.fold import Fold
from fengchao_core.types import (
    ChatRequest,
    Choice,
    Completion,
    Message,
    ModelCard,
    Money,
    ResponseFormat,
    Usage,
)

if TYPE_CHECKING:
    from jsonschema_rs import Validator

    from fengchao_core.exchange import Exchange

MOST_SCHEMA_BYTES = 64 * 1024

_FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL | re.IGNORECASE)
_ASK_OBJECT = "请只输出一个合法的 JSON，不要输出任何解释，也不要使用代码块标记。"
_ASK_SCHEMA = (
    "请只输出一个符合以下 JSON Schema 的 JSON，不要输出任何解释，也不要使用代码块标记。\n{schema}"
)
_ASK_AGAIN = (
    "上面的输出不能使用：{problem}。请重新输出，只输出完整、合法的 JSON，"
    "不要输出任何解释，也不要使用代码块标记。"
)


def is_structured(form: ResponseFormat | None) -> bool:
    """Whether an answer must be JSON."""
    return form is not None and form.type != "text"


def check_form(form: ResponseFormat) -> None:
    """Refuse a schema that is none, before anybody is asked. Raises `InvalidParameter`."""
    if form.type == "json_schema":
        _validator(form)


def fitted(request: ChatRequest) -> ChatRequest:
    """
    The request as its model can take it: in its vendor's JSON mode, or with the form told in words.

    Vendors' plain JSON modes want the word JSON somewhere in the conversation; where it is not, it is put there.
    """
    form = request.params.response_format
    card = request.card
    if form is None or form.type == "text" or card is None or not card.is_known:
        # Nothing is known of it but its name: it is asked as the caller asks, and may be able.
        return request
    native = _native(form, card)
    if native == "json_schema" or (
        native == form.type and any("json" in m.text.lower() for m in request.messages)
    ):
        return request
    params = request.params
    if native != form.type:
        params = replace(params, response_format=ResponseFormat("json_object") if native else None)
    return replace(request, params=params, messages=with_system(request.messages, _words(form)))


def json_in(text: str) -> str | None:
    """The JSON in a text, without the fence that models like to put around it; None where there is none."""
    fenced = _FENCED.fullmatch(text)
    candidate = fenced[1] if fenced else text.strip()
    try:
        orjson.loads(candidate)
    except orjson.JSONDecodeError:
        return None
    return candidate


async def mended(pipeline: Branching, exchange: Exchange, completion: Completion) -> Completion:
    """
    The answer as JSON where that can be had: unwrapped, checked, and asked for once more where it does not hold.

    Returns:
        the answer, `is_json` set. Where both attempts fail, the first as it came. Usage and cost are those of both.
    """
    form = exchange.request.params.response_format
    if form is None or form.type == "text":
        return completion
    checked, problem = _checked(completion, form)
    if problem is None or len(completion.choices) != 1:
        return checked
    try:
        second = await _asked_again(pipeline, exchange, completion, problem)
    except FengChaoError as error:
        note = f"the answer is no JSON, and asking again failed: {type(error).__name__}"
        return replace(checked, notes=(*checked.notes, note))
    better, still = _checked(second, form)
    note = "the answer was no JSON; the model was asked again"
    return replace(
        better if still is None else checked,
        request_id=completion.request_id,
        model=completion.model,
        created=completion.created,
        usage=_sum(completion.usage, second.usage),
        cost=_cost_sum(completion.cost, second.cost),
        notes=(*completion.notes, note),
        gathered=completion.gathered,
    )


async def _asked_again(
    pipeline: Branching, exchange: Exchange, completion: Completion, problem: str
) -> Completion:
    messages = (
        *exchange.request.messages,
        Message("assistant", completion.text or "（空）"),
        Message("user", _ASK_AGAIN.format(problem=problem)),
    )
    again = await pipeline.branch(
        exchange, "j2", model=exchange.model, messages=messages, params=exchange.request.params
    )
    fold = Fold()
    async with aclosing(pipeline.run(again)) as batches:
        async for batch in batches:
            fold.feed(batch)
    return again.complete(fold)


def _checked(completion: Completion, form: ResponseFormat) -> tuple[Completion, str | None]:
    choices: list[Choice] = []
    problem: str | None = None
    for choice in completion.choices:
        message = choice.message
        if message.tool_calls:  # it wants something first; the answer comes later
            choices.append(choice)
            continue
        text = json_in(message.text)
        wrong = "它不是合法的 JSON" if text is None else _against(form, text)
        problem = problem or wrong
        if wrong is None and text != message.content:
            message = replace(message, content=text)
            choices.append(replace(choice, message=message, logprobs=None))
        else:
            choices.append(choice)
    return replace(completion, choices=tuple(choices), is_json=problem is None), problem


def _against(form: ResponseFormat, text: str) -> str | None:
    if form.type != "json_schema" or form.schema is None:
        return None
    error = next(_validator(form).iter_errors(orjson.loads(text)), None)
    if error is None:
        return None
    where = "/".join(str(step) for step in error.instance_path)
    return f"它不符合 JSON Schema，{f'{where[:200]} 处' if where else ''}不满足 {error.kind.name}"


def _words(form: ResponseFormat) -> str:
    if form.type != "json_schema" or form.schema is None:
        return _ASK_OBJECT
    return _ASK_SCHEMA.format(schema=orjson.dumps(dict(form.schema)).decode())


def _native(form: ResponseFormat, card: ModelCard) -> str | None:
    """The vendor's mode to use; None where the model has none."""
    if form.type == "json_schema" and "json_schema" in card.capabilities:
        return "json_schema"
    return "json_object" if "json" in card.capabilities else None


def _validator(form: ResponseFormat) -> Validator:
    schema = form.schema
    if schema is None:
        schema = {}
    try:
        raw = orjson.dumps(dict(schema))
    except (TypeError, ValueError) as error:
        raise InvalidParameter(
            "the JSON schema holds a value that JSON cannot write", param="json_schema"
        ) from error
    if len(raw) > MOST_SCHEMA_BYTES:
        raise InvalidParameter(
            f"the JSON schema is longer than {MOST_SCHEMA_BYTES} bytes", param="json_schema"
        )
    return _compiled(raw)


@lru_cache(maxsize=64)
def _compiled(raw: bytes) -> Validator:
    # Here, because few calls bring a schema.
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(
            raw.decode(),
            retriever=_refuse_remote,
            # This engine's time is linear in the text, whatever the pattern; a caller brings both.
            pattern_options=jsonschema_rs.RegexOptions(),
        )
    except (jsonschema_rs.ValidationError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise InvalidParameter(
            f"the JSON schema is not valid: {reason}", param="json_schema"
        ) from error


def _refuse_remote(_uri: str) -> NoReturn:
    raise ValueError("a reference to another document is not followed")


def _sum(first: Usage, second: Usage) -> Usage:
    return Usage(
        first.prompt_tokens + second.prompt_tokens,
        first.completion_tokens + second.completion_tokens,
        first.cached_tokens + second.cached_tokens,
        first.reasoning_tokens + second.reasoning_tokens,
        first.source if first.source == second.source else "estimate",
    )


def _cost_sum(first: Money | None, second: Money | None) -> Money | None:
    if first is None or second is None or first.currency != second.currency:
        return first or second
    return Money(first.amount + second.amount, first.currency)
