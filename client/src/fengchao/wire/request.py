"""
The request bodies of `/aigc/chat/`, `/aigc/local_chat/` and `/aigc/t2i/`, checked once, with what is wrong said in Chinese.

Everything that the published SDKs 1.0.2 to 2.5.1 send is accepted; a field that nobody knows is refused by name, because a
misspelt `temperature` that is silently ignored is worse than an error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from fengchao.wire.codes import BodyError

_SHOWN_PROBLEMS = 5
_SIZE = re.compile(r"[1-9]\d{1,4}[x*][1-9]\d{1,4}")

Name = Annotated[str, StringConstraints(max_length=256)]
RequestId = Annotated[
    str,
    Field(coerce_numbers_to_str=True),
    StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$"),
]
FillValue = Annotated[str, Field(coerce_numbers_to_str=True)]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _size(value: str) -> str:
    if value and not _SIZE.fullmatch(value):
        raise PydanticCustomError("picture_size", "not a size")
    return value


Size = Annotated[str, AfterValidator(_size)]
Files = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]


class _Closed(BaseModel):
    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, frozen=True
    )


class HistoryMessage(_Closed):
    """
    An earlier turn.

    A message of an answer can be appended as it came: `reasoning_content` is taken and left out of what is sent, as the
    vendors that think ask for.
    """

    role: Literal["system", "user", "assistant"]
    content: str | None = ""
    reasoning_content: str | None = None
    tool_calls: None = None


class _ResultBody(BaseModel):
    """What asks for the result of a task: its id, and nothing else that matters."""

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    mode: Literal["async_result"]
    task_id: Name | None = None
    model: str | None = None


class SearchParam(_Closed):
    """How to search the web: how many pages, and the least score of one."""

    top_k: Whole | None = Field(default=5, ge=1, le=50)
    score: Number | None = Field(default=0.1, ge=0, le=1)


class ChatBody(_Closed):
    """
    What a chat asks.

    `null` means «not given»: the default holds, except for the four knobs `do_sample`, `temperature`, `top_p` and
    `max_tokens`, where it leaves the choice to the vendor (some models take no temperature at all).

    Attributes:
        query: the question. That it may not be blank is the pipeline's to say (443), after the model was found.
        request_id: of the conversation; made where absent or empty.
        prompt: the id of a preset instruction, or a text that holds `{{query}}`.
        prompt_fill: values of further placeholders; numbers are taken as their text.
        temperature: the product promises 0.1 to 1; 0 to 2 is accepted, because vendors differ and each provider fits what
            it gets to its own range.
        max_tokens: longest answer, at least 1.
        response_format: `text`, or `json` (`json_object` means the same); `json_schema` wants one in `json_schema`.
        json_schema: what the JSON must fit; asks for JSON by itself.
        top_k: passages from the knowledge base at most.
        threshold: largest distance of a passage, 0 to about 1100; 0 means no threshold.
        image: an http(s) or `data:` URL, or plain base64, as the SDK sends a local file.
        video: likewise.
        files: names from `/aigc/uploadfiles/`.
        agg_models: models that are asked the same question at the same time; `model` merges their answers.
        search_param: look the question up on the web first.
        resumable: of a stream: it goes on when its caller goes away, and can be read again.
    """

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    query: str | None = None
    request_id: RequestId | None = None
    system: str | None = None
    prompt: str | None = None
    prompt_fill: dict[Name, FillValue] | None = None
    is_sensitive: Flag | None = True
    sensitive_replace: Flag | None = False
    task_id: Name | None = None
    history: tuple[HistoryMessage, ...] | None = None
    response_format: Literal["text", "json", "json_object", "json_schema"] | None = "text"
    json_schema: dict[str, Any] | None = None
    do_sample: Flag | None = True
    temperature: Number | None = Field(default=0.8, ge=0, le=2)
    top_p: Number | None = Field(default=0.75, ge=0, le=1)
    max_tokens: Whole | None = Field(default=256, ge=1)
    mode: Literal["invoke", "async", "async_result", "stream"] = "invoke"
    knowledge: Name | None = None
    top_k: Whole | None = Field(default=5, ge=1, le=1000)
    threshold: Number | None = Field(default=500, ge=0)
    image: str | None = None
    video: str | None = None
    files: Files | None = None
    agg_models: Annotated[tuple[Name, ...], Field(max_length=64)] | None = None
    search_param: SearchParam | None = None
    resumable: Flag | None = False


class DrawBody(_Closed):
    """
    What a drawing asks.

    Attributes:
        query: what the picture shows. That it may not be blank is the pipeline's to say (443).
        prompt: the id of a preset instruction, or a text that holds `{{query}}`.
        prompt_fill: values of further placeholders; numbers are taken as their text.
        negative_prompt: what the picture should not show.
        n: how many pictures.
        size: `WIDTHxHEIGHT` in pixels; an empty text leaves it to the vendor.
        style: the vendor's name of a style; `Base` and an empty text mean none.
    """

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    query: str | None = None
    request_id: RequestId | None = None
    task_id: Name | None = None
    prompt: str | None = None
    prompt_fill: dict[Name, FillValue] | None = None
    negative_prompt: str | None = ""
    n: Whole | None = Field(default=1, ge=1, le=10)
    size: Size | None = "1024x1024"
    style: Name | None = "Base"
    is_sensitive: Flag | None = True
    sensitive_replace: Flag | None = False
    mode: Literal["invoke", "async", "async_result"] = "invoke"


def parse_chat_body(raw: bytes | bytearray | str) -> ChatBody:
    """
    Parse and check a body, in one step. Of one that asks for a task's result (`mode="async_result"`) only that counts.

    Nothing nests deeper than its field allows, and JSON nested without end is refused by the parser.

    Raises:
        BodyError: with every problem found (the first five of them), and no value of the body.
    """
    try:
        return ChatBody.model_validate_json(raw)
    except ValidationError as error:
        try:
            return _of_result(_ResultBody.model_validate_json(raw))
        except ValidationError:
            raise _explained(error) from None  # the cause would carry the caller's text into logs


def check_chat_body(values: Mapping[str, object]) -> ChatBody:
    """As `parse_chat_body`, from parsed JSON; what the embedded client uses."""
    try:
        return ChatBody.model_validate(values)
    except ValidationError as error:
        try:
            return _of_result(_ResultBody.model_validate(values))
        except ValidationError:
            raise _explained(error) from None  # as above


def _of_result(body: _ResultBody) -> ChatBody:
    # The product's own example asks for a result with a model; nobody has to.
    return ChatBody.model_construct(
        mode=body.mode, task_id=body.task_id, model=(body.model or "")[:256]
    )


def parse_draw_body(raw: bytes | bytearray | str) -> DrawBody:
    """As `parse_chat_body`, for `/aigc/t2i/`."""
    try:
        return DrawBody.model_validate_json(raw)
    except ValidationError as error:
        raise _explained(error, DrawBody) from None  # as above


def check_draw_body(values: Mapping[str, object]) -> DrawBody:
    """As `parse_draw_body`, from parsed JSON; what the embedded client uses."""
    try:
        return DrawBody.model_validate(values)
    except ValidationError as error:
        raise _explained(error, DrawBody) from None  # as above


def _explained(error: ValidationError, body: type[BaseModel] = ChatBody) -> BodyError:
    details = error.errors(include_url=False, include_input=False)
    seen: dict[str, str] = {}
    for detail in details:
        seen.setdefault(_path(detail), _problem(detail, body))
    problems = [f"{path} {text}" if path else text for path, text in seen.items()]
    shown = "；".join(problems[:_SHOWN_PROBLEMS])
    if len(problems) > _SHOWN_PROBLEMS:
        shown += f"；另有 {len(problems) - _SHOWN_PROBLEMS} 处"
    first = details[0]["loc"]
    return BodyError(shown, param=str(first[0])[:64] if first else None)


def _path(detail: ErrorDetails) -> str:
    parts: list[str] = []
    for part in detail["loc"]:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            parts.append(f".{part[:64]}" if parts else part[:64])
    return "".join(parts)


def _problem(detail: ErrorDetails, body: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        name = str(detail["loc"][-1])[:64]
        near = (
            difflib.get_close_matches(name, body.model_fields, n=1, cutoff=0.75)
            if len(detail["loc"]) == 1
            else []
        )
        return f"是未知字段，是否想写 {near[0]}？" if near else "是未知字段，请删除"
    if kind == "json_invalid":
        return "请求体不是合法的 JSON"
    template = _PROBLEMS.get(kind)
    if template is None:
        template = next((t for prefix, t in _FAMILIES if kind.startswith(prefix)), "的值不正确")
    limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
    return template.format(**limits).replace(" or ", ", ")


_PROBLEMS = {
    "missing": "必填",
    "literal_error": "的值不在可选范围内，可选：{expected}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "string_too_short": "不能为空",
    "string_too_long": "过长，最多 {max_length} 个字符",
    "string_pattern_mismatch": "不能包含控制字符",
    "picture_size": "应形如 1024x1024",
    "finite_number": "应为有限的数值",
    "int_from_float": "应为整数",
    "none_required": "不能在此给出",
    "too_long": "过长，最多 {max_length} 项",
}
_FAMILIES = (
    ("string_", "应为字符串"),
    ("int_", "应为整数"),
    ("float_", "应为数值"),
    ("bool_", "应为布尔值"),
    ("dict_", "应为对象"),
    ("model_", "应为 JSON 对象"),
    ("tuple_", "应为数组"),
    ("list_", "应为数组"),
)
