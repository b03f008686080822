"""
Walks through everything that one published version of the SDK can do, against a running service.

Run by the Python that has that version, whichever it is: `python walk.py URL API_KEY SECRET_KEY FOLDER`. What a version
does not have is left out by its own signatures, and every step taken is printed; the first that goes wrong ends the walk.
"""

import asyncio
import inspect
import json
import sys
import time
import uuid
from pathlib import Path

import fengchao
from fengchao import core

URL, API_KEY, SECRET_KEY, FOLDER = sys.argv[1:]
ONLINE, LOCAL, SEES, FILES = "glm-4", "Qwen1.5-0.5B-Chat", "glm-4v-plus", "moonshot-v1-8k"
QUESTION = "介绍一下北京"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HISTORY = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好！"}]

if not hasattr(
    core, "Comments"
):  # the first version has its addresses in constants, and no setting for them
    for name in ("MODELS_URL", "PROMPTS_URL", "KGS_URL", "LOCAL_URL", "ONLINE_URL"):
        address = getattr(core, name)
        setattr(core, name, URL + address[address.index("/aigc/") :])


def client(kind="FengChao", secret_key=SECRET_KEY):
    """A client of this version."""
    known = inspect.signature(getattr(fengchao, kind)).parameters
    wanted = {"base_url": URL, "logger_level": "ERROR"}
    options = {name: value for name, value in wanted.items() if name in known}
    return getattr(fengchao, kind)(API_KEY, secret_key, **options)


sdk = client()
PARAMETERS = inspect.signature(sdk.chat).parameters


def has(*names):
    """Whether this version's chat knows these parameters."""
    return all(name in PARAMETERS for name in names)


def step(name):
    """Say what was done."""
    sys.stdout.write(name + "\n")


def good(result):
    """The data of a result that must be good."""
    assert (200, "执行成功") == (result.status, result.msg), result
    return result.data


def text_of(result):
    """The text of a good whole answer, whose shape is checked."""
    answer = good(result)
    (choice,) = answer.choices
    assert "assistant" == choice.message.role
    assert choice.finish_reason in {"stop", "length"}, choice
    used = answer.usage
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens > 0
    assert [] == answer.knowledge
    return choice.message.content


def refused(status, result):
    """A result that must carry a code."""
    assert status == result.status, result
    assert result.msg


def lists():
    """Models, prompts, knowledge bases."""
    cards = {card.id: card for card in good(sdk.models()).data}
    assert ("在线模型", "本地模型") == (cards[ONLINE].channel, cards[LOCAL].channel)
    assert {"invoke", "async_invoke", "stream"} <= set(cards[ONLINE].mode)
    assert "CNY" == cards[ONLINE].unit
    if "in_price" in cards[ONLINE].model_dump():
        assert cards[ONLINE].in_price > 0
        assert cards[ONLINE].out_price > 0
    else:
        assert cards[ONLINE].price > 0
    assert "stream" not in cards["cogview-3-plus"].mode
    assert "默认" in [card.id for card in good(sdk.prompts()).data]
    assert [] == good(sdk.kgs()).data
    step("lists")


def invoke(model):
    """A whole answer."""
    assert text_of(sdk.chat(model, query=QUESTION, mode="invoke"))
    step("invoke " + model)


def stream(model):
    """A streamed answer: counted from 0, one finish reason, the usage last."""
    events = [good(result) for result in sdk.chat(model, query=QUESTION, mode="stream")]
    choices = [event.choices[0] for event in events]
    assert len(events) > 2
    assert list(range(len(choices))) == [choice.index for choice in choices]
    assert all(choice.finish_reason is None for choice in choices[:-1])
    assert choices[-1].finish_reason
    assert 0 == events[0].usage.total_tokens
    assert events[-1].usage.total_tokens > 0
    assert 1 == len({event.request_id for event in events})
    step("stream " + model)


def task(model, ask=None, **question):
    """A task and its result."""
    ask = ask or sdk.chat
    id_ = good(ask(model, mode="async", **question))
    assert isinstance(id_, str)
    deadline = time.monotonic() + 30
    while True:
        result = ask(model, query=None, mode="async_result", task_id=id_)
        if result.status != 6602:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return good(result)


def conversation():
    """System text, prompt, history, knobs; the id of the conversation is kept."""
    id_ = str(uuid.uuid4())
    result = sdk.chat(
        ONLINE,
        query=QUESTION,
        request_id=id_,
        system="你是导游",
        prompt="请把{{query}}译成英文",
        history=HISTORY,
        do_sample=False,
        temperature=0.5,
        top_p=0.5,
        max_tokens=64,
        is_sensitive=False,
        timeout=30,
        try_num=1,
    )
    assert text_of(result)
    assert id_ == result.data.request_id
    assert text_of(sdk.chat(ONLINE, query=QUESTION, prompt="中译英"))
    step("conversation")


def codes():
    """What the caller did wrong."""
    refused(440, sdk.chat("no-such-model", query=QUESTION))
    refused(443, sdk.chat(ONLINE, query=""))
    refused(444, sdk.chat(ONLINE, query=QUESTION, knowledge="nowhere"))
    refused(445, sdk.chat(ONLINE, query=QUESTION, prompt="no place for the question"))
    refused(445, sdk.chat(ONLINE, query=QUESTION, temperature=9))
    refused(6601, sdk.chat(ONLINE, query="测试敏感词"))
    (event,) = sdk.chat(ONLINE, query="测试敏感词", mode="stream")
    refused(6601, event)
    (event,) = sdk.chat("no-such-model", query=QUESTION, mode="stream")
    refused(440, event)
    step("codes")


def not_authenticated():
    """A wrong secret is 401. Last of all, for some versions keep one token for the whole process."""
    core_utils = sys.modules["fengchao.utils"]
    core_utils.token, core_utils.effective_time = None, -1
    refused(401, client(secret_key="wrong" * 8).chat(ONLINE, query=QUESTION))
    step("401")


def retry():
    """A Retry of the user's own is asked."""
    seen = []

    class Mine(fengchao.Retry):
        retry_num = 2

        def before(self, retry_status):
            seen.append(retry_status.attempt_number)

    assert text_of(sdk.chat(ONLINE, query=QUESTION, retry_action=Mine()))
    assert seen
    step("retry")


def asynchronous():
    """Ten chats side by side, a stream and a task of the async client."""
    async_sdk = client("FengChaoAsync")

    async def walk():
        chats = (async_sdk.chat(ONLINE, query=QUESTION) for _ in range(10))
        for result in await asyncio.gather(*chats):
            assert text_of(result)
        events = [good(e) for e in await async_sdk.chat(ONLINE, query=QUESTION, mode="stream")]
        assert events[-1].choices[0].finish_reason
        assert good(await async_sdk.chat(ONLINE, query=QUESTION, mode="async"))

    asyncio.run(walk())
    step("FengChaoAsync")


def newer():
    """What later versions brought."""
    if has("sensitive_replace"):
        assert text_of(sdk.chat(ONLINE, query="测试敏感词", sensitive_replace=True))
        step("sensitive_replace")
    if has("prompt_fill"):
        filled = {"language": "英文"}
        prompt = "请把{{query}}译成{{language}}"
        assert text_of(sdk.chat(ONLINE, query=QUESTION, prompt=prompt, prompt_fill=filled))
        refused(445, sdk.chat(ONLINE, query=QUESTION, prompt=prompt))
        step("prompt_fill")
    if has("response_format"):
        said = '[[say:```json\n{"首都": "北京"}\n```]]'
        json_text = text_of(sdk.chat("SenseChat", query=said, response_format="json"))
        assert {"首都": "北京"} == json.loads(json_text)
        assert "{}" == text_of(sdk.chat("SenseChat", query=QUESTION, response_format="json"))
        step("response_format")
    if has("files"):
        path = Path(FOLDER) / "notes.txt"
        path.write_text("北京是中国的首都。", "utf-8")
        assert text_of(sdk.chat(FILES, query="文件里说了什么？", files=str(path)))
        assert text_of(sdk.chat(ONLINE, query="文件里说了什么？", files=[str(path)]))
        step("files")
    if has("image"):
        assert text_of(sdk.chat(SEES, query="图里是什么？", image=PIXEL))
        refused(445, sdk.chat("ERNIE-Bot", query="图里是什么？", image=PIXEL))
        step("image")
    if has("agg_models"):
        result = sdk.chat(ONLINE, query=QUESTION, agg_models=["ERNIE-Bot", FILES])
        assert text_of(result)
        assert ["ERNIE-Bot", FILES] == [partial.model for partial in result.data.agg]
        assert all(partial.content for partial in result.data.agg)
        step("agg_models")
    if has("search_param"):
        result = sdk.chat(ONLINE, query=QUESTION, search_param={"top_k": 3, "score": 0.1})
        assert text_of(result)
        assert 3 == len([page for page in result.data.search if page.title and page.url])
        events = list(sdk.chat(ONLINE, query=QUESTION, search_param={}, mode="stream"))
        assert events[0].data.search
        step("search_param")
    if "cost" in fengchao.core.ChatCompletionResponseUsage.model_fields:
        assert good(sdk.chat(ONLINE, query=QUESTION)).usage.cost > 0
        step("cost")
    if hasattr(sdk, "t2i"):
        drawn = good(sdk.t2i("cogview-3-plus", query="雪中的长城", n=2))
        assert 2 == len([c for c in drawn.choices if c.message.content.startswith("http")])
        assert task("cogview-3-plus", sdk.t2i, query="雪中的长城").choices
        refused(443, sdk.t2i("cogview-3-plus", query=""))
        step("t2i")


lists()
for each in (ONLINE, LOCAL):
    invoke(each)
    stream(each)
    assert task(each, query=QUESTION).choices[0].message.content
    step("async " + each)
conversation()
codes()
newer()
if hasattr(fengchao, "Retry"):
    retry()
if hasattr(fengchao, "FengChaoAsync"):
    asynchronous()
not_authenticated()
