"""
The words of a sandbox's answer, in the language of the question.

A Chinese question gets a Chinese answer, any other an English one. The answer names the model, quotes the question,
says which pictures and which tool results it got, and for the rest is the same for the same question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from zlib import crc32

import orjson

from fengchao_core.kit.sandbox.calls import last_user_text, tool_results
from fengchao_core.kit.sandbox.markers import markers
from fengchao_core.kit.sandbox.pictures import Picture, look_at
from fengchao_core.kit.sandbox.schema import Hints, fill
from fengchao_core.kit.sandbox.words import is_chinese, shorten
from fengchao_core.types import ChatRequest, ImagePart, Message

_CHINESE_BODIES = (
    (
        "回答这个问题，可以先看背景，再看要点，最后给出结论。真实的模型会在这里展开说明，"
        "而沙箱只依据提问生成固定的文字，方便核对流式输出、用量统计和错误处理。"
    ),
    (
        "这是个值得细说的话题。沙箱没有联网，也不调用任何模型，所以同样的提问总会得到同样的回答；"
        "填入真实的密钥之后，这里就会换成模型自己的见解。"
    ),
    (
        "我先给出一个简短的思路：弄清问题，收集事实，逐条分析，然后总结。"
        "以上文字由沙箱按提问生成，内容稳定，适合用来联调和测试。"
    ),
)
_ENGLISH_BODIES = (
    (
        "A real model would now give the background, the main points and a conclusion. "
        "The sandbox only builds a fixed text from the question, so that streams, usage and errors "
        "can be checked."
    ),
    (
        "That deserves a careful reply. The sandbox is offline and calls no model, so the same question "
        "always gets the same answer; with a real key the model itself would speak here."
    ),
    (
        "A short plan first: understand the question, gather the facts, weigh them, sum up. "
        "This text was made from the prompt alone and never changes, which suits tests well."
    ),
)


def text_for(request: ChatRequest, question: str, index: int) -> str:
    """
    The text of one choice, before it is cut to its limits.

    Args:
        request: the request.
        question: the last user text without its markers.
        index: the choice's; choices differ.
    """
    wanted = {mark.name: mark.body for mark in markers(last_user_text(request.messages))}
    if "say" in wanted:
        return wanted["say"]
    results = tool_results(request.messages)
    form = request.params.response_format
    if form is not None and form.type == "json_schema" and form.schema is not None:
        return orjson.dumps(fill(form.schema, Hints(question, index))).decode()
    if form is not None and form.type != "text":
        return _json_text(request.model, question, results)
    text = (_in_chinese if is_chinese(question) else _in_english)(request, question, results, index)
    if wanted.get("length", "").isdecimal():
        length = int(wanted["length"])
        text = (text * math.ceil(length / len(text)))[:length]
    return text


def _json_text(model: str, question: str, results: Sequence[tuple[str, str]]) -> str:
    body: dict[str, object] = {"model": model, "question": question}
    if is_chinese(question):
        body["answer"] = "这是沙箱按照 JSON 模式给出的回答。"
    else:
        body["answer"] = "The sandbox answers in JSON mode."
    if results:
        body["results"] = dict(results)
    return orjson.dumps(body).decode()


def _in_chinese(
    request: ChatRequest, question: str, results: Sequence[tuple[str, str]], index: int
) -> str:
    if results:
        told = "；".join(f"{name} 返回了 {shorten(text, 400)}" for name, text in results)
        return (
            f"根据工具的结果，{told}。"
            f"这就是“{shorten(question, 120)}”的答案，由 {request.model} 的本地沙箱整理。"
        )
    sentences = [
        f"你好，我是 {request.model} 的本地沙箱。",
        f"你问的是“{shorten(question, 200)}”。",
    ]
    for picture in _seen(request.messages):
        if picture.source:
            sentences.append(f"我收到了一张网络图片：{picture.source}。")
        else:
            kind, width, height = picture.format or "未知格式", picture.width, picture.height
            sentences.append(
                f"我收到了一张{kind}图片，{width}×{height} 像素，{picture.size_bytes} 字节。"
            )
    turns = sum(message.role == "user" for message in request.messages)
    if turns > 1:
        sentences.append(f"这是我们对话的第 {turns} 轮，前面的内容我都收到了。")
    sentences.append(_one_of(_CHINESE_BODIES, question, index))
    return "".join(sentences)


def _in_english(
    request: ChatRequest, question: str, results: Sequence[tuple[str, str]], index: int
) -> str:
    if results:
        told = "; ".join(f"{name} returned {shorten(text, 400)}" for name, text in results)
        return (
            f"According to the tools, {told}. "
            f'That answers "{shorten(question, 120)}", as the local sandbox of {request.model} sees it.'
        )
    sentences = [
        f"Hello, this is the local sandbox of {request.model}.",
        f'You asked: "{shorten(question, 200)}".',
    ]
    for picture in _seen(request.messages):
        if picture.source:
            sentences.append(f"I received a picture by its address: {picture.source}.")
        else:
            kind, width, height = picture.format or "unknown", picture.width, picture.height
            sentences.append(
                f"I received a picture: {kind}, {width}x{height} pixels, {picture.size_bytes} bytes."
            )
    turns = sum(message.role == "user" for message in request.messages)
    if turns > 1:
        sentences.append(f"This is turn {turns} of our conversation; I have all that came before.")
    sentences.append(_one_of(_ENGLISH_BODIES, question, index))
    return " ".join(sentences)


def thinking_for(question: str) -> str:
    """What a thinking model shows before it answers."""
    if is_chinese(question):
        return f"用户想知道“{shorten(question, 60)}”。先弄清意图，再用几句话回答。"
    return f'The user asks "{shorten(question, 60)}". First the intent, then a short answer.'


def _one_of(texts: Sequence[str], question: str, index: int) -> str:
    seed = crc32(question.encode("utf-8", "surrogatepass"))
    return texts[(seed + index) % len(texts)]


def pictures(message: Message) -> list[ImagePart]:
    """The pictures in a message."""
    if not isinstance(message.content, tuple):
        return []
    return [part for part in message.content if isinstance(part, ImagePart)]


def _seen(messages: Sequence[Message]) -> list[Picture]:
    last = next((m for m in reversed(messages) if m.role == "user"), None)
    return [look_at(part.url) for part in pictures(last)] if last else []
