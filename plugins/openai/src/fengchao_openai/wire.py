"""OpenAI's chat wire: the dialect as an endpoint's settings have it, and the error codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    ProviderAuthFailed,
    ProviderError,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import classify_by
from fengchao_core.kit.openai_chat import (
    CHAT_COMPLETIONS,
    EXTENDED_KNOBS,
    OPENAI_KNOBS,
    PARTS,
    Dialect,
    Notes,
)
from fengchao_core.types import ChatRequest, VideoPart
from fengchao_openai.settings import OpenAISettings

CHAT = "/chat/completions"

ERRORS: Mapping[str, type[ProviderError]] = {
    # OpenAI: codes and, for want of a code, types. docs/api-reference and error-codes guide, read 2026-11.
    "invalid_api_key": ProviderAuthFailed,
    "model_not_found": RequestRejected,
    "context_length_exceeded": ContextTooLong,
    "content_policy_violation": ContentRefused,
    "content_filter": ContentRefused,
    "rate_limit_exceeded": RateLimited,
    "slow_down": RateLimited,
    "insufficient_quota": QuotaExhausted,
    "credit_balance_exhausted": QuotaExhausted,
    "organization_spend_limit_exceeded": QuotaExhausted,
    "project_spend_limit_exceeded": QuotaExhausted,
    "organization_usage_limit_exceeded": QuotaExhausted,
    "server_error": ProviderUnavailable,
    "overloaded": ProviderOverloaded,
    # Compatible endpoints whose codes clash with none of the above. DashScope:
    "Arrearage": QuotaExhausted,
    "data_inspection_failed": ContentRefused,
    "Throttling": RateLimited,  # and what follows a dot: RateQuota, AllocationQuota
    "limit_requests": RateLimited,
    # MiniMax, which answers errors under HTTP 200 (its numbers could not be confirmed):
    "base_resp.1000": ProviderUnavailable,
    "base_resp.1001": ProviderUnavailable,
    "base_resp.1002": RateLimited,
    "base_resp.1004": ProviderAuthFailed,
    "base_resp.1008": QuotaExhausted,
    "base_resp.1013": ProviderUnavailable,
    "base_resp.1026": ContentRefused,
    "base_resp.1027": ContentRefused,
    "base_resp.1039": ContextTooLong,
    "base_resp.2013": RequestRejected,
}
"""Codes and types, exact or by what stands before a dot. HTTP statuses decide where none is known."""

classify = classify_by(ERRORS)


def dialect_of(settings: OpenAISettings) -> Dialect:
    """The dialect that the settings describe."""
    knobs = dict(OPENAI_KNOBS)
    knobs.update(
        (name, field) for name, field in EXTENDED_KNOBS.items() if name in settings.extra_knobs
    )
    limit: str = settings.max_tokens_field
    developer: str = settings.developer_role
    if limit == "auto":
        limit = "max_completion_tokens" if settings.is_openai else "max_tokens"
    if developer == "auto":
        developer = "developer" if settings.is_openai else "system"
    knobs["max_tokens"] = limit
    return replace(
        CHAT_COMPLETIONS,
        knobs=knobs,
        roles={**CHAT_COMPLETIONS.roles, "developer": developer},
        parts={
            kind: write
            for kind, write in PARTS.items()
            if kind is not VideoPart or not settings.is_openai
        },
        # DeepSeek's word for being overloaded (not confirmed).
        finish_errors={"insufficient_system_resource": ProviderOverloaded},
        include_usage=settings.include_usage,
        reasoning_back=settings.reasoning_back,
        think_tags=settings.think_tags,
        amend=_rename_limit if settings.max_tokens_field == "auto" else None,
    )


def _rename_limit(body: dict[str, Any], request: ChatRequest, _: Notes) -> None:
    # Models that reason refuse max_tokens, which does not count their thinking.
    if (
        request.card is not None
        and "reasoning" in request.card.capabilities
        and "max_tokens" in body
    ):
        body.setdefault("max_completion_tokens", body.pop("max_tokens"))
