"""
The vendor's official SDK as a client of the sandbox. Runs in the judge's own environment, not in ours.

Usage: python sdk_client.py BASE_URL APP_ID API_KEY API_SECRET; the last line it prints is one JSON object: what the SDK
made of each answer.
"""

import json
import logging
import sys
import types
from datetime import datetime, timedelta
from importlib.metadata import version

# The SDK's embeddings import a database of vectors for the name of a base class; that database is heavy.
chromadb = types.ModuleType("chromadb")
chromadb.Documents = chromadb.Embeddings = list


class _Function:
    def __class_getitem__(cls, _):
        return cls


chromadb.EmbeddingFunction = _Function
sys.modules["chromadb"] = chromadb

import requests
import sparkai.llm.llm as spark
from sparkai.core.messages import AIMessage, ChatMessage, HumanMessage, ImageChatMessage
from sparkai.embedding.spark_embedding import Embeddingmodel
from sparkai.xf_util import build_auth_request_url

BASE_URL, APP_ID, KEY, SECRET = sys.argv[1:]
PATHS = {
    "lite": "/v1.1/chat",
    "general": "/v1.1/chat",
    "generalv2": "/v2.1/chat",
    "generalv3": "/v3.1/chat",
    "pro-128k": "/chat/pro-128k",
    "generalv3.5": "/v3.5/chat",
    "max-32k": "/chat/max-32k",
    "4.0Ultra": "/v4.0/chat",
    "x1": "/v1/x1",
    "image": "/v2.1/image",
}
WEATHER = {
    "name": "get_weather",
    "description": "查询天气",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def client(domain="generalv3.5", *, path=None, streaming=False, **how):
    """A client of one version."""
    given = {"spark_app_id": APP_ID, "spark_api_key": KEY, "spark_api_secret": SECRET, **how}
    url = BASE_URL.replace("http", "ws", 1) + (path or PATHS[domain])
    return spark.ChatSparkLLM(
        spark_api_url=url, spark_llm_domain=domain, streaming=streaming, request_timeout=5, **given
    )


def say(text, role="user"):
    """A conversation of one message."""
    return [ChatMessage(role=role, content=text)]


def whole(llm, messages, **how):
    """A whole answer: its text, its call and its usage."""
    result = llm.generate([messages], **how)
    message = result.generations[0][0].message
    return {
        "text": message.content,
        "call": getattr(message, "function_call", None),
        "usage": result.llm_output.get("token_usage"),
    }


def pieces(llm, messages, **how):
    """A streamed answer: its pieces, its calls and its usage."""
    texts, calls, usage = [], [], None
    for chunk in llm.stream(messages, **how):
        texts.append(chunk.content)
        calls.append(getattr(chunk, "function_call", None))
        usage = chunk.additional_kwargs.get("token_usage", usage)
    return {"texts": [t for t in texts if t], "calls": [c for c in calls if c], "usage": usage}


def failure(llm, messages):
    """The code of the error that a call raises, and its words."""
    try:
        whole(llm, messages)
    except spark.SparkAIConnectionError as error:
        return [error.error_code, str(error.message)]
    return None


def out_of_date():
    """What becomes of a client whose clock is ten minutes slow."""
    real = spark.datetime

    class Slow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(minutes=10)

    spark.datetime = Slow
    try:
        return failure(client(), say("你好"))
    finally:
        spark.datetime = real


def embed(domain, *, secret=SECRET):
    """The vector of a text, or the words of the error."""
    model = Embeddingmodel(APP_ID, KEY, secret, domain)
    model.client.app_url = BASE_URL + "/"
    try:
        return model.embedding({"content": "你好世界", "role": "user"})
    except (ValueError, KeyError) as error:
        return repr(error)


def signed_post(path, body):
    """A signed service that the SDK has no class for, by its own helper."""
    url = build_auth_request_url(BASE_URL + path, "POST", KEY, SECRET)
    answer = requests.post(url, json=body, timeout=5)
    return [answer.status_code, answer.json()]


def main():
    """Ask everything."""
    logging.disable(logging.CRITICAL)
    history = [
        ChatMessage(role="system", content="你是李白"),
        HumanMessage(content="你是谁"),
        AIMessage(content="青莲居士"),
        HumanMessage(content="会做什么"),
    ]
    picture = [
        ImageChatMessage(role="user", content=PICTURE, content_type="image"),
        ImageChatMessage(role="user", content="图里有什么", content_type="text"),
    ]
    result = {
        "version": version("spark-ai-python"),
        "whole": {
            domain: whole(client(domain), say("你好")) for domain in PATHS if domain != "image"
        },
        "stream": pieces(client(streaming=True), say("你好")),
        "split": pieces(client(streaming=True), say("你好 [[fault:split_utf8]]")),
        "history": whole(client("4.0Ultra", temperature=0.8, top_k=6, chat_id="c1"), history),
        "patch": whole(client("patch", path="/v1.1/chat", patch_id="10001"), say("hi")),
        "picture": whole(client("image"), picture),
        "call": whole(client(), say("北京天气怎么样？"), function_definition=[WEATHER]),
        "stream_call": pieces(
            client(streaming=True), say("北京天气怎么样？"), function_definition=[WEATHER]
        ),
        "codes": {
            code: failure(client(), say(f"你好 [[fault:{code}]]"))
            for code in ("10013", "10907", "11200", "11202", "10008", "10012")
        },
        "midway": failure(client(streaming=True), say("你好 [[fault:content_filter after=3]]")),
        "cut": failure(client(), say("你好 [[fault:cut after=2]]")),
        "wrong_key": failure(client(spark_api_key="somebody"), say("你好")),
        "wrong_secret": failure(client(spark_api_secret="tampered"), say("你好")),
        "wrong_app": failure(client(spark_app_id="somebody"), say("你好")),
        "out_of_date": out_of_date(),
        "wrong_path": failure(client("generalv3.5", path="/v4.0/chat"), say("你好")),
        "hot": failure(client(temperature=1.5), say("你好")),
        "wide": failure(client(top_k=7), say("你好")),
        "long": failure(client(max_tokens=9000), say("你好")),
        "assistant_last": failure(client(), [*say("你好"), AIMessage(content="你好")]),
        "odd_role": failure(client(), say("你好", role="developer")),
        "embedding": {domain: embed(domain) for domain in ("query", "para", "other")},
        "embedding_tampered": embed("query", secret="tampered"),
        "drawn": signed_post(
            "/v2.1/tti",
            {
                "header": {"app_id": APP_ID, "uid": "u"},
                "parameter": {"chat": {"domain": "general", "width": 512, "height": 512}},
                "payload": {"message": {"text": [{"role": "user", "content": "一只猫"}]}},
            },
        ),
    }
    sys.stdout.write("\n" + json.dumps(result, ensure_ascii=True))


main()
