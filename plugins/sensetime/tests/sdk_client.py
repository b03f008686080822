"""
The vendor's official SDK as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client.py BASE_URL AK SK; prints one JSON object: what the SDK made of each answer.
"""

import hmac
import io
import json
import sys
import time
from base64 import urlsafe_b64encode

import sensenova
from sensenova.version import VERSION

TOOL = {
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
AUTO = {"mode": "auto", "tools": []}
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
KNOWLEDGE = {"text_lst": ["蜂巢是六边形的"], "qa_lst": []}
CHARACTERS = {
    "model": "SenseChat-Character",
    "character_settings": [{"name": "y", "gender": "男"}, {"name": "d", "gender": "男"}],
    "role_setting": {"user_name": "d", "primary_bot_name": "y"},
    "messages": [{"name": "d", "content": "你好"}],
}


def say(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def chat(text, **params):
    """A chat."""
    params.setdefault("model", "SenseChat-5")
    params.setdefault("messages", say(text))
    return sensenova.ChatCompletion.create(**params)


def stream(text, **params):
    """A streamed chat: its pieces, its thinking, its calls, its ends and its usage."""
    pieces, reasoning, calls, ends, usage, beside = {}, "", [], {}, None, {}
    for chunk in chat(text, stream=True, **params):
        data = chunk["data"]
        for choice in data["choices"]:
            pieces.setdefault(choice["index"], []).append(choice["delta"])
            reasoning += choice.get("reasoning_content") or ""
            calls += choice.get("tool_calls") or []
            if choice["finish_reason"]:
                ends[choice["index"]] = choice["finish_reason"]
        usage = data.get("usage") or usage
        for name in ("plugins", "knowledge_base_results"):
            beside[name] = data.get(name) or beside.get(name)
    return {
        "texts": ["".join(pieces[index]) for index in sorted(pieces)],
        "pieces": sum(map(len, pieces.values())),
        "reasoning": reasoning,
        "calls": calls,
        "ends": [ends[index] for index in sorted(ends)],
        "usage": usage,
        **beside,
    }


def failure(call):
    """Class, HTTP status and code of the exception that a call raises."""
    try:
        call()
    except sensenova.error.SensenovaError as error:
        body = error.json_body
        code = body["error"]["code"] if isinstance(body, dict) else None
        return [type(error).__name__, error.http_status, code]
    except Exception as error:  # its class is what we want to know
        return [type(error).__name__, None, None]
    return None


def wrong_token(change, secret):
    """What becomes of a chat with a token of other claims."""
    now = int(time.time())
    claims = {"iss": sensenova.access_key_id, "exp": now + 60, "nbf": now - 5, **change}
    parts = [json.dumps(each).encode() for each in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = urlsafe_b64encode(hmac.digest(secret.encode(), signed, "sha256")).rstrip(b"=")
    token = (signed + b"." + signature).decode()
    # The SDK lets a caller's headers stand over its own.
    return failure(lambda: chat("你好", headers={"Authorization": f"Bearer {token}"}))


def wrong_pair(ak, sk):
    """What becomes of a chat with another pair of keys."""
    return failure(lambda: chat("你好", access_key_id=ak, secret_access_key=sk))


def sessions():
    """Two turns of a session, the second one streamed."""
    session = sensenova.ChatSession.create(
        system_prompt=[{"role": "system", "content": "你是翻译"}]
    )
    how = {
        "action": "next",
        "model": "SenseChat-5",
        "session_id": session["session_id"],
        "know_ids": [],
    }
    first = sensenova.ChatConversation.create(content="你好", stream=False, **how)
    second = "", None
    for chunk in sensenova.ChatConversation.create(content="再见", stream=True, **how):
        data = chunk["data"]
        second = second[0] + data["delta"], data.get("usage") or second[1]
    return {
        "default": sensenova.ChatSession.create()["session_id"],
        "first": first.to_dict_recursive(),
        "second": second,
        "lost": failure(
            lambda: sensenova.ChatConversation.create(
                content="你好", **{**how, "session_id": "nobody's"}
            )
        ),
    }


def knowledge():
    """A file, a knowledge base of it, and a chat that knows it."""
    uploaded = sensenova.File.create(
        file=io.StringIO(json.dumps(KNOWLEDGE, ensure_ascii=False)),
        scheme="KNOWLEDGE_BASE_1",
        description="知识库文件",
    )
    file_id = uploaded["id"]
    made = sensenova.KnowledgeBase.create(description="测试库", files=[file_id])
    base_id = made["knowledge_base"]["id"]
    config = {"control_level": "normal", "knowledge_base_result": True}
    known = {"know_ids": [base_id], "knowledge_config": config}
    answer = chat("蜂巢？", **known).to_dict_recursive()
    streamed = stream("蜂巢？", **known)
    sensenova.KnowledgeBase.update(sid=base_id, description="新库", files=[])
    result = {
        "file": sensenova.File.retrieve(file_id).to_dict_recursive(),
        "files": sensenova.File.list().to_dict_recursive(),
        "content": sensenova.File.download(file_id).decode(),
        "base": sensenova.KnowledgeBase.retrieve(id=base_id).to_dict_recursive(),
        "bases": sensenova.KnowledgeBase.list().to_dict_recursive(),
        "answer": answer,
        "streamed": streamed,
    }
    sensenova.KnowledgeBase.delete(sid=base_id)
    sensenova.File.delete(file_id)
    result["lost_file"] = failure(lambda: sensenova.File.retrieve(file_id))
    result["lost_base"] = failure(lambda: sensenova.KnowledgeBase.retrieve(id=base_id))
    return result


def main(base_url, ak, sk):
    """Ask everything."""
    sensenova.api_base = sensenova.api_base_file = base_url
    sensenova.access_key_id, sensenova.secret_access_key = ak, sk
    called = chat("北京天气怎么样？", tools=[TOOL], tool_choice=AUTO).to_dict_recursive()
    calls = called["data"]["choices"][0]["tool_calls"]
    answered = chat(
        "",
        messages=[
            *say("北京天气怎么样？"),
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "tool_call_id": calls[0]["id"], "content": '{"temp": 21}'},
        ],
        tools=[TOOL],
    )
    seen = [{"type": "image_base64", "image_base64": PICTURE}, {"type": "text", "text": "看"}]
    search = {"web_search": {"search_enable": True, "result_enable": True}}
    bad = {
        "range": {"temperature": 0},
        "top_p": {"top_p": 1},
        "roles": {"messages": [*say("你好"), {"role": "assistant", "content": "你好"}]},
        "tool_choice": {"tools": [TOOL], "tool_choice": "auto"},
        "model": {"model": "SenseChat-0"},
    }
    result = {
        "version": VERSION,
        "chat": chat("你好").to_dict_recursive(),
        "full": chat(
            "你好",
            n=2,
            max_new_tokens=5,
            repetition_penalty=1.05,
            temperature=0.8,
            top_p=0.7,
            user="u1",
            stream=False,
        ).to_dict_recursive(),
        "stream": stream("你好"),
        "split": stream("你好 [[fault:split_utf8]]"),
        "several": stream("你好", n=2),
        "thinking": stream("你好", model="SenseNova-V6-Reasoner"),
        "called": called,
        "stream_called": stream(
            "北京和上海的天气？[[tools:parallel]]", tools=[TOOL], tool_choice=AUTO
        ),
        "answered": answered.to_dict_recursive(),
        "picture": chat(
            "", model="SenseChat-Vision", messages=[{"role": "user", "content": seen}]
        ).to_dict_recursive(),
        "search": chat("今天新闻", plugins=search).to_dict_recursive(),
        "sessions": sessions(),
        "knowledge": knowledge(),
        "character": sensenova.CharacterChatCompletion.create(
            n=2, max_new_tokens=300, **CHARACTERS
        ).to_dict_recursive(),
        "completion": sensenova.Completion.create(
            prompt="今天天气",
            model="nova-ptc-s-v1-codecompletion",
            n=2,
            max_new_tokens=16,
            stop=None,
        ).to_dict_recursive(),
        "embedding": sensenova.Embedding.create(
            model="nova-embedding-stable", input=["今天天气怎么样", "x"]
        ).to_dict_recursive(),
        "models": sensenova.Model.list().to_dict_recursive(),
        "model": sensenova.Model.retrieve(id="SenseChat-5").to_dict_recursive(),
        "deleted_model": failure(lambda: sensenova.Model.delete(sid="SenseChat-5")),
        "errors": {
            code: failure(lambda code=code: chat(f"你好 [[fault:{code}]]"))
            for code in ("3", "5", "6", "7", "8", "10", "13", "14", "16", "18")
        },
        "stream_error": failure(lambda: stream("你好 [[fault:content_filter after=2]]")),
        "bad": {name: failure(lambda p=params: chat("你好", **p)) for name, params in bad.items()},
        "tokens": {
            "good": wrong_token({}, sk),
            "tampered": wrong_token({}, sk + "x"),
            "expired": wrong_token({"exp": int(time.time()) - 1}, sk),
            "early": wrong_token({"nbf": int(time.time()) + 60}, sk),
            "other": wrong_token({"iss": "somebody"}, sk),
        },
        "pairs": [wrong_pair(ak, sk + "x"), wrong_pair("x" + ak, sk)],
    }
    json.dump(result, sys.stdout, ensure_ascii=True)


main(*sys.argv[1:])
