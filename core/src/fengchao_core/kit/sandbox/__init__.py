"""
The shared engine of the vendors' sandboxes.

A sandbox is a small aiohttp application that stands in for a vendor: it verifies what it is sent as the vendor would,
and answers in the vendor's shapes. What all of them need is here: an answer made from the prompt alone (`answer_for`,
`deltas`, `embedding`), scripted faults (`Faults`), the writing of streams and whole answers with those faults
(`EventStream`, `send_whole`), the count of what was really served (`Served`), and the chat-completions dialect from the
vendor's side (`chat_dialect`).

Markers in the last user message steer a sandbox: `Faults.from_prompt` lists the faults; `[[say:TEXT]]`,
`[[length:N]]` and `[[tools:parallel]]` are told in `answers`.

Example:
    ```python
    async def chat(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        asked = chat_dialect.read_chat(body)
        faults = desk.faults(last_user_text(asked.messages))
        if faults.refusal and faults.refusal_after is None:
            return refuse(faults)
        reply = answer_for(asked)
        with desk.served.serving("key-1", asked.model, reply.usage.prompt_tokens) as serving:
            if not asked.stream:
                serving.complete(reply.usage)
                return await send_whole(request, whole_body(reply), faults, serving)
            async with EventStream(request, faults, serving) as stream:
                for delta in deltas(reply):
                    await stream.send(chunk(delta))
                    serving.sent(delta)
                serving.complete(reply.usage)
                await stream.send(b"[DONE]")
            return stream.response
    ```
"""

from fengchao_core.kit.sandbox.answers import Reply, answer_for, deltas, prompt_tokens
from fengchao_core.kit.sandbox.calls import last_user_text
from fengchao_core.kit.sandbox.desk import SERVED_PATH, SandboxDesk
from fengchao_core.kit.sandbox.markers import Faults, Marker, markers, without_markers
from fengchao_core.kit.sandbox.pictures import Picture, draw, look_at
from fengchao_core.kit.sandbox.schema import Hints, fill
from fengchao_core.kit.sandbox.served import Served, ServedRow, Serving
from fengchao_core.kit.sandbox.streams import EventStream, is_gone, send_whole, until_gone, wait
from fengchao_core.kit.sandbox.vectors import embedding
from fengchao_core.kit.sandbox.words import (
    count_tokens,
    is_chinese,
    pieces,
    shorten,
    tokenize,
)

__all__ = [
    "SERVED_PATH",
    "EventStream",
    "Faults",
    "Hints",
    "Marker",
    "Picture",
    "Reply",
    "SandboxDesk",
    "Served",
    "ServedRow",
    "Serving",
    "answer_for",
    "count_tokens",
    "deltas",
    "draw",
    "embedding",
    "fill",
    "is_chinese",
    "is_gone",
    "last_user_text",
    "look_at",
    "markers",
    "pieces",
    "prompt_tokens",
    "send_whole",
    "shorten",
    "tokenize",
    "until_gone",
    "wait",
    "without_markers",
]
