"""
What the stand-in for Anthropic verifies of a request: who asks, by which generation, and every field.

Ranges and rules are the documented ones; where the vendor's reaction is not known, the check is left out.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from fengchao_anthropic.abilities import abilities_of
from fengchao_anthropic.sandbox.codes import RefusedError, illegal
from fengchao_anthropic.sandbox.conversation import check_conversation, check_system
from fengchao_anthropic.sandbox.tooling import check_tool_choice, check_tools
from fengchao_anthropic.wire import NEWEST, OLDER
from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import prompt_tokens
from fengchao_core.types import ChatRequest, ModelCard

CARDS: Mapping[str, ModelCard] = {
    name: card for card in load_cards("fengchao_anthropic") for name in (card.id, *card.aliases)
}
"""The models that are served, by their names and aliases."""

_CONTEXT = 200_000
_LONGEST = 128_000
_FIELDS = frozenset(
    {
        *("model", "max_tokens", "messages", "system", "stop_sequences", "stream", "tools"),
        *("tool_choice", "thinking", "output_config", "metadata", "service_tier"),
        *("cache_control", "container", "diagnostics", "inference_geo", "speed"),
        "user_profile_id",
    }
)
_SAMPLERS: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 1),
    "top_p": (0, 1),
    "top_k": (0, float("inf")),
}
_NOT_COUNTED = frozenset({"max_tokens", "stream", "stop_sequences", "metadata", "service_tier"})
_EXTRA = "Extra inputs are not permitted"


def who(headers: Mapping[str, str], api_key: str) -> str:
    """A public name of the key that authorises a request; `x-api-key` counts where both are there."""
    given = headers.get("x-api-key")
    what = "x-api-key"
    if given is None:
        what = "bearer token"
        kind, _, given = headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given:
            raise RefusedError("authentication_error", "x-api-key header is required")
    if not hmac.compare_digest(given.strip().encode(), api_key.encode()):
        raise RefusedError("authentication_error", f"invalid {what}")
    return "sandbox"


def version_of(headers: Mapping[str, str]) -> str:
    """The generation of the API that a request names."""
    version = headers.get("anthropic-version")
    if version is None:
        raise illegal("anthropic-version", "header is required")
    if version not in (OLDER, NEWEST):
        raise illegal("anthropic-version", f'"{version}" is not a valid version')
    return version


def check_body(body: Mapping[str, Any], version: str, *, counts: bool = False) -> None:
    """
    Check a request.

    Args:
        body: as it came.
        version: the generation of the API.
        counts: only its tokens are asked for.

    Raises:
        RefusedError: as the vendor would refuse.
    """
    _fields(body, version, counts=counts)
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise illegal("model", "Field required" if name is None else "Input should be a string")
    card = CARDS.get(name)
    if card is None:
        raise RefusedError("not_found_error", f"model: {name}")
    if not counts:
        _longest(body.get("max_tokens"), card)
    _simple(body)
    check_system(body.get("system"))
    check_tools(body.get("tools"))
    check_tool_choice(body.get("tool_choice"), body.get("tools"))
    _output(body.get("output_config"), card)
    _thinking(body, card)
    _sampling(body, card)
    check_conversation(body.get("messages"), version, thinking=body.get("thinking"))


def check_length(asked: ChatRequest) -> None:
    """Refuse a prompt that does not fit the model's context."""
    card = CARDS[asked.model]
    most = card.max_input_tokens or _CONTEXT
    tokens = prompt_tokens(asked)
    if tokens > most:
        raise RefusedError(
            "invalid_request_error", f"prompt is too long: {tokens} tokens > {most} maximum"
        )


def _fields(body: Mapping[str, Any], version: str, *, counts: bool) -> None:
    for name in body:
        if name in _SAMPLERS:
            if version == NEWEST or counts:
                raise illegal(name, _EXTRA)
        elif name not in _FIELDS or (counts and name in _NOT_COUNTED):
            raise illegal(name, _EXTRA)


def _longest(value: object, card: ModelCard) -> None:
    if value is None:
        raise illegal("max_tokens", "Field required")
    if type(value) is not int:
        raise illegal("max_tokens", "Input should be a valid integer")
    if value < 0:
        raise illegal("max_tokens", "Input should be greater than or equal to 0")
    most = card.max_output_tokens or _LONGEST
    if value > most:
        raise illegal("max_tokens", f"{value} > {most}, which is the maximum for {card.id}")


def _simple(body: Mapping[str, Any]) -> None:
    if "stream" in body and not isinstance(body["stream"], bool):
        raise illegal("stream", "Input should be a valid boolean")
    stops = body.get("stop_sequences")
    if stops is not None:
        if not isinstance(stops, list) or not all(isinstance(word, str) for word in stops):
            raise illegal("stop_sequences", "Input should be a valid list of strings")
        if not all(word.strip() for word in stops):
            raise illegal("stop_sequences", "each stop sequence must contain non-whitespace")
    metadata = body.get("metadata")
    if metadata is not None:
        if not isinstance(metadata, dict) or metadata.keys() - {"user_id"}:
            raise illegal("metadata", _EXTRA)
        user = metadata.get("user_id")
        if user is not None and not (isinstance(user, str) and len(user) <= 256):
            raise illegal("metadata.user_id", "String should have at most 256 characters")
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise illegal("service_tier", "Input should be 'auto' or 'standard_only'")
    if (body.get("speed") or "standard") not in ("standard", "fast"):
        raise illegal("speed", "Input should be 'standard' or 'fast'")


def _output(config: object, card: ModelCard) -> None:
    if config is None:
        return
    if not isinstance(config, dict) or config.keys() - {"effort", "format"}:
        raise illegal("output_config", _EXTRA)
    able = abilities_of(card.id)
    effort = config.get("effort")
    if effort is not None:
        if effort not in ("low", "medium", "high", "xhigh", "max"):
            raise illegal(
                "output_config.effort",
                "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
            )
        if able.thinking not in ("adaptive", "always"):
            raise illegal(
                "output_config.effort", "This model does not support the effort parameter."
            )
    form = config.get("format")
    if form is not None:
        if not isinstance(form, dict) or form.get("type") != "json_schema":
            raise illegal("output_config.format.type", "Input should be 'json_schema'")
        if not isinstance(form.get("schema"), dict):
            raise illegal("output_config.format.schema", "Field required")
        if not able.schemas:
            raise illegal("output_config.format", "This model does not support output format.")


def _thinking(body: Mapping[str, Any], card: ModelCard) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    able = abilities_of(card.id).thinking
    if kind not in ("enabled", "adaptive", "disabled", "between_tools"):
        raise illegal(
            "thinking.type",
            "Input should be 'enabled', 'adaptive', 'disabled' or 'between_tools'",
        )
    if kind == "disabled":
        if able == "always":
            raise illegal("thinking.type", "thinking cannot be disabled for this model")
        return
    if kind == "enabled":
        if able != "budget":
            raise illegal("thinking.type", '"enabled" is not supported by this model')
        _budget(thinking.get("budget_tokens"), body.get("max_tokens"))
    elif able not in ("adaptive", "always"):
        raise illegal("thinking.type", f'"{kind}" is not supported by this model')
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise illegal("thinking", "thinking may not be enabled when tool_choice forces tool use")


def _budget(budget: object, longest: object) -> None:
    if type(budget) is not int:
        raise illegal("thinking.enabled.budget_tokens", "Field required")
    if budget < 1024:
        raise illegal(
            "thinking.enabled.budget_tokens", "Input should be greater than or equal to 1024"
        )
    if isinstance(longest, int) and budget >= longest:
        raise illegal("max_tokens", "must be greater than thinking.budget_tokens")


def _sampling(body: Mapping[str, Any], card: ModelCard) -> None:
    able = abilities_of(card.id)
    thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    for name, (low, high) in _SAMPLERS.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise illegal(name, "Input should be a valid number")
        if not low <= value <= high:
            raise illegal(name, f"range: {low}..{high:g}")
        is_default = name != "top_k" and value == 1
        if not is_default and (thinks or not able.sampling):
            raise illegal(name, "may only be set to its default with this model or with thinking")
    if able.one_sampler and body.get("temperature") is not None and body.get("top_p") is not None:
        raise RefusedError(
            "invalid_request_error",
            "`temperature` and `top_p` cannot both be specified for this model",
        )
