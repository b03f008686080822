"""The legacy MaaS API, as its stand-in: chat and tokens of versions 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from fengchao_core.kit.sandbox import (
    EventStream,
    Faults,
    Reply,
    SandboxDesk,
    Serving,
    answer_for,
    chat_dialect,
    count_tokens,
    deltas,
    last_user_text,
    send_whole,
    tokenize,
)
from fengchao_core.types import Choice, Usage
from fengchao_volcengine.sandbox.call import Call
from fengchao_volcengine.sandbox.maas_checks import as_dialect, check_chat, check_model
from fengchao_volcengine.sandbox.refusals import Refusal, maas_error, maas_fault


class Maas:
    """
    What the legacy API answers.

    Args:
        desk: faults, and what was served.
    """

    def __init__(self, desk: SandboxDesk) -> None:
        self._desk = desk

    async def chat_v1(self, call: Call) -> web.StreamResponse:
        """Chat, the model in the body."""
        call.model = check_model(call.body)
        return await self._chat(call, 1)

    async def chat_v2(self, call: Call) -> web.StreamResponse:
        """Chat, the endpoint in the path."""
        call.model = _endpoint(call)
        return await self._chat(call, 2)

    async def tokenize_v1(self, call: Call) -> web.StreamResponse:
        """The tokens of a text, the model in the body."""
        call.model = check_model(call.body)
        return _tokens(call)

    async def tokenize_v2(self, call: Call) -> web.StreamResponse:
        """The tokens of a text, the endpoint in the path."""
        call.model = _endpoint(call)
        return _tokens(call)

    async def _chat(self, call: Call, version: int) -> web.StreamResponse:
        check_chat(call.body, call.model, version)
        asked = chat_dialect.read_chat(as_dialect(call.body, call.model, version))
        faults = self._desk.faults(last_user_text(asked.messages))
        if faults.refusal is not None and faults.refusal_after is None:
            raise maas_fault(faults)
        reply = answer_for(asked)
        prompt_tokens = reply.usage.prompt_tokens
        with self._desk.served.serving(call.credential, call.model, prompt_tokens) as serving:
            if asked.stream:
                return await _stream(call, reply, version, faults, serving)
            (choice,) = reply.choices
            said = _message(choice, version)
            whole = _event(call, version, said, _finish(choice, version), reply.usage)
            response = await send_whole(call.request, whole, faults, serving)
            if not serving.closed_by_client:
                serving.complete(reply.usage)
            return response


def _endpoint(call: Call) -> str:
    endpoint = call.request.match_info["endpoint"]
    if not endpoint.startswith("ep-"):
        raise Refusal("EndpointIsInvalid")
    return endpoint


def _tokens(call: Call) -> web.Response:
    text = call.body.get("text")
    if not isinstance(text, str):
        raise Refusal("MissingParameter", "text")
    answer = {"req_id": call.id, "tokens": tokenize(text), "total_tokens": count_tokens(text)}
    return web.json_response(answer)


async def _stream(
    call: Call, reply: Reply, version: int, faults: Faults, serving: Serving
) -> web.StreamResponse:
    """Increments under the name of messages, in lines without a space: the vendor's SDK fails on `data: [DONE]`."""
    (choice,) = reply.choices
    async with EventStream(call.request, faults, serving) as stream:

        async def send(event: Mapping[str, Any]) -> None:
            await stream.send_raw(b"data:" + orjson.dumps(event) + b"\n\n")

        for delta in deltas(reply, whole_tool_calls=True):
            if stream.refusal_is_due:
                await send(maas_error(maas_fault(faults), call.id))
                break
            if delta.tool_calls:
                serving.sent(delta)
                continue  # calls come whole, with the end
            if delta.finish_reason is None:
                await send(_event(call, version, {"role": "assistant", "content": delta.text}))
                serving.sent(delta)
                continue
            last = {**_message(choice, version), "content": ""}
            await send(_event(call, version, last, _finish(choice, version), reply.usage))
            serving.complete(reply.usage)
        await stream.send_raw(b"data:[DONE]\n\n")
    return stream.response


def _event(
    call: Call,
    version: int,
    said: Mapping[str, object],
    finish: str | None = None,
    usage: Usage | None = None,
) -> dict[str, object]:
    choice: dict[str, object] = {"message": said}
    if finish is not None:
        choice["finish_reason"] = finish
    body: dict[str, object] = {"req_id": call.id}
    body |= {"choice": choice} if version == 1 else {"choices": [{"index": 0, **choice}]}
    if usage is not None:
        body["usage"] = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }
    return body


def _message(choice: Choice, version: int) -> dict[str, object]:
    calls = choice.message.tool_calls
    message: dict[str, object] = {"role": "assistant", "content": choice.message.text}
    if calls and version == 1:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    return message


def _finish(choice: Choice, version: int) -> str:
    if choice.finish_reason == "tool_calls" and version == 1:
        return "function_call"
    return choice.finish_reason
