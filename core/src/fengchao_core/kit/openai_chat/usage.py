"""Usage as chat-completions vendors spell it."""

from __future__ import annotations

from fengchao_core.types import Usage

_MOST = 2**53  # beyond, JSON numbers are no longer exact


def read_usage(usage: object) -> Usage | None:
    """
    Usage in any of the dialect's spellings; None where there is none, or where its figures make no sense.

    Cached tokens are read from `prompt_tokens_details.cached_tokens`, `cached_tokens` (Moonshot) and
    `prompt_cache_hit_tokens` (DeepSeek).
    """
    if not isinstance(usage, dict):
        return None
    prompt = _count(usage.get("prompt_tokens"))
    completion = _count(usage.get("completion_tokens"))
    if completion is None and prompt is not None:
        total = _count(usage.get("total_tokens"))
        if total is not None and total >= prompt:
            completion = total - prompt
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    cached = (
        _detail(usage.get("prompt_tokens_details"), "cached_tokens")
        or _count(usage.get("cached_tokens"))
        or _count(usage.get("prompt_cache_hit_tokens"))
    )
    reasoning = _detail(usage.get("completion_tokens_details"), "reasoning_tokens")
    return Usage(
        prompt,
        completion,
        min(cached, prompt) if cached else 0,
        min(reasoning, completion) if reasoning else 0,
    )


def _detail(details: object, name: str) -> int | None:
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < _MOST else None
