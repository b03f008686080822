"""What is sent: a caller's question, history and prompt, or its own messages, as one checked conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fengchao_core.errors import EmptyQuery, InvalidParameter, SensitiveContent
from fengchao_core.foreign import screened_extra
from fengchao_core.prompts import PromptLibrary, Rendered
from fengchao_core.retrieval import Passage
from fengchao_core.types import ChatCall, Message, TextPart

if TYPE_CHECKING:
    from fengchao_core.screening import Screening

Screen = Callable[[str], str]


def compose(
    call: ChatCall,
    prompts: PromptLibrary,
    passages: tuple[Passage, ...],
    screening: Screening | None,
) -> tuple[Message, ...]:
    """
    The conversation to send.

    Everything a caller brought is screened, before the templates of the house are put around it.

    Args:
        passages: screened already.

    Raises:
        EmptyQuery: there is nothing to ask.
        InvalidParameter: both ways of asking are mixed, or the prompt cannot be rendered.
        SensitiveContent: a word list blocked a text.
    """
    screen = screening.input if screening is not None else None
    if call.messages:
        if call.query is not None or call.history or call.attachments or call.files:
            raise InvalidParameter(
                "give either messages or query and history, not both", param="messages"
            )
        return _conversation(call.messages, screen, "messages")
    if call.query is None or not call.query.strip():
        raise EmptyQuery("query is empty; say what to ask", param="query")
    is_custom = bool(call.prompt) and prompts.get(call.prompt or "") is None
    rendered = prompts.compose(
        _screened(call.prompt or "", screen, "prompt") if is_custom else call.prompt,
        query=_screened(call.query, screen, "query"),
        system=None if call.system is None else _screened(call.system, screen, "system"),
        prefix=None if call.prefix is None else _screened(call.prefix, screen, "prefix"),
        fill=_screened_fill(call.prompt_fill, screen),
        knowledge="\n".join(p.text for p in passages) if call.knowledge else None,
    )
    if is_custom or call.prefix is not None:
        # A word may be put together from the caller's template and the caller's values.
        rendered = Rendered(
            _screened(rendered.system, screen, "system"),
            _screened(rendered.prompt, screen, "prompt"),
        )
    messages: list[Message] = []
    if rendered.system:
        messages.append(Message("system", rendered.system))
    messages += _conversation(call.history, screen, "history")
    messages.append(
        Message(
            "user",
            (*call.attachments, TextPart(rendered.prompt)) if call.attachments else rendered.prompt,
        )
    )
    return tuple(messages)


def screened_passages(
    passages: tuple[Passage, ...], screening: Screening | None
) -> tuple[Passage, ...]:
    """The passages as they may be sent, and shown to the caller. Raises `SensitiveContent`."""
    if screening is None or not passages:
        return passages
    return tuple(
        replace(passage, text=_screened(passage.text, screening.input, f"knowledge[{number}]"))
        for number, passage in enumerate(passages)
    )


def screened_texts(texts: Sequence[str], screening: Screening) -> tuple[str, ...]:
    """Texts as they may be turned into vectors. Raises `SensitiveContent`."""
    return tuple(
        _screened(text, screening.input, f"input[{number}]") for number, text in enumerate(texts)
    )


def _screened(text: str, screen: Screen | None, where: str) -> str:
    if screen is None:
        return text
    try:
        return screen(text)
    except SensitiveContent as error:
        error.where = where
        raise


def _screened_fill(fill: Mapping[str, str], screen: Screen | None) -> Mapping[str, str]:
    if screen is None or not fill:
        return fill
    return {name: _screened(value, screen, f"prompt_fill.{name}") for name, value in fill.items()}


def _conversation(
    messages: tuple[Message, ...], screen: Screen | None, field: str
) -> tuple[Message, ...]:
    if screen is None:
        return messages
    screened: list[Message] = []
    try:
        for message in messages:
            screened.append(_screened_message(message, screen))  # noqa: PERF401  # the error needs their number
    except SensitiveContent as error:
        error.where = f"{field}[{len(screened)}]"
        raise
    return tuple(screened)


def _screened_message(message: Message, screen: Screen) -> Message:
    if message.tool_calls or message.reasoning or message.refusal or message.extra:
        message = _screened_rest(message, screen)
    content = message.content
    if isinstance(content, str):
        clean = screen(content)
        return message if clean is content else replace(message, content=clean)
    if not content:
        return message
    parts = tuple(
        replace(part, text=screen(part.text)) if isinstance(part, TextPart) else part
        for part in content
    )
    return message if parts == content else replace(message, content=parts)


def _screened_rest(message: Message, screen: Screen) -> Message:
    """What a turn says beside its content: thoughts, a refusal, the arguments of calls, a vendor's own fields."""
    return replace(
        message,
        reasoning=screen(message.reasoning) if message.reasoning else message.reasoning,
        refusal=screen(message.refusal) if message.refusal else message.refusal,
        tool_calls=tuple(
            replace(call, arguments=screen(call.arguments)) for call in message.tool_calls
        ),
        extra=screened_extra(message.extra, screen) if message.extra else message.extra,
    )
