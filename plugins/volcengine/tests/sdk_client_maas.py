"""
The vendor's official SDK of the legacy API as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client_maas.py HOST API_KEY AK SK; prints one JSON object: what the SDK made of each answer.
"""

import json
import sys

from volcengine import VERSION
from volcengine.maas import MaasException, MaasService
from volcengine.maas.v2 import MaasService as MaasServiceV2

MODEL = {"name": "skylark-lite-public"}
ENDPOINT = "ep-20240101-abcde"
FUNCTION = {
    "name": "get_weather",
    "description": "查询天气",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
PARAMETERS = {"max_new_tokens": 1000, "temperature": 0.7, "top_p": 0.9, "top_k": 0}


def say(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def service(kind, host, ak, sk):
    """A client of one version, over plain HTTP."""
    made = kind(host, "cn-beijing")
    made.set_ak(ak)
    made.set_sk(sk)
    made.set_scheme("http")
    return made


def joined(chunks, pick):
    """A streamed answer: its text, its pieces, its end and its usage."""
    text, pieces, finish, usage, call = "", 0, None, None, None
    for chunk in chunks:
        choice = pick(chunk)
        text += choice.message.content or ""
        pieces += 1
        finish = choice.finish_reason or finish
        usage = chunk.usage or usage
        call = choice.message.function_call or call
    return {"text": text, "pieces": pieces, "finish": finish, "usage": usage, "call": call}


def failure(call):
    """Number and code of the exception that a call raises."""
    try:
        made = call()
        if hasattr(made, "__next__"):
            list(made)
    except MaasException as error:
        return [error.code_n, error.code, bool(error.req_id)]
    return None


def main(host, api_key, ak, sk):
    """Ask everything."""
    one = service(MaasService, host, ak, sk)
    two = service(MaasServiceV2, host, ak, sk)
    keyed = service(MaasServiceV2, host, "", "")
    keyed.set_apikey(api_key)

    def req(text="天为什么这么蓝？", **more):
        return {"model": MODEL, "parameters": dict(PARAMETERS), "messages": say(text), **more}

    called = one.chat(req("北京天气怎么样？", functions=[FUNCTION]))
    call = called.choice.message.function_call
    answered = one.chat(
        req(
            functions=[FUNCTION],
            messages=[
                *say("北京天气怎么样？"),
                {"role": "assistant", "content": "", "function_call": dict(call)},
                {"role": "function", "name": call.name, "content": '{"temp": 21}'},
            ],
        )
    )
    order = [*say("a"), {"role": "assistant", "content": "b"}]
    result = {
        "version": VERSION,
        "chat": one.chat(req()),
        "stream": joined(one.stream_chat(req()), lambda chunk: chunk.choice),
        "stream_split": joined(
            one.stream_chat(req("天为什么这么蓝？[[fault:split_utf8]]")), lambda chunk: chunk.choice
        ),
        "called": called,
        "stream_called": joined(
            one.stream_chat(req("北京天气怎么样？", functions=[FUNCTION])),
            lambda chunk: chunk.choice,
        ),
        "answered": answered,
        "history": one.chat(req(messages=[*order, *say("c")])),
        "endpoint": one.chat({**req(), "model": {"endpoint_id": ENDPOINT}}),
        "tokens": one.tokenize({"model": MODEL, "text": "花儿为什么这么香？"}),
        "v2": two.chat(ENDPOINT, {"messages": say("你好"), "parameters": {"max_new_tokens": 100}}),
        "v2_stream": joined(
            two.stream_chat(ENDPOINT, {"messages": say("你好")}), lambda chunk: chunk.choices[0]
        ),
        "v2_key": keyed.chat(ENDPOINT, {"messages": say("你好")}),
        "v2_tokens": two.tokenize(ENDPOINT, {"text": "你好"}),
        "wrong_sk": failure(lambda: service(MaasService, host, ak, sk + "x").chat(req())),
        "wrong_sk_stream": failure(
            lambda: service(MaasService, host, ak, sk + "x").stream_chat(req())
        ),
        "wrong_ak": failure(lambda: service(MaasService, host, ak + "x", sk).chat(req())),
        "last_word": failure(lambda: one.chat(req(messages=order))),
        "no_turns": failure(lambda: one.chat(req(messages=[*say("a"), *say("b")]))),
        "late_system": failure(
            lambda: one.chat(req(messages=[*say("a"), {"role": "system", "content": "s"}]))
        ),
        "bad_range": failure(lambda: one.chat(req(parameters={"temperature": 1.5}))),
        "no_model": failure(lambda: one.chat({**req(), "model": {"name": "skylark-nothing"}})),
        "no_name": failure(lambda: one.chat({**req(), "model": {}})),
        "errors": {
            code: failure(lambda code=code: one.chat(req(f"你好 [[fault:{code}]]")))
            for code in ("expired_token", "429", "500", "content_filter", "1709816", "arrears")
        },
        "in_stream": failure(
            lambda: one.stream_chat(req("你好 [[fault:RespTextExistRisk after=2]]"))
        ),
    }
    json.dump(result, sys.stdout, ensure_ascii=True)


main(*sys.argv[1:])
