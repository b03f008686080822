"""What an answer used where its vendor did not say: counted by the model's own tokenizer, where its provider has one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from fengchao_core.logs import Log
from fengchao_core.provider import CountsTokens, Provider
from fengchao_core.types import DEFAULT_PARAMS, ChatRequest, Message, Usage

log = Log()

_LONGEST_S: Final = 10.0


def can_count(provider: Provider | None) -> bool:
    """Whether a provider brings its model's tokenizer."""
    return isinstance(provider, CountsTokens)


async def count_tokens(provider: Provider, request: ChatRequest, answer: str) -> Usage | None:
    """
    The usage of an answer, by the model's tokenizer.

    Returns:
        None where the provider has no tokenizer, or it does not answer in time: then it is estimated.
    """
    if not isinstance(provider, CountsTokens):
        return None
    said = replace(request, messages=(Message("assistant", answer),), params=DEFAULT_PARAMS)
    try:
        async with asyncio.timeout(_LONGEST_S):
            prompt = await provider.count_tokens(request)
            completion = await provider.count_tokens(said) if answer else 0
    except Exception as error:  # whatever a tokenizer raises, the row is more important
        log.warning("usage.not_counted", error=type(error).__name__)
        return None
    return Usage(prompt, completion, source="tokenizer")
