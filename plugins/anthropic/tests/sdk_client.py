"""
The vendor's official SDK as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client.py BASE_URL API_KEY; prints one JSON object: what the SDK made of each answer.
"""

import asyncio
import json
import sys

import anthropic

OLD, NEW = "claude-3-opus-20240229", "claude-opus-5"
TOOLS = [
    {
        "name": name,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
    for name, description in (("get_weather", "查询天气"), ("get_time", "查询时间"))
]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def say(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def failure(call):
    """Class, status, type and request id of the exception that a call raises."""
    try:
        call()
    except anthropic.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        kind = (body.get("error") or {}).get("type")
        return [type(error).__name__, error.status_code, kind, bool(error.request_id)]
    except Exception as error:  # its class is what we want to know
        return [type(error).__name__]
    return None


def raw_stream(client, **params):
    """The events of a stream, and what they join to."""
    kinds, text, thinking, calls, usage, stop = [], "", "", [], None, None
    for event in client.messages.create(stream=True, **params):
        kinds.append(event.type)
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            calls.append([event.content_block.name, ""])
        if event.type == "content_block_delta":
            delta = event.delta
            text += getattr(delta, "text", "") or ""
            thinking += getattr(delta, "thinking", "") or ""
            if delta.type == "input_json_delta":
                calls[-1][1] += delta.partial_json
        if event.type == "message_delta":
            usage, stop = event.usage.model_dump(), event.delta.stop_reason
    return {
        "kinds": kinds,
        "text": text,
        "thinking": thinking,
        "calls": calls,
        "usage": usage,
        "stop": stop,
    }


def helped_stream(client, **params):
    """The final message that the SDK's own helper puts together."""
    with client.messages.stream(**params) as stream:
        pieces = list(stream.text_stream)
        return {"pieces": len(pieces), "message": stream.get_final_message().model_dump()}


def tool_loop(client, **params):
    """A question whose answer calls, the results, and the answer to them; the SDK's own blocks go back as they came."""
    question = say("北京和上海的天气？[[tools:parallel]]")
    first = client.messages.create(messages=question, tools=TOOLS, **params)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"{index} 度"}
        for index, block in enumerate(first.content)
        if block.type == "tool_use"
    ]
    history = [
        *question,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = client.messages.create(messages=history, tools=TOOLS, **params)
    forgotten = [*history[:2], *say("?")]
    return {
        "first": first.model_dump(),
        "second": second.model_dump(),
        "forgotten": failure(
            lambda: client.messages.create(messages=forgotten, tools=TOOLS, **params)
        ),
    }


def tampered(client):
    """Thinking that comes back changed."""
    thinking = {"type": "adaptive"}
    first = client.messages.create(
        model=NEW, max_tokens=2048, messages=say("2+2?"), thinking=thinking
    )
    blocks = [block.model_dump(exclude_none=True) for block in first.content]
    history = [*say("2+2?"), {"role": "assistant", "content": blocks}, *say("3+3?")]
    fine = client.messages.create(model=NEW, max_tokens=512, messages=history)
    blocks[0]["thinking"] += "!"
    return {
        "first": first.model_dump(),
        "fine": fine.stop_reason,
        "tampered": failure(
            lambda: client.messages.create(model=NEW, max_tokens=512, messages=history)
        ),
    }


def cached(client):
    """The same long prompt twice, marked to be cached."""
    system = [{"type": "text", "text": "背景资料。" * 900, "cache_control": {"type": "ephemeral"}}]
    return [
        client.messages.create(
            model=NEW, max_tokens=64, system=system, messages=say("你好")
        ).usage.model_dump()
        for _ in range(2)
    ]


def batches(client):
    """A batch from its beginning to its results."""
    api = client.messages.batches
    params = {"model": OLD, "max_tokens": 64, "messages": say("你好")}
    batch = api.create(
        requests=[
            {"custom_id": "good", "params": params},
            {"custom_id": "bad", "params": {**params, "model": "no-such"}},
        ]
    )
    done = api.retrieve(batch.id)
    results = [row.model_dump(mode="json") for row in api.results(batch.id)]
    other = api.create(requests=[{"custom_id": "a", "params": params}])
    cancelled = api.cancel(other.id)
    canceled = api.retrieve(other.id)
    return {
        "batch": batch.model_dump(mode="json"),
        "done": done.model_dump(mode="json"),
        "results": results,
        "cancelling": cancelled.processing_status,
        "canceled": canceled.request_counts.canceled,
        "listed": len(list(api.list(limit=1))),
        "deleted": api.delete(batch.id).type,
    }


def files(client):
    """A file from its upload to its end."""
    api = client.files if hasattr(client, "files") else client.beta.files
    file = api.upload(file=("a.txt", b"text", "text/plain"))
    return {
        "file": file.model_dump(mode="json"),
        "listed": [each.id for each in api.list()],
        "deleted": api.delete(file.id).id == file.id,
        "again": failure(lambda: api.delete(file.id)),
    }


async def asynchronous(base_url, api_key):
    """The asynchronous client, a few streams at once."""
    async with anthropic.AsyncAnthropic(
        api_key=api_key, base_url=base_url, max_retries=0
    ) as client:

        async def one(number):
            async with client.messages.stream(
                model=NEW, max_tokens=256, messages=say(f"[[say:number {number}]]")
            ) as stream:
                return await stream.get_final_text()

        return await asyncio.gather(*(one(number) for number in range(5)))


def main(base_url, api_key):
    """Ask everything."""
    client = anthropic.Anthropic(
        api_key=api_key, base_url=base_url, max_retries=0, _strict_response_validation=True
    )
    lenient = anthropic.Anthropic(api_key=api_key, base_url=base_url, max_retries=0)
    retrying = anthropic.Anthropic(api_key=api_key, base_url=base_url, max_retries=2)
    wrong = anthropic.Anthropic(api_key=api_key + "x", base_url=base_url, max_retries=0)
    create = client.messages.create
    basic = {"model": OLD, "max_tokens": 512}
    picture = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    raw = client.messages.with_raw_response.create(messages=say("你好"), **basic)
    result = {
        "version": anthropic.__version__,
        "sent": {
            name: raw.http_request.headers.get(name)
            for name in ("anthropic-version", "x-api-key", "authorization")
        },
        "request_id": raw.headers.get("request-id"),
        "basic": create(messages=say("你好"), **basic).model_dump(),
        "system": create(
            messages=say("你好"), system="Be terse.", stop_sequences=["沙箱"], **basic
        ).model_dump(),
        "short": create(model=OLD, max_tokens=5, messages=say("你好")).model_dump(),
        "stream": raw_stream(client, messages=say("你好"), **basic),
        "stream_split": raw_stream(client, messages=say("你好 [[fault:split_utf8]]"), **basic),
        "helped": helped_stream(client, messages=say("你好"), **basic),
        "helped_calls": helped_stream(
            client, messages=say("北京和上海 [[tools:parallel]]"), tools=TOOLS, **basic
        ),
        "helped_thinking": helped_stream(
            client, model=NEW, max_tokens=2048, messages=say("2+2?"), thinking={"type": "adaptive"}
        ),
        "loop": tool_loop(client, **basic),
        "budget_loop": tool_loop(
            client,
            model="claude-haiku-4-5",
            max_tokens=4096,
            thinking={"type": "enabled", "budget_tokens": 1024},
        ),
        "thinking": tampered(client),
        "one_call": create(
            messages=say("北京 [[tools:parallel]]"),
            tools=TOOLS,
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            **basic,
        ).model_dump(),
        "named_call": create(
            messages=say("北京"),
            tools=TOOLS,
            tool_choice={"type": "tool", "name": "get_time"},
            **basic,
        ).model_dump(),
        "picture": create(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": picture},
                        {"type": "text", "text": "图里有什么"},
                    ],
                }
            ],
            **basic,
        ).model_dump(),
        "schema": create(
            model=NEW,
            max_tokens=512,
            messages=say("What?"),
            output_config={"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        ).model_dump(),
        "refused": create(messages=say("[[fault:refusal]]"), **basic).model_dump(),
        "refused_stream": raw_stream(
            client, messages=say("你好 [[fault:refusal after=5]]"), **basic
        ),
        "cached": cached(client),
        "count": client.messages.count_tokens(
            model=OLD, system="Be terse.", messages=say("hello"), tools=TOOLS
        ).input_tokens,
        "models": [model.id for model in client.models.list(limit=3)],
        "model": client.models.retrieve(OLD).model_dump(mode="json"),
        "batches": batches(lenient),
        "files": files(lenient),
        "asynchronous": asyncio.run(asynchronous(base_url, api_key)),
        "wrong_key": failure(lambda: wrong.messages.create(messages=say("你好"), **basic)),
        "retried": retrying.messages.create(
            messages=say("你好 [[fault:529 times=2]]"), **basic
        ).stop_reason,
        "waited": retrying.messages.create(
            messages=say("你好 [[fault:429 retry_after=0.01 once=w]]"), **basic
        ).stop_reason,
        "errors": {
            fault: failure(lambda fault=fault: create(messages=say(f"[[fault:{fault}]]"), **basic))
            for fault in (
                "400",
                "401",
                "402",
                "403",
                "404",
                "409",
                "413",
                "429",
                "500",
                "504",
                "529",
            )
        },
        "broken_stream": failure(
            lambda: raw_stream(client, messages=say("你好 [[fault:529 after=3]]"), **basic)
        ),
        "no_model": failure(lambda: create(model="no-such", max_tokens=8, messages=say("hi"))),
        "bad_role": failure(
            lambda: create(messages=[{"role": "assistant", "content": "hi"}], **basic)
        ),
        "too_many": failure(lambda: create(model=OLD, max_tokens=4097, messages=say("hi"))),
        "negative": failure(lambda: create(model=OLD, max_tokens=-1, messages=say("hi"))),
        "temperature": failure(
            lambda: create(messages=say("hi"), extra_body={"temperature": 1.0}, **basic)
        ),
        "hot": failure(
            lambda: create(messages=say("hi"), extra_body={"temperature": 1.5}, **basic)
        ),
    }
    json.dump(result, sys.stdout, ensure_ascii=True, default=str)


main(sys.argv[1], sys.argv[2])
