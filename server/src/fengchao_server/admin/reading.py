"""What handlers under `/admin` share: reading bodies and queries strictly, answering in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fengchao_server.admin.shape import NOT_KEPT
from fengchao_server.answers import JSON_UTF8, Answer
from fengchao_server.bodies import parse_object
from fengchao_server.refusals import Invalid

if TYPE_CHECKING:
    from fengchao_server.call import Call

M = TypeVar("M", bound="Asked")

_LONGEST_QUERY = 200


class Asked(BaseModel):
    """A request body: unknown fields are refused, types are not guessed, and no value is shown in an error."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # as `Described`: with the first such body
    )


async def read(call: Call, model: type[M]) -> M:
    """
    The body of a call whose route has `body="own"`.

    Raises:
        Invalid: it is not as the model has it; says every field that is wrong.
        MalformedBody: it is no JSON object; likewise too large or too late ones.
    """
    body = await call.body()
    if call.request.content_type != "application/json":
        # A page of another site cannot send this type without asking first.
        raise Invalid(
            "the header Content-Type must be application/json",
            msg="请求头 Content-Type 应为 application/json",
        )
    parse_object(body)  # refuses what nests too deeply
    try:
        # As JSON, for there a list may stand for a tuple and text for an instant, and elsewhere not.
        return model.model_validate_json(body)
    except ValidationError as error:
        problems = [
            (".".join(map(str, problem["loc"])), problem["msg"])
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise Invalid(
            "; ".join(f"{where}: {text}" if where else text for where, text in problems),
            msg="参数有误：" + "、".join(dict.fromkeys(where for where, _ in problems)),
            param=problems[0][0] or None,
        ) from None


def query(call: Call, names: Iterable[str]) -> dict[str, str]:
    """
    The query parameters that were given and are not empty.

    Raises:
        Invalid: there is one of another name, one that is given twice, or one that is too long.
    """
    known = frozenset(names)
    found: dict[str, str] = {}
    for name, value in call.request.rel_url.query.items():
        if name not in known or name in found or not _is_plain(value):
            raise Invalid(
                f"the query takes {', '.join(sorted(known)) or 'nothing'}, each once and at most "
                f"{_LONGEST_QUERY} printable characters long",
                msg="查询参数有误",
                param=name[:_LONGEST_QUERY],
            )
        if value:
            found[name] = value
    return found


def _is_plain(value: str) -> bool:
    return len(value) <= _LONGEST_QUERY and value.isprintable()


def count(text: str | None, name: str, *, default: int, most: int) -> int:
    """
    A number of a query, 1 to `most`.

    Raises:
        Invalid: it is no such number.
    """
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise Invalid(
            f"'{name}' must be a number from 1 to {most}",
            msg=f"{name} 应为 1 到 {most}",
            param=name,
        )
    return int(text)


def answer(value: object, *, status: int = 200) -> Answer:
    """An answer in JSON, which nobody keeps."""
    return Answer.json(value, status=status, content_type=JSON_UTF8, headers=NOT_KEPT)
