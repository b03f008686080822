"""
The vendor's official SDK as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client.py BASE_URL API_KEY; prints one JSON object: what the SDK made of each answer.
"""

import json
import sys

import zhipuai

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


def say(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def stream(client, **params):
    """A streamed answer: its pieces, its thinking, its calls, its end and its usage."""
    pieces, reasoning, calls, roles, finish, usage = [], "", [], set(), None, None
    for chunk in client.chat.completions.create(stream=True, **params):
        choice = chunk.choices[0]
        roles.add(choice.delta.role)
        pieces.append(choice.delta.content or "")
        reasoning += getattr(choice.delta, "reasoning_content", None) or ""
        calls += [call.model_dump() for call in choice.delta.tool_calls or ()]
        finish = choice.finish_reason or finish
        usage = chunk.usage.model_dump() if chunk.usage else usage
    return {
        "text": "".join(pieces),
        "pieces": len(pieces),
        "reasoning": reasoning,
        "calls": calls,
        "roles": sorted(roles),
        "finish": finish,
        "usage": usage,
    }


def failure(call):
    """Class and status of the exception that a call raises."""
    try:
        call()
    except Exception as error:  # its class is what we want to know
        return [type(error).__name__, getattr(error, "status_code", None)]
    return None


def main(base_url, api_key):
    """Ask everything."""
    jwt = zhipuai.ZhipuAI(
        api_key=api_key, base_url=base_url, disable_token_cache=False, max_retries=0
    )
    raw = zhipuai.ZhipuAI(api_key=api_key, base_url=base_url, max_retries=0)
    wrong = [
        zhipuai.ZhipuAI(
            api_key=key, base_url=base_url, disable_token_cache=cache_off, max_retries=0
        )
        for key in (api_key + "x", "x" + api_key)
        for cache_off in (False, True)
    ]
    chat = jwt.chat.completions.create
    called = chat(
        model="glm-4", messages=say("北京天气怎么样？"), tools=[WEATHER], tool_choice="auto"
    )
    calls = called.choices[0].message.tool_calls
    answered = chat(
        model="glm-4",
        messages=[
            *say("北京天气怎么样？"),
            {"role": "assistant", "tool_calls": [call.model_dump() for call in calls]},
            {"role": "tool", "tool_call_id": calls[0].id, "content": '{"temp": 21}'},
        ],
        tools=[WEATHER],
    )
    strict = zhipuai.ZhipuAI(
        api_key=api_key, base_url=base_url, max_retries=0, _strict_response_validation=True
    )
    search = {"enable": True, "search_result": True, "search_engine": "search_std"}
    picture = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
        "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    tasks = jwt.chat.asyncCompletions
    task = tasks.create(model="glm-4", messages=say("长文"), request_id="req-async-1")
    failing = tasks.create(model="glm-4", messages=say("长文 [[fault:task_fail]]"))
    file = jwt.files.create(file=("jobs.jsonl", b'{"custom_id":"r1"}\n'), purpose="batch")
    document = jwt.knowledge.document.create(
        file=("公司制度.txt", "假期".encode()), purpose="retrieval", knowledge_id="1794"
    )
    listed = jwt.files.list(purpose="batch", limit=10)
    content = jwt.files.content(file.id).read().decode()
    deleted = jwt.files.delete(file.id)
    result = {
        "task": [
            task.model_dump(),
            *(tasks.retrieve_completion_result(id=task.id).model_dump() for _ in range(2)),
        ],
        "failed_task": [
            tasks.retrieve_completion_result(id=failing.id).model_dump()["task_status"]
            for _ in range(2)
        ],
        "file": file.model_dump(),
        "document": document.model_dump(),
        "listed": listed.model_dump(),
        "content": content,
        "deleted": deleted.model_dump(),
        "left": jwt.files.list(purpose="batch").model_dump()["data"],
        "found": jwt.web_search.web_search(
            search_engine="search_std", search_query="大模型", count=5, search_intent=True
        ).model_dump(),
        "found_by_agent": jwt.tools.web_search(
            model="web-search-pro", messages=say("新闻"), request_id="rq-9", stream=False
        ).model_dump(),
        "refused": {
            "no_task": failure(lambda: tasks.retrieve_completion_result(id="nothing")),
            "no_file": failure(lambda: jwt.files.delete("nothing")),
            "no_purpose": failure(lambda: jwt.files.create(file=b"x", purpose="fun")),
            "no_query": failure(lambda: jwt.web_search.web_search(search_engine="search_std")),
            "same_id": failure(
                lambda: tasks.create(model="glm-4", messages=say("长文"), request_id="req-async-1")
            ),
            "search_limited": failure(
                lambda: jwt.web_search.web_search(
                    search_engine="search_std", search_query="大模型 [[fault:1302]]"
                )
            ),
        },
        "version": zhipuai.__version__,
        "jwt": chat(model="glm-4", messages=say("你好")).model_dump(),
        "raw": raw.chat.completions.create(model="glm-4", messages=say("你好")).model_dump(),
        "strict": strict.chat.completions.create(model="glm-4", messages=say("你好")).model_dump(),
        "clamped": chat(
            model="glm-4", messages=say("你好"), temperature=0, top_p=1, user_id="user-123456"
        ).model_dump(),
        "stream": stream(jwt, model="glm-4", messages=say("你好")),
        "stream_split": stream(raw, model="glm-4", messages=say("你好 [[fault:split_utf8]]")),
        "thinking": stream(jwt, model="glm-4.5", messages=say("你好")),
        "not_thinking": stream(
            jwt, model="glm-4.5", messages=say("你好"), thinking={"type": "disabled"}
        ),
        "called": called.model_dump(),
        "stream_called": stream(
            jwt,
            model="glm-4",
            messages=say("北京和上海的天气？[[tools:parallel]]"),
            tools=[WEATHER],
        ),
        "answered": answered.model_dump(),
        "json": chat(
            model="glm-4", messages=say("返回JSON"), response_format={"type": "json_object"}
        ).model_dump(),
        "search": chat(
            model="glm-4-air",
            messages=say("今天新闻"),
            tools=[{"type": "web_search", "web_search": search}],
        ).model_dump(),
        "picture": chat(
            model="glm-4v-plus",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "图里有什么"},
                        {"type": "image_url", "image_url": {"url": picture}},
                    ],
                }
            ],
        ).model_dump(),
        "length": chat(model="glm-4", messages=say("你好"), max_tokens=5).model_dump(),
        "embedding": jwt.embeddings.create(model="embedding-2", input="你好世界").model_dump(),
        "embeddings": strict.embeddings.create(
            model="embedding-3", input=["a", "b"], dimensions=512
        ).model_dump(),
        "image": jwt.images.generations(
            model="cogview-3-plus", prompt="一只猫", size="1024x1024", user_id="user-123456"
        ).model_dump(),
        "wrong_keys": [
            failure(lambda c=c: c.chat.completions.create(model="glm-4", messages=say("你好")))
            for c in wrong
        ],
        "errors": {
            code: failure(
                lambda code=code: chat(model="glm-4", messages=say(f"你好 [[fault:{code}]]"))
            )
            for code in ("1210", "1301", "1302", "1113", "1003", "500", "503", "1220")
        },
        "no_model": failure(lambda: chat(model="glm-nothing", messages=say("你好"))),
        "bad_range": failure(lambda: chat(model="glm-4", messages=say("你好"), max_tokens=0)),
    }
    json.dump(result, sys.stdout, ensure_ascii=True)


main(sys.argv[1], sys.argv[2])
