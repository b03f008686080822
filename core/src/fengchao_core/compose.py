"""What is sent: a caller's question, history and prompt, or its own messages, as one checked conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fengchao_core.errors import EmptyQuery, InvalidParameter
from fengchao_core.prompts import PromptLibrary
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

    Everything a caller or a document brought is screened, before the templates of the house are put around it.

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
        return _conversation(call.messages, screen)
    if call.query is None or not call.query.strip():
        raise EmptyQuery("query is empty; say what to ask", param="query")
    rendered = prompts.compose(
        _screened(call.prompt, screen)
        if call.prompt and prompts.get(call.prompt) is None
        else call.prompt,
        query=_screened(call.query, screen),
        system=None if call.system is None else _screened(call.system, screen),
        prefix=None if call.prefix is None else _screened(call.prefix, screen),
        fill=_screened_fill(call.prompt_fill, screen),
        knowledge="\n".join(_screened(p.text, screen) for p in passages)
        if call.knowledge
        else None,
    )
    messages: list[Message] = []
    if rendered.system:
        messages.append(Message("system", rendered.system))
    messages += _conversation(call.history, screen)
    messages.append(
        Message(
            "user",
            (*call.attachments, TextPart(rendered.prompt)) if call.attachments else rendered.prompt,
        )
    )
    return tuple(messages)


def _screened(text: str, screen: Screen | None) -> str:
    return text if screen is None else screen(text)


def _screened_fill(fill: Mapping[str, str], screen: Screen | None) -> Mapping[str, str]:
    return fill if screen is None else {name: screen(value) for name, value in fill.items()}


def _conversation(messages: tuple[Message, ...], screen: Screen | None) -> tuple[Message, ...]:
    if screen is None:
        return messages
    return tuple([_screened_message(message, screen) for message in messages])


def _screened_message(message: Message, screen: Screen) -> Message:
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
