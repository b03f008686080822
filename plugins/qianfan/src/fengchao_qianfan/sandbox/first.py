"""The first generation of the API, as the stand-in serves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    SandboxDesk,
    Serving,
    answer_for,
    count_tokens,
    deltas,
    last_user_text,
    send_whole,
    shorten,
)
from fengchao_core.types import ChatRequest, Delta, Usage
from fengchao_qianfan.endpoints import Endpoint
from fengchao_qianfan.sandbox import checks
from fengchao_qianfan.sandbox.clerk import Clerk
from fengchao_qianfan.sandbox.doorkeeper import Doorkeeper
from fengchao_qianfan.sandbox.refusals import V1_WORDS, RefusedError
from fengchao_qianfan.sandbox.v1_desk import (
    BARE_LINE,
    NAMES,
    UNSAFE,
    V1Desk,
    code_of,
    endpoint_of,
)

_APOLOGY = "您好，您的问题我还不能回答。"


@dataclass(frozen=True, slots=True)
class _Answer:
    """
    An answer to be written.

    Attributes:
        head: the fields of every event.
        told: what it holds besides its text, told at its end.
    """

    reply: Reply
    head: Mapping[str, object]
    told: Mapping[str, object]


class FirstGeneration:
    """The chats of V1. The handler is given who asks and the body, checked to be an object."""

    def __init__(self, desk: SandboxDesk, door: Doorkeeper) -> None:
        self._desk = desk
        self._clerk = Clerk(desk)
        self._v1 = V1Desk(desk, door)

    async def chat(
        self, request: web.Request, who: str, body: Mapping[str, Any]
    ) -> web.StreamResponse:
        """Chats, plugins, completions, and questions about a picture."""
        endpoint = endpoint_of(request)
        model = NAMES.get(endpoint.path, request.match_info["name"])
        asked = checks.read_chat(body, endpoint, model)
        faults = self._v1.faults(request, last_user_text(asked.messages))
        reply = answer_for(asked)
        tokens = checks.forgetful_tokens(asked, endpoint)
        reply = replace(reply, usage=replace(reply.usage, prompt_tokens=tokens))
        kind = "completion" if endpoint.shape == "prompt" else "chat.completion"
        answer = _Answer(reply, self._clerk.head(kind), _told(asked, body, endpoint))
        with self._desk.served.serving(who, model, tokens) as serving:
            if asked.stream:
                return await _stream(request, answer, faults, serving)
            whole = {**answer.head, **_whole(reply, faults), **answer.told}
            response = await send_whole(request, whole, faults, serving)
            if not serving.closed_by_client:
                serving.complete(reply.usage)
            return response


def _told(asked: ChatRequest, body: Mapping[str, Any], endpoint: Endpoint) -> dict[str, object]:
    """What an answer holds besides its text: what a search found, whether it is safe."""
    if endpoint.shape in ("prompt", "picture"):
        return {"is_safe": 1}
    if body.get("enable_citation") is True and body.get("disable_search") is not True:
        about = shorten(last_user_text(asked.messages), 40)
        found = {"index": 1, "url": "https://example.com/", "title": f"关于“{about}”的网页"}
        return {"search_info": {"search_results": [found]}}
    return {}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _whole(reply: Reply, faults: Faults) -> dict[str, object]:
    (choice,) = reply.choices
    said: dict[str, object] = {
        "result": choice.message.text,
        "is_truncated": choice.finish_reason == "length",
        "need_clear_history": False,
        "finish_reason": "normal" if choice.finish_reason == "stop" else choice.finish_reason,
        "usage": _usage(reply.usage),
    }
    if choice.message.tool_calls:
        said |= {"finish_reason": "function_call", "function_call": _function_call(reply)}
    if faults.refusal == UNSAFE:
        said |= {"result": _APOLOGY, "need_clear_history": True, "ban_round": -1}
        said |= {"finish_reason": "content_filter"}
    return said


def _function_call(reply: Reply) -> dict[str, object]:
    call = reply.choices[0].message.tool_calls[0]
    return {
        "name": call.name,
        "thoughts": "用户的问题需要调用函数。",
        "arguments": call.arguments,
    }


async def _stream(
    request: web.Request, answer: _Answer, faults: Faults, serving: Serving
) -> web.StreamResponse:
    """The answer as events; the running usage is in each, the function call in the last."""
    reply = answer.reply
    number = 0
    sent = Usage(reply.usage.prompt_tokens)

    def chunk(text: str, *, is_end: bool = False, **more: object) -> dict[str, object]:
        nonlocal number
        number += 1
        return {
            **answer.head,
            "sentence_id": number - 1,
            "is_end": is_end,
            "is_truncated": False,
            "result": text,
            "need_clear_history": False,
            "usage": _usage(reply.usage if is_end else sent),
            **more,
        }

    whole = _whole(reply, faults)
    end = {
        key: whole[key]
        for key in ("finish_reason", "is_truncated", "function_call")
        if key in whole
    }
    async with EventStream(request, faults, serving) as stream:
        if faults.refusal == UNSAFE and not faults.refusal_after:
            await stream.send(_unsafe(chunk(_APOLOGY, is_end=True)))
            serving.complete(reply.usage)
            return stream.response
        for delta in deltas(reply):
            if stream.refusal_is_due and faults.refusal is not None:
                if faults.refusal == UNSAFE:
                    await stream.send(_unsafe(chunk("", is_end=True)))
                    break
                await _break_off(stream, faults.refusal, str(answer.head["id"]))
                break
            if delta.finish_reason is not None:
                await stream.send(chunk("", is_end=True, **end, **answer.told))
                serving.complete(reply.usage)
            elif delta.text:
                sent = replace(
                    sent, completion_tokens=sent.completion_tokens + count_tokens(delta.text)
                )
                await stream.send(chunk(delta.text))
                serving.sent(Delta(delta.text))
    return stream.response


def _unsafe(chunk: dict[str, object]) -> dict[str, object]:
    return {
        **chunk,
        "need_clear_history": True,
        "ban_round": -1,
        "finish_reason": "content_filter",
    }


async def _break_off(stream: EventStream, fault: str, id_: str) -> None:
    if fault == BARE_LINE:
        code = "336000"
        words = V1_WORDS[code]
        await stream.send_raw(f'{{"error_code":{code},"error_msg":"{words}"}}\n\n'.encode())
        return
    try:
        code = code_of(fault)
    except RefusedError as unknown:
        code = unknown.code
    await stream.send(RefusedError(code).body(id_))
