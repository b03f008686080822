"""
The vendor's official SDK of Ark as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client_ark.py BASE_URL API_KEY AK SK; prints one JSON object: what the SDK made of each answer.
"""

import json
import sys
from importlib.metadata import version

import volcenginesdkark
import volcenginesdkcore
from volcenginesdkarkruntime import Ark

MODEL = "doubao-seed-1-6-250615"
ENDPOINT = "ep-20240101-abcde"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "查询天气",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def say(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def stream(create, **params):
    """A streamed answer: its text, its thinking, its calls, its end and its usage."""
    pieces, reasoning, calls, finish, usage, moderation = [], "", {}, None, None, None
    options = {"include_usage": True}
    for chunk in create(stream=True, stream_options=options, **params):
        usage = chunk.usage.model_dump() if chunk.usage else usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            reasoning += choice.delta.reasoning_content or ""
            moderation = choice.moderation_hit_type or moderation
            for call in choice.delta.tool_calls or ():
                known = calls.setdefault(call.index, {"name": "", "arguments": ""})
                known["name"] += call.function.name or ""
                known["arguments"] += call.function.arguments or ""
            finish = choice.finish_reason or finish
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "reasoning": reasoning,
        "calls": list(calls.values()),
        "finish": finish,
        "usage": usage,
        "moderation": moderation,
    }


def failure(call):
    """Class, status and code of the exception that a call raises."""
    try:
        call()
    except Exception as error:  # its class is what we want to know
        names = ("status_code", "code", "request_id")
        status, code, request_id = (getattr(error, name, None) for name in names)
        return [type(error).__name__, status, code, bool(request_id)]
    return None


def temporary_key(base_url, ak, sk, resource):
    """A key for one endpoint, from the control plane."""
    configuration = volcenginesdkcore.Configuration()
    configuration.ak, configuration.sk, configuration.region = ak, sk, "cn-beijing"
    configuration.scheme, configuration.host = "http", base_url.partition("//")[2]
    api = volcenginesdkark.ARKApi(volcenginesdkcore.ApiClient(configuration))
    request = volcenginesdkark.GetApiKeyRequest(
        duration_seconds=3600, resource_type="endpoint", resource_ids=[resource]
    )
    return api.get_api_key(request)


def main(base_url, api_key, ak, sk):
    """Ask everything."""
    ark_url = base_url + "/api/v3"
    client = Ark(base_url=ark_url, api_key=api_key, max_retries=0)
    chat = client.chat.completions.create
    called = chat(model=MODEL, messages=say("北京天气怎么样？"), tools=[WEATHER])
    calls = called.choices[0].message.tool_calls
    answered = chat(
        model=MODEL,
        messages=[
            *say("北京天气怎么样？"),
            {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]},
            {"role": "tool", "tool_call_id": calls[0].id, "content": '{"temp": 21}'},
        ],
        tools=[WEATHER],
    )
    parts = [
        {"type": "text", "text": "图里有什么"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    context = client.context.create(model=ENDPOINT, messages=say("我叫小明"), ttl=3600)
    file = client.files.create(file=("note.txt", b"hello"), purpose="user_data")
    tasks = client.content_generation.tasks
    task = tasks.create(model="doubao-seedance-1-0-pro", content=[{"type": "text", "text": "猫"}])
    looks = [tasks.get(task_id=task.id) for _ in range(3)]
    issued = temporary_key(base_url, ak, sk, ENDPOINT)
    guest = Ark(base_url=ark_url, api_key=issued.api_key, max_retries=0)
    wrong = Ark(base_url=ark_url, api_key=api_key + "x", max_retries=0)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    result = {
        "version": version("volcengine-python-sdk"),
        "chat": chat(model=MODEL, messages=say("你好")).model_dump(),
        "stream": stream(chat, model=MODEL, messages=say("你好")),
        "stream_split": stream(chat, model=MODEL, messages=say("你好 [[fault:split_utf8]]")),
        "not_thinking": stream(
            chat, model=MODEL, messages=say("你好"), thinking={"type": "disabled"}
        ),
        "endpoint": chat(model=ENDPOINT, messages=say("你好")).model_dump(),
        "called": called.model_dump(),
        "stream_called": stream(
            chat, model=MODEL, messages=say("北京和上海的天气？[[tools:parallel]]"), tools=[WEATHER]
        ),
        "answered": answered.model_dump(),
        "json": chat(
            model=MODEL, messages=say("返回JSON"), response_format={"type": "json_object"}
        ).model_dump(),
        "schema": chat(
            model=MODEL,
            messages=say("返回JSON"),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": schema, "strict": True},
            },
        ).model_dump(),
        "picture": chat(model=MODEL, messages=[{"role": "user", "content": parts}]).model_dump(),
        "length": chat(model=MODEL, messages=say("你好"), max_tokens=5).model_dump(),
        "choices": chat(model=MODEL, messages=say("你好"), n=2).model_dump(),
        "logprobs": chat(
            model=MODEL, messages=say("你好"), logprobs=True, top_logprobs=2
        ).model_dump(),
        "filtered": stream(
            chat, model=MODEL, messages=say("你好 [[fault:content_filter after=5]]")
        ),
        "bot": client.bot_chat.completions.create(model="bot-1", messages=say("新闻")).model_dump(),
        "bot_stream": stream(
            client.bot_chat.completions.create, model="bot-1", messages=say("新闻")
        ),
        "context": context.model_dump(),
        "context_chat": client.context.completions.create(
            context_id=context.id, model=ENDPOINT, messages=say("我叫什么？")
        ).model_dump(),
        "embeddings": client.embeddings.create(
            model="doubao-embedding-text-240715", input=["a", "b"], encoding_format="float"
        ).model_dump(),
        "multimodal": client.multimodal_embeddings.create(
            model="doubao-embedding-vision-250615", input=parts
        ).model_dump(),
        "image": client.images.generate(
            model="doubao-seedream-4-0-250828",
            prompt="红点",
            size="1024x1024",
            response_format="url",
        ).model_dump(),
        "image_data": client.images.generate(
            model="doubao-seedream-4-0-250828", prompt="红点", size="1K", response_format="b64_json"
        ).model_dump(),
        "tokens": client.tokenization.create(model=MODEL, text=["你好", "世界"]).model_dump(),
        "file": file.model_dump(),
        "file_shown": client.files.retrieve(file.id).model_dump(),
        "files": [each.id for each in client.files.list()],
        "file_deleted": client.files.delete(file.id).model_dump(),
        "file_gone": failure(lambda: client.files.retrieve(file.id)),
        "looks": [look.status for look in looks],
        "film": looks[-1].content.video_url,
        "tasks": [item.id for item in tasks.list(task_ids=[task.id]).items] == [task.id],
        "task_deleted": [tasks.delete(task.id), failure(lambda: tasks.get(task_id=task.id))][1],
        "issued": issued.expired_time,
        "guest": guest.chat.completions.create(model=ENDPOINT, messages=say("你好")).model_dump(),
        "guest_elsewhere": failure(
            lambda: guest.chat.completions.create(model="ep-20240101-other", messages=say("x"))
        ),
        "bad_signature": failure(lambda: temporary_key(base_url, ak, sk + "x", ENDPOINT))[:2],
        "wrong_key": failure(lambda: wrong.chat.completions.create(model=MODEL, messages=say("x"))),
        "errors": {
            code: failure(
                lambda code=code: chat(model=MODEL, messages=say(f"你好 [[fault:{code}]]"))
            )[:3]
            for code in (
                "MissingParameter",
                "AccessDenied",
                "AccountOverdueError",
                "ModelNotOpen",
                "RateLimitExceeded.EndpointTPMExceeded",
                "InternalServiceError",
                "503",
            )
        },
        "no_model": failure(lambda: chat(model="doubao-nothing", messages=say("x"))),
        "bad_range": failure(lambda: chat(model=MODEL, messages=say("x"), temperature=3)),
        "bad_role": failure(lambda: chat(model=MODEL, messages=[{"role": "x", "content": "x"}])),
        "bad_order": failure(
            lambda: chat(
                model=MODEL,
                messages=[*say("x"), {"role": "tool", "tool_call_id": "c", "content": "r"}],
            )
        ),
        "bad_end": failure(
            lambda: chat(model=MODEL, messages=[*say("x"), {"role": "system", "content": "s"}])
        ),
    }
    json.dump(result, sys.stdout, ensure_ascii=True, default=str)


main(*sys.argv[1:])
