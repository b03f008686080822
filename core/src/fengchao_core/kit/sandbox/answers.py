"""
What a sandbox answers: made from the prompt, in the prompt's language, the same for the same prompt.

`answer_for` takes the request in fengchao's own types and gives a `Reply`; each vendor's sandbox reads its own wire
into the one and writes the other back. It honours the longest answer, stop texts, JSON modes, tools and their results,
several choices, pictures and log-probabilities, and it counts tokens.

Three markers in the last user message steer it: `[[say:TEXT]]` answers exactly TEXT, `[[length:N]]` answers about N
characters, and `[[tools:parallel]]` (or `parallel=3`, `none`, or a function's name) says which functions are called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import orjson

from fengchao_core.kit.sandbox.calls import calls_for, last_user_text
from fengchao_core.kit.sandbox.markers import without_markers
from fengchao_core.kit.sandbox.prose import pictures, text_for, thinking_for
from fengchao_core.kit.sandbox.words import count_tokens, pieces, tokenize
from fengchao_core.types import (
    ChatRequest,
    Choice,
    Delta,
    FinishReason,
    Message,
    ToolCallFragment,
    Usage,
)

_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_PICTURE = 256


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: its choices in order of their index, and what they used."""

    choices: tuple[Choice, ...]
    usage: Usage


def answer_for(request: ChatRequest, *, think: bool = False) -> Reply:
    """
    Answer a request.

    Args:
        request: `params` that shape an answer are honoured: `max_tokens`, `stop`, `n`, `tools`, `tool_choice`,
            `parallel_tool_calls`, `response_format`, `logprobs`, `top_logprobs`.
        think: whether the model shows its thinking before it answers.

    Raises:
        ValueError: a picture in the last user message is neither an http(s) URL nor valid base64.
    """
    choices = tuple(_choice(request, index, think=think) for index in range(request.params.n or 1))
    reasoning = sum(count_tokens(choice.message.reasoning or "") for choice in choices)
    written = sum(count_tokens(choice.message.text) for choice in choices) + sum(
        count_tokens(call.name) + count_tokens(call.arguments)
        for choice in choices
        for call in choice.message.tool_calls
    )
    return Reply(
        choices,
        Usage(
            prompt_tokens=prompt_tokens(request),
            completion_tokens=written + reasoning,
            reasoning_tokens=reasoning,
        ),
    )


def deltas(reply: Reply, *, whole_tool_calls: bool = False) -> Iterator[Delta]:
    """
    A reply in the order of a stream: thinking, text, calls, then the finish reason; several choices take turns.

    The usage is not among them: each vendor has its own place for it.

    Args:
        reply: the whole answer.
        whole_tool_calls: each call in one delta, instead of its name first and its arguments in pieces.
    """
    tracks = [_track(choice, whole_tool_calls=whole_tool_calls) for choice in reply.choices]
    for turn in zip_longest(*tracks):
        yield from (delta for delta in turn if delta is not None)


def prompt_tokens(request: ChatRequest) -> int:
    """How many tokens a request has before the answer: its messages, pictures and tools."""
    total = 3
    for message in request.messages:
        total += _TOKENS_PER_MESSAGE + count_tokens(message.text)
        total += sum(count_tokens(c.name) + count_tokens(c.arguments) for c in message.tool_calls)
        total += _TOKENS_PER_PICTURE * len(pictures(message))
    for tool in request.params.tools:
        body = tool.parameters or tool.body
        total += count_tokens(f"{tool.type}{tool.name}{tool.description or ''}")
        total += count_tokens(orjson.dumps(dict(body)).decode())
    return total


def _choice(request: ChatRequest, index: int, *, think: bool) -> Choice:
    params = request.params
    question = without_markers(last_user_text(request.messages))
    reasoning = thinking_for(question) if think else None
    calls = calls_for(request, question, index)
    if calls:
        message = Message("assistant", reasoning=reasoning, tool_calls=calls)
        return Choice(message, "tool_calls", index)
    text, finish = _limited(text_for(request, question, index), params.stop, params.max_tokens)
    logprobs = _logprobs(text, params.top_logprobs or 0) if params.logprobs else None
    return Choice(Message("assistant", text, reasoning=reasoning), finish, index, logprobs)


def _limited(text: str, stop: Sequence[str], max_tokens: int | None) -> tuple[str, FinishReason]:
    cut = min((at for word in stop if word and (at := text.find(word)) >= 0), default=len(text))
    text = text[:cut]
    if max_tokens is not None:
        tokens = tokenize(text)
        if len(tokens) > max_tokens:
            return "".join(tokens[:max_tokens]), "length"
    return text, "stop"


def _track(choice: Choice, *, whole_tool_calls: bool) -> Iterator[Delta]:
    index, message = choice.index, choice.message
    for piece in pieces(message.reasoning or ""):
        yield Delta(reasoning=piece, index=index)
    if choice.logprobs is not None:
        for entry, token in zip(choice.logprobs, tokenize(message.text), strict=True):
            yield Delta(token, index=index, logprobs=[entry])
    else:
        for piece in pieces(message.text):
            yield Delta(piece, index=index)
    for nth, call in enumerate(message.tool_calls):
        if whole_tool_calls:
            yield _fragment(index, ToolCallFragment(nth, call.id, call.name, call.arguments))
            continue
        yield _fragment(index, ToolCallFragment(nth, call.id, call.name))
        for piece in pieces(call.arguments, longest=8):
            yield _fragment(index, ToolCallFragment(nth, arguments=piece))
    yield Delta(finish_reason=choice.finish_reason, index=index)


def _fragment(index: int, fragment: ToolCallFragment) -> Delta:
    return Delta(tool_calls=(fragment,), index=index)


def _logprobs(text: str, top: int) -> list[dict[str, object]]:
    """Log-probabilities in the chat-completions shape: one entry a token, likelier for shorter ones."""
    return [
        {
            **_likelihood(token, 0),
            "top_logprobs": [_likelihood(token, rank) for rank in range(top)],
        }
        for token in tokenize(text)
    ]


def _likelihood(token: str, rank: int) -> dict[str, object]:
    other = token if rank == 0 else f"{token}{rank}"
    probability = -round(0.05 * len(token) + 1.5 * rank, 4)
    data = other.encode("utf-8", "surrogatepass")
    return {"token": other, "logprob": probability, "bytes": list(data)}
