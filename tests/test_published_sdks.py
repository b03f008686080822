"""The published SDKs, unmodified, each in an environment of its own, against `fengchao serve --sandbox`."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.judges import judge_venv
from tests.served import served

WALK = Path(__file__).parent / "published_sdk" / "walk.py"
COMMON = {"lists", "conversation", "codes", "401"} | {
    f"{mode} {model}"
    for mode in ("invoke", "stream", "async")
    for model in ("glm-4", "Qwen1.5-0.5B-Chat")
}
SECOND = COMMON | {"retry", "FengChaoAsync"}
LATER = SECOND | {"sensitive_replace", "prompt_fill", "response_format", "files", "cost"}
STEPS = {
    "1.0.2": COMMON,
    "2.0.1": SECOND,
    "2.2.2": LATER,
    "2.5.1": LATER | {"image", "agg_models", "search_param", "t2i"},
}
"""What each version can do; the walk must have taken exactly these steps."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A gateway with every vendor, and one listed word."""
    home = tmp_path_factory.mktemp("home")
    words = home / "words.txt"
    words.write_text("敏感词\n", "utf-8")
    with served(home, env={"FENGCHAO__SENSITIVE__WORDLISTS": f'["{words}"]'}) as server:
        yield server


@pytest.mark.parametrize("version", STEPS)
def test_a_published_version_works_unchanged(sandbox, tmp_path, version):
    """Every method and mode that the version has, with what it answers to mistakes."""
    python = judge_venv(f"fengchao-{version}", [f"fengchao=={version}"])
    walked = subprocess.run(
        [python, "-W", "ignore", WALK, sandbox.url, sandbox.api_key, sandbox.secret_key, tmp_path],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1", "FENGCHAO_BASE_URL": "http://127.0.0.1:9"},
    )
    assert 0 == walked.returncode, walked.stdout + walked.stderr[-3000:]
    assert STEPS[version] == set(walked.stdout.split("\n")) - {""}
