"""
For tests of plugins and of what embeds fengchao. Needs the `testing` extra: `pip install 'fengchao-core[testing]'`.

    ProviderContract   what every provider must keep to, as tests to inherit
    ScriptedVendor     a real server on loopback that answers what a test tells it, and keeps what it was sent
    FakeClock          time that a test holds in its hand
    open_provider      a provider, opened as the gateway would; `open_sandboxed` against its own sandbox
    strategies         hypothesis strategies of texts, messages, calls, chunkings, usages and prices
    guard              a fixture that fails any test which reaches beyond loopback

Nothing here is imported at run time.
"""

from importlib.util import find_spec

if not all(map(find_spec, ("hypothesis", "pytest", "pytest_asyncio"))):
    raise ImportError(
        "fengchao_core.testing needs hypothesis, pytest and pytest-asyncio: "
        "pip install 'fengchao-core[testing]'"
    )

from fengchao_core.testing import strategies
from fengchao_core.testing.clock import FakeClock
from fengchao_core.testing.contract import ProviderContract
from fengchao_core.testing.dialect import chat_body, chat_frames
from fengchao_core.testing.opening import (
    answer_of,
    deltas_of,
    open_provider,
    open_sandboxed,
    run_app,
)
from fengchao_core.testing.terms import TEXT, ContractTerms, ErrorCase
from fengchao_core.testing.vendor import (
    Answer,
    Do,
    Received,
    ScriptedVendor,
    Step,
    Talk,
    json_answer,
    sse_answer,
)

__all__ = [
    "TEXT",
    "Answer",
    "ContractTerms",
    "Do",
    "ErrorCase",
    "FakeClock",
    "ProviderContract",
    "Received",
    "ScriptedVendor",
    "Step",
    "Talk",
    "answer_of",
    "chat_body",
    "chat_frames",
    "deltas_of",
    "json_answer",
    "open_provider",
    "open_sandboxed",
    "run_app",
    "sse_answer",
    "strategies",
]
