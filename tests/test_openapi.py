"""The OpenAPI document against the running server: no answer that is not in it, and no answer of 500 or more."""

import json
import os
import re
import subprocess
import sys
import urllib.request

import pytest
from tests.judges import judge_venv
from tests.served import served

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
MODELS = ["glm-4", "gpt-3.5-turbo", "embedding-2", "no-such-model"]


@pytest.fixture(scope="module")
def schemathesis():
    """The checker's program, in an environment of its own."""
    return judge_venv("schemathesis", ["schemathesis==4.32.5"]).with_name("st")


@pytest.mark.parametrize(("group", "examples"), [("aigc", 350), ("v1", 600), ("admin", 60)])
def test_answers_are_documented(group, examples, schemathesis, tmp_path_factory, tmp_path):
    """Thousands of requests after the document, right and wrong ones, meet only answers that it announces."""
    home = tmp_path_factory.mktemp("home")
    with served(home) as server:
        token = operators_token(server.url, home) if group == "admin" else server.token
        document = tmp_path / "openapi.json"
        document.write_text(json.dumps(with_real_models(server.url)), "utf-8")
        command = [
            str(schemathesis),
            "run",
            str(document),
            f"--url={server.url}",
            f"--header=Authorization: Bearer {token}",
            f"--include-tag={group}",
            # These end the login that all the others are made with.
            "--exclude-path-regex=^/admin/(logout|password|operators|tokens)",
            f"--checks={','.join(CHECKS)}",
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={examples}",
            "--continue-on-failure",
            "--request-timeout=30",
            "--suppress-health-check=all",
            "--warnings=off",
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-6000:]
    generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", run.stdout).groups())
    assert generated == passed
    assert generated >= CASES


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


def with_real_models(url):
    """The document, with models that there are: else nearly every request would end at an unknown one."""
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        document = json.load(answer)
    for schema in document["components"]["schemas"].values():
        model = schema.get("properties", {}).get("model")
        if model is not None and "model" in schema.get("required", ()):
            model.update(enum=MODELS)
    return document
