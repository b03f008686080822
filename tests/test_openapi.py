"""The OpenAPI document against the running server: no answer that is not in it, and no answer of 500 or more."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections import defaultdict
from urllib.parse import urlsplit

import pytest
from tests.judges import judge_venv
from tests.served import served

SEED = os.environ.get("FENGCHAO_TEST_FUZZ_SEED", "20240607")
"""What the requests are drawn from: the same ones in each run, unless another seed is asked for."""

TIMES = int(os.environ.get("FENGCHAO_TEST_FUZZ_TIMES", "1"))
"""How many times as many requests as usual."""

CASES = 2_000
"""Requests per group of operations, at least."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
MODELS = ["glm-4", "gpt-3.5-turbo", "Qwen1.5-0.5B-Chat", "embedding-2", "no-such-model"]
EVENTS = "text/event-stream"
STREAMED_BY_BODY = ("/aigc/chat/", "/aigc/local_chat/", "/v1/chat/completions")

# Questions to a sandbox: one answered so briefly that the checker reads to the end, one whose answer breaks off.
WHOLE = "[[say:好的]]"
BROKEN = "[[fault:500 after=2]]"

# Exact: what a seed draws is another thing with another version of them.
REQUIREMENTS = ("schemathesis==4.32.5", "hypothesis==6.170.15", "jsonschema_rs==0.60.3")


@pytest.fixture(scope="module")
def schemathesis():
    """The command of the checker, in an environment of its own."""
    # Not its script, in whose first line stands where the environment was made.
    return [str(judge_venv("schemathesis", REQUIREMENTS)), "-m", "schemathesis.cli"]


@pytest.mark.parametrize(("group", "examples"), [("aigc", 350), ("v1", 600), ("admin", 60)])
def test_answers_are_documented(group, examples, schemathesis, tmp_path_factory, tmp_path):
    """Thousands of requests after the document, right and wrong ones, meet only answers that it announces."""
    home = tmp_path_factory.mktemp("home")
    with served(home) as server:
        token = operators_token(server.url, home) if group == "admin" else server.token
        document = with_real_values(server)
        (tmp_path / "openapi.json").write_text(json.dumps(document), "utf-8")
        command = [
            *schemathesis,
            "run",
            "openapi.json",
            f"--url={server.url}",
            f"--header=Authorization: Bearer {token}",
            f"--include-tag={group}",
            # These end the login that all the others are made with.
            "--exclude-path-regex=^/admin/(logout|password|operators|tokens)",
            f"--checks={','.join(CHECKS)}",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={examples * TIMES}",
            f"--seed={SEED}",
            "--generation-database=none",
            "--continue-on-failure",
            "--request-timeout=30",
            "--suppress-health-check=all",
            "--warnings=off",
            "--report=har",
            "--report-har-path=met.har",
        ]
        # Sets of texts, too, have the same order in each run.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
    assert run.returncode == 0, f"seed {SEED}\n{run.stdout[-6000:]}{run.stderr[-2000:]}"
    generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", run.stdout).groups())
    assert generated == passed
    assert generated >= CASES
    check_streams(document, group, json.loads((tmp_path / "met.har").read_text("utf-8")))


def operators_token(url, home):
    """A token for scripts of a first operator, made as one would."""

    def fengchao(*arguments):
        command = [sys.executable, "-m", "fengchao_server", *arguments, "--json"]
        environment = {**os.environ, "FENGCHAO_HOME": str(home)}
        return json.loads(subprocess.check_output(command, env=environment, cwd=home))

    link = fengchao("admin", "setup-link")
    body = {"token": link["token"], "name": "boss", "password": "correct horse battery staple"}
    request = urllib.request.Request(
        f"{url}/admin/setup",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()
    return fengchao("admin", "token", "--name", "boss", "--label", "fuzz")["token"]


def with_real_values(server):
    """
    The document, with what there is on this server: else nearly every request would end at an unknown model.

    Each operation that streams has examples that are answered so: to the end, and until it breaks off.
    """
    with urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
        document = json.load(answer)
    for schema in document["components"]["schemas"].values():
        model = schema.get("properties", {}).get("model")
        if model is not None and "model" in schema.get("required", ()):
            model.update(enum=MODELS)
    paths = document["paths"]
    for path in STREAMED_BY_BODY:
        examples = paths[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
        for name, question in (("whole", WHOLE), ("broken", BROKEN)):
            examples[f"streamed_{name}"] = {
                "value": asking(question, examples["streamed"]["value"])
            }
    again = paths["/aigc/stream/{id}"]["get"]["parameters"]
    next(parameter for parameter in again if parameter["name"] == "id")["examples"] = {
        "whole": {"value": resumable_stream(server, WHOLE)},
        "broken": {"value": resumable_stream(server, BROKEN)},
    }
    return document


def asking(question, body):
    """The same request with another question."""
    return json.loads(json.dumps(body, ensure_ascii=False).replace("你好", question))


def resumable_stream(server, question):
    """The id of a stream that has come to its end, and can be read again."""
    body = {"model": "glm-4", "query": question, "mode": "stream", "resumable": True}
    request = urllib.request.Request(
        f"{server.url}/aigc/chat/",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {server.token}"},
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()
        return answer.headers["X-Task-Id"]


def check_streams(document, group, met):
    """Each operation of the group that streams has done so: to the end, and until it broke off."""
    streaming = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if group in operation["tags"]
        and "text/event-stream" in operation["responses"].get("200", {}).get("content", ())
    }
    reasons = defaultdict(set)
    for entry in met["log"]["entries"]:
        asked, content = entry["request"], entry["response"]["content"]
        if not content["mimeType"].startswith("text/event-stream"):
            continue
        path = urlsplit(asked["url"]).path
        path = re.sub(r"^(/aigc/stream/).+", r"\1{id}", path)
        reasons[asked["method"], path].add(reason(content["text"]))
    assert streaming == reasons.keys()
    assert [] == [
        operation for operation in streaming if not {"stop", "error"} <= reasons[operation]
    ]


def reason(events):
    """Why a stream ended; None of one that was not read to its end."""
    if events.endswith("data: [DONE]\n\n"):
        return "stop"
    last = json.loads(events.rstrip().removesuffix(": end").rstrip().rpartition("data: ")[2])
    return "error" if "error" in last else last["choices"][0]["finish_reason"]
