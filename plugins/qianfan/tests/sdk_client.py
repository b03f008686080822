"""
The vendor's official SDK as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client.py BASE_URL, with the credentials in the environment; prints one JSON object: what the SDK made
of each answer.
"""

import asyncio
import json
import logging
import os
import sys

BASE_URL = sys.argv[1]
CREDENTIALS = json.loads(os.environ["SANDBOX_CREDENTIALS"])
os.environ |= {
    "QIANFAN_BASE_URL": BASE_URL,
    "QIANFAN_CONSOLE_API_BASE_URL": BASE_URL,
    "QIANFAN_IAM_BASE_URL": BASE_URL,
    "QIANFAN_DISABLE_CACHE": "true",
    "QIANFAN_LLM_API_RETRY_JITTER": "0",
    "QIANFAN_LLM_API_RETRY_BACKOFF_FACTOR": "0.01",
    "QIANFAN_ACCESS_TOKEN_REFRESH_MIN_INTERVAL": "0",
}

import qianfan
from qianfan import errors

WEATHER = {
    "name": "get_weather",
    "description": "查询天气",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def say(text):
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def credentials(**given):
    """Let the SDK use these credentials and no others."""
    config = qianfan.get_config()
    names = ("AK", "SK", "ACCESS_KEY", "SECRET_KEY", "BEARER_TOKEN", "ACCESS_TOKEN", "APP_ID")
    for name in names:
        setattr(config, name, given.get(name))


def stream(answers):
    """A streamed answer: its text, its pieces, its end, its call and its usage."""
    bodies = [answer.body for answer in answers]
    return {
        "text": "".join(body.get("result", "") for body in bodies),
        "pieces": len(bodies),
        "ends": [body["is_end"] for body in bodies],
        "ids": [body["sentence_id"] for body in bodies],
        "call": bodies[-1].get("function_call"),
        "usage": bodies[-1]["usage"],
    }


def failure(call):
    """Class and code of the exception that a call raises."""
    try:
        answer = call()
        if not hasattr(answer, "body"):
            list(answer)
    except errors.APIError as error:
        return ["APIError", error.error_code]
    except Exception as error:  # its class is what we want to know
        return [type(error).__name__, getattr(error, "status_code", None)]
    return None


async def also_async():
    """The SDK's async side: an answer and a stream."""
    chat = qianfan.ChatCompletion(model="ERNIE-4.0-8K")
    answer = await chat.ado(messages=say("你好"))
    bodies = [each.body async for each in await chat.ado(messages=say("你好"), stream=True)]
    return {"whole": answer.body, "text": "".join(body["result"] for body in bodies)}


def first_generation(result):
    """V1 with an application's keys."""
    credentials(AK=CREDENTIALS["ak"], SK=CREDENTIALS["sk"])
    chat = qianfan.ChatCompletion(model="ERNIE-4.0-8K")
    full = {
        "system": "你是助手",
        "temperature": 0.8,
        "top_p": 0.9,
        "penalty_score": 1.2,
        "stop": ["停"],
        "max_output_tokens": 512,
        "user_id": "user-1",
    }
    result["version"] = qianfan.__version__ if hasattr(qianfan, "__version__") else ""
    result["chat"] = chat.do(messages=say("你好")).body
    result["full"] = chat.do(messages=say("你好"), **full).body
    result["stream"] = stream(chat.do(messages=say("你好"), stream=True))
    result["split"] = stream(chat.do(messages=say("你好 [[fault:split_utf8]]"), stream=True))
    result["async"] = asyncio.run(also_async())
    several = [*say("你好"), {"role": "assistant", "content": "好"}, *say("再来")]
    result["turns"] = chat.do(messages=several).body
    called = chat.do(messages=say("北京天气怎么样？"), functions=[WEATHER]).body
    result["called"] = called
    result["stream_called"] = stream(
        chat.do(messages=say("北京天气怎么样？"), functions=[WEATHER], stream=True)
    )
    call = called["function_call"]
    messages = [
        *say("北京天气怎么样？"),
        {"role": "assistant", "content": "", "function_call": call},
        {"role": "function", "name": call["name"], "content": '{"temp": 21}'},
    ]
    result["answered"] = chat.do(messages=messages, functions=[WEATHER]).body
    result["models"] = {
        name: qianfan.ChatCompletion(model=name).do(messages=say("你好")).body["result"]
        for name in (
            *("ERNIE-Bot-4", "ERNIE-Bot", "ERNIE-Bot-turbo", "BLOOMZ-7B", "Llama-2-7b-chat"),
            *("Llama-2-13b-chat", "Llama-2-70b-chat", "Mixtral-8x7B-Instruct"),
            *("Qianfan-Chinese-Llama-2-7B", "Qianfan-Chinese-Llama-2-13B"),
        )
    }
    published = qianfan.ChatCompletion(endpoint="sandbox_published")
    result["published"] = published.do(messages=say("你好")).body
    result["completion"] = (
        qianfan.Completion(model="CodeLlama-7b-Instruct").do(prompt="写一段代码").body
    )
    result["plugin"] = qianfan.Plugin(model="EBPluginV2").do(say("你好"), plugins=["eChart"]).body
    result["own_plugin"] = qianfan.Plugin(endpoint="mine").do("你好").body
    embedding = qianfan.Embedding(model="Embedding-V1")
    result["embedding"] = embedding.do(texts=["推荐一些美食", "讲个故事"]).body
    drawn = qianfan.Text2Image(model="Stable-Diffusion-XL").do(
        prompt="cat", size="512x512", n=2, steps=20, sampler_index="Euler a"
    )
    result["image"] = [len(each["b64_image"]) for each in drawn.body["data"]]
    seen = qianfan.Image2Text(endpoint="fuyu_8b").do(prompt="图里有什么", image=PICTURE)
    result["seen"] = seen.body
    result["ranked"] = (
        qianfan.Reranker(model="bce-reranker-base_v1")
        .do("上海天气", ["北京美食", "上海气候天气"], top_n=1)
        .body
    )
    result["tokens"] = qianfan.Tokenizer.count_tokens("你好，世界", mode="remote")
    result["renewed"] = chat.do(messages=say("你好 [[fault:expired_token once=a]]")).body["result"]
    result["renewed_stream"] = failure(
        lambda: chat.do(messages=say("你好 [[fault:expired_token once=b]]"), stream=True)
    )
    result["twice"] = chat.do(messages=say("你好 [[fault:336100 once=c]]"), retry_count=3).body[
        "result"
    ]
    result["unsafe"] = chat.do(messages=say("你好 [[fault:content_filter]]")).body
    result["errors"] = {
        fault: failure(lambda fault=fault: chat.do(messages=say(f"你好 [[fault:{fault}]]")))
        for fault in ("17", "18", "336003", "336100", "500", "too_long", "expired_token")
    }
    result["stream_errors"] = {
        fault: failure(
            lambda fault=fault: chat.do(messages=say(f"你好 [[fault:{fault}]]"), stream=True)
        )
        for fault in ("17", "500 after=2", "bare_line after=2")
    }
    result["refused"] = {
        "even": failure(
            lambda: chat.do(messages=[*say("a"), {"role": "assistant", "content": "b"}])
        ),
        "order": failure(lambda: chat.do(messages=[*say("a"), *say("b"), *say("c")])),
        "blank": failure(lambda: chat.do(messages=say(" "))),
        "temperature": failure(lambda: chat.do(messages=say("a"), temperature=0)),
        "top_p": failure(lambda: chat.do(messages=say("a"), top_p=1.5)),
        "penalty": failure(lambda: chat.do(messages=say("a"), penalty_score=3.0)),
        "stop": failure(lambda: chat.do(messages=say("a"), stop=["x"] * 5)),
        "long": failure(lambda: chat.do(messages=say("字" * 30_000), truncate_overlong_msgs=False)),
        "texts": failure(lambda: embedding.do(texts=["x"] * 17)),
    }
    result["wrong_keys"] = []
    for ak, sk in ((CREDENTIALS["ak"] + "x", CREDENTIALS["sk"]), (CREDENTIALS["ak"], "wrong")):
        credentials(AK=ak, SK=sk)
        result["wrong_keys"].append(
            failure(lambda: qianfan.ChatCompletion(model="ERNIE-4.0-8K").do(messages=say("a")))
        )
    credentials(ACCESS_TOKEN="24.forged")
    result["forged_token"] = failure(
        lambda: qianfan.ChatCompletion(model="ERNIE-4.0-8K").do(messages=say("a"))
    )


def with_iam_keys(result):
    """V1 by signatures, V2 by temporary keys."""
    credentials(ACCESS_KEY=CREDENTIALS["iam_ak"], SECRET_KEY=CREDENTIALS["iam_sk"])
    chat = qianfan.ChatCompletion(model="ERNIE-4.0-8K")
    result["iam"] = {
        "chat": chat.do(messages=say("你好")).body,
        "stream": stream(chat.do(messages=say("你好"), stream=True)),
        "embedding": len(
            qianfan.Embedding(model="bge-large-zh").do(texts=["a"]).body["data"][0]["embedding"]
        ),
        "v2": qianfan.ChatCompletion(version="2", model="ernie-4.0-8k")
        .do(messages=say("你好"))
        .body,
        "services": len(qianfan.resources.Service.list().body["result"]["common"]),
    }
    credentials(ACCESS_KEY=CREDENTIALS["iam_ak"], SECRET_KEY=CREDENTIALS["iam_sk"] + "x")
    tampered = qianfan.ChatCompletion(model="ERNIE-4.0-8K")
    result["iam_wrong"] = failure(lambda: tampered.do(messages=say("你好")))


def second_generation(result):
    """V2 with its permanent key."""
    credentials(BEARER_TOKEN=CREDENTIALS["api_key"], APP_ID="app-Fake123")
    chat = qianfan.ChatCompletion(version="2", model="ernie-3.5-8k")
    pieces = list(
        chat.do(messages=say("你好"), stream=True, stream_options={"include_usage": True})
    )
    tool = {"type": "function", "function": WEATHER}
    called = chat.do(messages=say("北京天气怎么样？"), tools=[tool], tool_choice="auto").body
    result["v2"] = {
        "chat": chat.do(messages=[{"role": "system", "content": "S"}, *say("你好")]).body,
        "text": "".join(
            choice["delta"].get("content", "") for each in pieces for choice in each.body["choices"]
        ),
        "usage": pieces[-1].body["usage"],
        "called": called["choices"][0],
        "errors": {
            fault: failure(
                lambda fault=fault: chat.do(messages=say(f"你好 [[fault:{fault}]]"), retry_count=1)
            )
            for fault in ("invalid_argument", "expired_token", "429", "500")
        },
        "order": failure(lambda: chat.do(messages=[*say("a"), *say("b")])),
        "range": failure(lambda: chat.do(messages=say("a"), temperature=2)),
    }
    credentials(BEARER_TOKEN="bce-v3/ALTAK-forged/0123")
    forged = qianfan.ChatCompletion(version="2", model="ernie-3.5-8k")
    result["v2"]["forged"] = failure(lambda: forged.do(messages=say("a")))


def main():
    """Ask everything."""
    logging.disable(logging.CRITICAL)
    result = {}
    first_generation(result)
    with_iam_keys(result)
    second_generation(result)
    json.dump(result, sys.stdout, ensure_ascii=True)


main()
