"""
The chat-completions dialect, seen from the vendor's side: a body read into our types, a reply written back.

For the sandboxes of the many vendors that speak it. It checks nothing: each vendor has its own ranges, roles and
codes, and looks at the body before it is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fengchao_core.kit.sandbox.answers import Reply
from fengchao_core.types import (
    ChatParams,
    ChatRequest,
    Choice,
    ContentPart,
    Delta,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    Usage,
    VideoPart,
)


def read_chat(body: Mapping[str, object]) -> ChatRequest:
    """A request out of a body that was checked; what an answer does not depend on is left out."""
    stop = body.get("stop")
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    choice = body.get("tool_choice")
    top = body.get("top_logprobs")
    n = body.get("n")
    return ChatRequest(
        model=str(body.get("model", "")),
        messages=tuple(_message(item) for item in _maps(body.get("messages"))),
        stream=body.get("stream") is True,
        request_id=str(body.get("request_id") or ""),
        params=ChatParams(
            max_tokens=limit if isinstance(limit, int) else None,
            stop=(stop,) if isinstance(stop, str) else tuple(str(word) for word in _items(stop)),
            n=n if isinstance(n, int) else None,
            tools=tuple(_tool(item) for item in _maps(body.get("tools"))),
            tool_choice=choice if isinstance(choice, str | Mapping) else None,
            parallel_tool_calls=False if body.get("parallel_tool_calls") is False else None,
            response_format=_response_format(body.get("response_format")),
            logprobs=body.get("logprobs") is True,
            top_logprobs=top if isinstance(top, int) else None,
        ),
    )


def message_body(choice: Choice) -> dict[str, object]:
    """The `message` of a choice of a whole answer."""
    message = choice.message
    body: dict[str, object] = {"role": "assistant", "content": message.content}
    if message.reasoning:
        body["reasoning_content"] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "index": index,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(message.tool_calls)
        ]
    return body


def choice_bodies(reply: Reply) -> list[dict[str, object]]:
    """The `choices` of a whole answer."""
    return [
        {
            "index": choice.index,
            "message": message_body(choice),
            "finish_reason": choice.finish_reason,
            **({} if choice.logprobs is None else {"logprobs": {"content": choice.logprobs}}),
        }
        for choice in reply.choices
    ]


def delta_body(delta: Delta) -> dict[str, object]:
    """The `delta` of a chunk, without a role; empty for the delta that only ends a choice."""
    body: dict[str, object] = {}
    if delta.text:
        body["content"] = delta.text
    if delta.reasoning:
        body["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        body["tool_calls"] = [
            {
                "index": fragment.index,
                **({} if fragment.id is None else {"id": fragment.id, "type": fragment.type}),
                "function": {
                    **({} if fragment.name is None else {"name": fragment.name}),
                    "arguments": fragment.arguments,
                },
            }
            for fragment in delta.tool_calls
        ]
    return body


def usage_body(usage: Usage) -> dict[str, object]:
    """The `usage` of an answer."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _message(item: Mapping[str, object]) -> Message:
    content = item.get("content")
    calls = []
    for call in _maps(item.get("tool_calls")):
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        calls.append(
            ToolCall(
                id=str(call.get("id", "")),
                name=str(function.get("name", "")),
                arguments=str(function.get("arguments", "")),
            )
        )
    call_id, name = item.get("tool_call_id"), item.get("name")
    return Message(
        role=item.get("role", "user"),  # type: ignore[arg-type]  # the vendor's sandbox checked the roles it knows
        content=content if isinstance(content, str) else tuple(map(_part, _maps(content))) or None,
        name=name if isinstance(name, str) else None,
        tool_calls=tuple(calls),
        tool_call_id=call_id if isinstance(call_id, str) else None,
    )


def _part(item: Mapping[str, object]) -> ContentPart:
    kind = str(item.get("type"))
    inner = item.get(kind)
    url = str(inner.get("url", "")) if isinstance(inner, Mapping) else str(inner or "")
    if kind == "image_url":
        return ImagePart(url)
    if kind == "video_url":
        return VideoPart(url)
    return TextPart(str(item.get("text", "")))


def _tool(item: Mapping[str, object]) -> Tool:
    kind = str(item.get("type", "function"))
    inner = item.get(kind)
    inner = inner if isinstance(inner, Mapping) else {}
    if kind != "function":
        return Tool(kind, body=inner)
    described, parameters = inner.get("description"), inner.get("parameters")
    return Tool(
        name=str(inner.get("name", "")),
        description=described if isinstance(described, str) else None,
        parameters=parameters if isinstance(parameters, Mapping) else None,
    )


def _response_format(value: object) -> ResponseFormat | None:
    if not isinstance(value, Mapping):
        return None
    inner = value.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    return ResponseFormat(
        type=value.get("type", "text"),
        schema=schema if isinstance(schema, Mapping) else None,
    )


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _maps(value: object) -> list[Mapping[str, object]]:
    return [item for item in _items(value) if isinstance(item, Mapping)]
