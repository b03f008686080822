"""
Zhipu's wire: chat completions with the vendor's own rules, and its error codes.

Pure. Sources: the vendor's API reference and error-code page, and the recorded requests of its SDK, all as of late
2025; see the README for what is documented and what is inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fengchao_core.errors import (
    ContentRefused,
    ContextTooLong,
    InvalidParameter,
    ProviderAuthFailed,
    ProviderOverloaded,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
)
from fengchao_core.kit.errors import STATUSES, ErrorClass, classify_by
from fengchao_core.kit.openai_chat import CHAT_COMPLETIONS, PARTS, Dialect, Notes, at_most
from fengchao_core.types import (
    ChatRequest,
    ImagePart,
    TextPart,
    VideoPart,
)

CHAT_PATH = "/chat/completions"

ERRORS: Mapping[str, ErrorClass] = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004", "1005"), ProviderAuthFailed),
    # The account itself: not active, missing, locked; no permission for this API; restricted for unfair use.
    **dict.fromkeys(("1100", "1110", "1111", "1112", "1121", "1220", "1313"), ProviderAuthFailed),
    # A coding plan that does not cover the model, a key that is only for such a plan.
    **dict.fromkeys(("1311", "1315"), ProviderAuthFailed),
    # Arrears, a plan that has run out, and caps by day, week and month. All but 1304 come with HTTP 429, as 1302 does.
    **dict.fromkeys(("1113", "1304", "1308", "1309", "1310", "1314"), QuotaExhausted),
    **dict.fromkeys(("1316", "1317", "1318", "1319", "1320", "1321"), QuotaExhausted),
    **dict.fromkeys(("1120", "1200", "1230", "1234", "500"), ProviderUnavailable),
    **dict.fromkeys(("1210", "1211", "1212", "1213", "1214", "1215"), RequestRejected),
    **dict.fromkeys(("1221", "1222", "1231"), RequestRejected),
    "1261": ContextTooLong,
    **dict.fromkeys(("1300", "1301"), ContentRefused),
    **dict.fromkeys(("1302", "1303"), RateLimited),
    **dict.fromkeys(("1305", "1312"), ProviderOverloaded),
}
"""The vendor's business codes. HTTP 429 alone says nothing: it stands for four different things."""

# 434: the API is in a closed beta; 435: the file is over 100 MB.
classify = classify_by(ERRORS, statuses={**STATUSES, 434: ProviderAuthFailed, 435: RequestRejected})


def dialect_for(model: str) -> Dialect:
    """The dialect of a model, by the vendor's name of it."""
    if model.startswith("glm-z1"):
        return _THINKS_IN_TEXT
    if model.startswith(("glm-4.5", "glm-4.6", "glm-4.7", "glm-5")):
        return _THINKS_ON_DEMAND
    return _PLAIN


def _open_range(name: str, value: float) -> tuple[float, str | None]:
    """The vendor documents 0 to 1; its SDK keeps both ends out, and so do we."""
    if 0 < value < 1:
        return value, None
    nearest = 0.01 if value <= 0 else 0.99
    greedy = " with do_sample=false" if name == "temperature" and value <= 0 else ""
    return nearest, f"{name} {value} was sent as {nearest}{greedy}, the nearest this provider takes"


def _thinking(_: str, effort: str) -> tuple[dict[str, str], str | None]:
    kind = "disabled" if effort in ("none", "minimal") else "enabled"
    return {"type": kind}, f"reasoning_effort '{effort}' was sent as thinking '{kind}'"


def _tool_choice(_: str, choice: str | Mapping[str, object]) -> tuple[str, str | None]:
    if choice not in ("auto", "none"):
        raise InvalidParameter(
            "this provider only takes tool_choice 'auto' or 'none'", param="tool_choice"
        )
    return str(choice), None


def _bare_image(part: ImagePart) -> dict[str, Any]:
    url = part.url
    if url.startswith("data:"):  # the vendor takes the base64 alone
        url = url.partition(",")[2]
    return {"type": "image_url", "image_url": {"url": url}}


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    params = request.params
    if params.temperature is not None and params.temperature <= 0:
        body["do_sample"] = False
    if body.get("tool_choice") == "none":
        # The vendor documents no such value; without tools none can be called.
        del body["tool_choice"]
        body.pop("tools", None)
    user = body.get("user_id")
    if isinstance(user, str) and not 6 <= len(user) <= 128:
        del body["user_id"]
        notes.append("user was left out: this provider takes 6 to 128 characters")
    if request.request_id:
        body.setdefault("request_id", request.request_id)


_PLAIN = replace(
    CHAT_COMPLETIONS,
    knobs={
        "temperature": "temperature",
        "top_p": "top_p",
        "max_tokens": "max_tokens",
        "stop": "stop",
        "seed": "seed",
        "do_sample": "do_sample",
        "tools": "tools",
        "tool_choice": "tool_choice",
        "response_format": "response_format",
        "user": "user_id",
    },
    adapt={
        "temperature": _open_range,
        "top_p": _open_range,
        "stop": at_most(1),
        "tool_choice": _tool_choice,
    },
    roles={
        "system": "system",
        "developer": "system",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
    },
    parts={TextPart: PARTS[TextPart], ImagePart: _bare_image, VideoPart: PARTS[VideoPart]},
    response_formats=frozenset({"text", "json_object"}),
    include_usage=False,  # it comes unasked, with the finish reason
    amend=_amend,
    finish={
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "sensitive": "content_filter",
        # Seen in recorded traffic, not documented.
        "model_context_window_exceeded": "length",
    },
    finish_errors={"network_error": ProviderUnavailable},  # the inference failed, under HTTP 200
    keep=("web_search", "content_filter"),
)
_THINKS_IN_TEXT = replace(_PLAIN, think_tags=True)
_THINKS_ON_DEMAND = replace(
    _PLAIN,
    knobs={**_PLAIN.knobs, "reasoning_effort": "thinking"},
    adapt={**_PLAIN.adapt, "reasoning_effort": _thinking},
)
