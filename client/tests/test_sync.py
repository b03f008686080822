"""The sync client against a service."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web

from fengchao import (
    ChatCompletionResponse,
    ClientClosedError,
    ClientSetupError,
    FengChao,
    FinalResponse,
    KGList,
    ModelList,
    ModelNotFoundError,
    PromptList,
    SensitiveContentError,
)


@pytest.fixture
def client(keys):
    """A client of the service."""
    with FengChao(**keys) as made:
        yield made


def test_models_are_listed_with_both_prices(client):
    """`models()` gives a list of cards, with the prices old and new SDKs read."""
    listed = client.models()
    assert (200, "执行成功") == (listed.status, listed.msg)
    assert isinstance(listed.data, ModelList)
    assert (0.1, 0.05, 0.1, "CNY") == (
        listed.data.data[0].price,
        listed.data.data[0].in_price,
        listed.data.data[0].out_price,
        listed.data.data[0].unit,
    )


def test_prompts_are_listed(client):
    """`prompts()` gives the preset instructions."""
    listed = client.prompts()
    assert isinstance(listed.data, PromptList)
    assert ("默认", "{{system}}", "{{query}}") == (
        listed.data.data[0].id,
        listed.data.data[0].prefix,
        listed.data.data[0].prompt,
    )


def test_knowledge_bases_are_listed(client):
    """`kgs()` gives the knowledge bases."""
    listed = client.kgs()
    assert isinstance(listed.data, KGList)
    assert ("news_vector_store", "咨询知识库") == (listed.data.data[0].id, listed.data.data[0].desc)


def test_lists_are_asked_without_a_token(client, service):
    """The three lists need no keys, so none are sent."""
    client.models(), client.prompts(), client.kgs()
    assert not any("Authorization" in seen["headers"] for seen in service.requests)


def test_a_whole_answer_comes_as_a_final_response(client):
    """`chat()` gives the answer with its text, its usage and its cost."""
    result = client.chat("glm-4", query="介绍一下北京")
    assert isinstance(result, FinalResponse)
    assert isinstance(result.data, ChatCompletionResponse)
    assert "你问：介绍一下北京" == result.data.choices[0].message.content
    assert (7, 9, 16, 0.5) == tuple(result.data.usage.model_dump().values())


def test_everything_a_chat_was_given_is_sent_by_the_published_names(client, service):
    """Positional arguments keep the published order, and nothing given is left out of the body."""
    client.chat(
        "glm-4",
        "q",
        "rid",
        "sys",
        "p {{query}} {{x}}",
        {"x": 1},
        False,
        True,
        "task",
        [{"role": "user", "content": "h"}],
        "json",
        False,
        0.3,
        0.4,
        99,
        "invoke",
        "kb",
        7,
        300,
        "http://pictures/1.png",
        "http://films/1.mp4",
        1,
        30,
        None,
        None,
        ["glm-4"],
        {"top_k": 3, "score": 0.2},
    )
    assert {
        "model": "glm-4",
        "query": "q",
        "request_id": "rid",
        "system": "sys",
        "prompt": "p {{query}} {{x}}",
        "prompt_fill": {"x": 1},
        "is_sensitive": False,
        "sensitive_replace": True,
        "task_id": "task",
        "history": [{"role": "user", "content": "h"}],
        "response_format": "json",
        "do_sample": False,
        "temperature": 0.3,
        "top_p": 0.4,
        "max_tokens": 99,
        "knowledge": "kb",
        "top_k": 7,
        "threshold": 300,
        "mode": "invoke",
        "files": None,
        "image": "http://pictures/1.png",
        "video": "http://films/1.mp4",
        "agg_models": ["glm-4"],
        "search_param": {"top_k": 3, "score": 0.2},
    } == service.chats()[0]["body"]


def test_defaults_are_the_published_ones(client, service):
    """A chat with a query alone sends the defaults of the product text."""
    client.chat("glm-4", query="q")
    body = service.chats()[0]["body"]
    assert body.pop("request_id")
    assert {
        "model": "glm-4",
        "query": "q",
        "system": None,
        "prompt": None,
        "prompt_fill": {},
        "is_sensitive": True,
        "sensitive_replace": False,
        "task_id": None,
        "history": [],
        "response_format": "text",
        "do_sample": True,
        "temperature": 0.8,
        "top_p": 0.75,
        "max_tokens": 256,
        "knowledge": None,
        "top_k": 5,
        "threshold": 500,
        "mode": "invoke",
        "files": None,
        "image": None,
        "video": None,
        "agg_models": None,
        "search_param": None,
    } == body


def test_a_message_of_an_answer_can_be_appended_to_the_history(client, service):
    """History takes the messages of earlier answers as they are."""
    first = client.chat("glm-4", query="q")
    client.chat("glm-4", query="r", history=[first.data.choices[0].message])
    assert [{"role": "assistant", "content": "你问：q"}] == service.chats()[1]["body"]["history"]


def test_local_models_take_the_local_path(client, service):
    """The channel in the models list decides which path a chat takes."""
    client.chat("Qwen1.5-0.5B-Chat", query="q")
    client.chat("glm-4", query="q")
    assert ["/aigc/models/", "/aigc/local_chat/", "/aigc/chat/"] == service.paths()


def test_a_model_missing_from_the_list_finds_its_path_and_keeps_it(client, service):
    """An alias of a local model is refused once (441), asked on the other path, and remembered."""
    assert 200 == client.chat("qwen", query="q").status
    assert 200 == client.chat("qwen", query="q").status
    assert [
        "/aigc/models/",
        "/aigc/chat/",
        "/aigc/models/",
        "/aigc/local_chat/",
        "/aigc/local_chat/",
    ] == service.paths()


def test_a_model_that_moved_to_the_other_channel_is_found_again(client, service):
    """A kept list that is out of date costs one refusal, not the call."""
    client.chat("glm-4", query="q")
    service.models[0]["channel"] = "本地模型"
    assert 200 == client.chat("glm-4", query="q").status
    assert "/aigc/local_chat/" == service.paths()[-1]


def test_a_chat_needs_no_models_list(client, service):
    """A list that cannot be had costs one request, not the call: the online path is taken for a while."""

    async def broken(request):
        return web.json_response({"status": 500, "msg": "坏了"}, status=500)

    service.models_fault = broken
    assert [200, 200] == [client.chat("glm-4", query="q").status for _ in range(2)]
    assert ["/aigc/models/", "/aigc/chat/", "/aigc/chat/"] == service.paths()


@pytest.mark.parametrize(
    ("model", "query", "status", "msg"),
    [
        ("none", "q", 440, "模型不存在"),
        ("glm-4", "", 443, "问题为空"),
        ("glm-4", "敏感", 6601, "敏感词"),
    ],
)
def test_failures_are_returned_with_their_code(client, model, query, status, msg):
    """HTTP codes and body codes both become the status of the result."""
    result = client.chat(model, query=query)
    assert (status, msg) == (result.status, result.msg)


def test_wrong_keys_are_a_401(service):
    """A service that does not know the keys says so in the result."""
    with FengChao("a", "b" * 32, service.url) as client:
        result = client.chat("glm-4", query="q")
    assert (401, "鉴权失败") == (result.status, result.msg)


def test_missing_keys_are_refused_before_anything_is_sent(service):
    """A chat without keys is a 401 of the client's own, and asks no model anything."""
    with FengChao(base_url=service.url) as client:
        result = client.chat("glm-4", query="q")
    assert (401, "鉴权失败：未提供 api_key 或 secret_key") == (result.status, result.msg)
    assert [] == service.chats()


@pytest.mark.parametrize(
    ("model", "query", "kind"),
    [("none", "q", ModelNotFoundError), ("glm-4", "敏感", SensitiveContentError)],
)
def test_failures_are_raised_where_asked_for(keys, model, query, kind):
    """With errors="raise" a failure is an exception that carries the same result."""
    with FengChao(**keys, errors="raise") as client, pytest.raises(kind) as caught:
        client.chat(model, query=query)
    assert caught.value.status == caught.value.response.status


def test_a_page_of_a_proxy_does_not_become_the_message(client, service):
    """An error that is no JSON is told by its HTTP status."""

    async def proxy_page(request):
        return web.Response(status=500, text="<html>secret address of a proxy</html>")

    service.faults.append(proxy_page)
    result = client.chat("glm-4", query="q")
    assert (500, "访问异常：HTTP 500") == (result.status, result.msg)


def test_an_answer_that_is_not_the_contracts_is_an_error(client, service):
    """Nonsense under HTTP 200 is a 400, not a traceback."""

    async def nonsense(request):
        return web.json_response({"choices": 5})

    service.faults.append(nonsense)
    result = client.chat("glm-4", query="q")
    assert (400, "访问异常：服务的回答无法解析") == (result.status, result.msg)


def test_asynchronous_mode_gives_the_id_of_the_task(client):
    """`mode="async"` gives the id as text, as the published SDK does."""
    result = client.chat("glm-4", query="q", mode="async")
    assert "615d5fa4697fbc63cbe7b2774c96a71b" == result.data


def test_drawing_gives_the_services_own_answer(client, service):
    """`t2i()` sends the published body; a service that does not draw says so itself."""
    result = client.t2i("painter", "一只猫", n=2)
    assert (404, "接口不存在") == (result.status, result.msg)
    assert (2, "1024x1024", "Base", "") == tuple(
        service.requests[-1]["body"][name] for name in ("n", "size", "style", "negative_prompt")
    )


def test_files_are_uploaded_first(client, service, tmp_path):
    """Local files go to the upload path, and the names it gives go into the chat."""
    (tmp_path / "a.txt").write_text("甲")
    client.chat("glm-4", query="q", files=str(tmp_path / "a.txt"))
    assert ["a.txt"] == service.requests[0]["body"]
    assert ["kept-a.txt"] == service.chats()[0]["body"]["files"]


def test_a_file_that_cannot_be_read_is_a_clear_refusal(client, tmp_path):
    """A wrong path is a 445 that does not repeat the path."""
    result = client.chat("glm-4", query="q", files=[str(tmp_path / "none.txt")])
    assert 445 == result.status
    assert "none.txt" not in result.msg


def test_a_local_picture_is_sent_as_base64(client, service, tmp_path):
    """`image` takes a path; the service gets the picture."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    client.chat("glm-4", query="q", image=str(tmp_path / "a.png"))
    assert "iVBORw0KGgo=" == service.chats()[0]["body"]["image"]


def test_values_that_json_cannot_hold_are_refused(client):
    """An argument that cannot be sent is a 445, not a TypeError from inside."""
    assert 445 == client.chat("glm-4", query=object()).status


async def test_it_works_inside_a_running_loop(keys):
    """Sync calls work where a loop already runs, as in a notebook."""
    assert asyncio.get_running_loop().is_running()
    with FengChao(**keys) as client:
        assert "你问：q" == client.chat("glm-4", query="q").data.choices[0].message.content
        texts = [
            e.data.choices[0].message.content
            for e in client.chat("glm-4", query="q", mode="stream")
        ]
    assert "你问：q" == "".join(texts)


def test_many_threads_share_a_client(client, service):
    """Twenty threads are served at once by one client: the service answers only when all have come."""
    service.barrier = asyncio.Barrier(20)
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda n: client.chat("glm-4", query=str(n)), range(20)))
    assert [f"你问：{n}" for n in range(20)] == [r.data.choices[0].message.content for r in results]


def test_connections_are_kept_from_call_to_call(client, service):
    """Three calls in a row go through one connection."""
    for _ in range(3):
        client.chat("glm-4", query="q")
    assert 1 == len({seen["port"] for seen in service.requests})


def test_a_closed_client_says_so(keys):
    """After `close()` a call is an error of its own; closing twice is none."""
    client = FengChao(**keys)
    client.models()
    client.close()
    client.close()
    with pytest.raises(ClientClosedError):
        client.models()


def test_closing_ends_calls_under_way(keys, service):
    """A call that waits in another thread ends when the client is closed."""
    arrived = threading.Event()

    async def silence(request):
        arrived.set()
        await asyncio.Event().wait()

    service.faults.append(silence)
    client = FengChao(**keys)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.chat, "glm-4", "q")
        assert arrived.wait(10)
        client.close()
        with pytest.raises(ClientClosedError):
            waiting.result(10)


def test_a_client_that_is_never_closed_lets_the_interpreter_end(keys):
    """Forgetting `close()` neither hangs the interpreter nor makes it complain."""
    script = (
        "from fengchao import FengChao\n"
        f"client = FengChao({keys['api_key']!r}, {keys['secret_key']!r}, {keys['base_url']!r})\n"
        "print(client.chat('glm-4', query='q').status)\n"
        "next(client.chat('glm-4', query='q', mode='stream'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (0, "200\n", "") == (done.returncode, done.stdout, done.stderr)


def test_an_address_is_needed():
    """Without an address, and none in the environment, making a client says what to give it."""
    with pytest.raises(ClientSetupError, match="FENGCHAO_BASE_URL"):
        FengChao("a", "b")


def test_the_address_comes_from_the_environment(monkeypatch, keys):
    """FENGCHAO_BASE_URL stands in for the argument."""
    monkeypatch.setenv("FENGCHAO_BASE_URL", keys["base_url"] + "/")
    with FengChao(keys["api_key"], keys["secret_key"]) as client:
        assert 200 == client.chat("glm-4", query="q").status


@pytest.mark.parametrize(
    "address",
    [
        "host:80",
        "ftp://host",
        "http://",
        "http://user:pa55@host",
        "http://host?key=pa55",
        "http://host:x",
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(address):
    """What is no http address, or hides credentials in it, is refused at once."""
    with pytest.raises(ClientSetupError) as caught:
        FengChao("a", "b", address)
    assert "pa55" not in str(caught.value)


def test_the_old_logger_level_is_taken_with_a_warning(keys):
    """`logger_level` of 2.x is accepted where it stood, and said to do nothing."""
    with pytest.warns(DeprecationWarning, match="logger_level"):
        FengChao(keys["api_key"], keys["secret_key"], keys["base_url"], "ERROR")


def test_a_forked_child_can_use_its_parents_client(keys):
    """A client made and used before a fork works in the child, as prefork servers need."""
    script = (
        "import os, sys\n"
        "from fengchao import FengChao\n"
        f"client = FengChao({keys['api_key']!r}, {keys['secret_key']!r}, {keys['base_url']!r})\n"
        "assert client.chat('glm-4', query='q').status == 200\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(0 if client.chat('glm-4', query='q').status == 200 else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert 0 == done.returncode, done.stderr
