"""The settings of `[providers.openai]`, and of any section with `kind = "openai"`."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from fengchao_core.provider import ProviderSettings

ExtraKnob = Literal["top_k", "repetition_penalty", "do_sample", "negative_prompt"]


class OpenAISettings(ProviderSettings):
    """
    Where the endpoint is, and in which ways its dialect differs from OpenAI's own.

    Attributes:
        api_key: sent as a bearer token; empty for endpoints without keys, as vLLM and Ollama are by default.
        organization: OpenAI's organization id.
        project: OpenAI's project id.
        headers: further headers, for endpoints that take their key elsewhere (`{"api-key": "…"}`); kept secret.
        max_tokens_field: what the longest answer is called. `auto`: `max_completion_tokens` at OpenAI itself and for
            models that reason, `max_tokens` elsewhere.
        developer_role: how a developer message is sent. `auto`: as it is at OpenAI itself, as `system` elsewhere.
        include_usage: ask for the usage at the end of streams; switch it off for endpoints that refuse it.
        extra_knobs: parameters that OpenAI lacks and this endpoint takes.
        reasoning_back: the message field in which the reasoning of earlier turns is sent back, usually
            `reasoning_content`; left out by default, as most endpoints want it.
        think_tags: the models write their thinking into the text, between `<think>` tags.
        embeddings_encoding: how vectors are asked for; `base64` is smaller and quicker where it is understood.
    """

    base_url: str = "https://api.openai.com/v1"
    api_key: SecretStr = SecretStr("")
    organization: str | None = None
    project: str | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = "auto"
    developer_role: Literal["auto", "developer", "system"] = "auto"
    include_usage: bool = True
    extra_knobs: frozenset[ExtraKnob] = frozenset()
    reasoning_back: str | None = None
    think_tags: bool = False
    embeddings_encoding: Literal["float", "base64"] = "float"

    @property
    def is_openai(self) -> bool:
        """Whether the endpoint is OpenAI itself."""
        host = urlsplit(self.base_url).hostname or ""
        return host == "openai.com" or host.endswith(".openai.com")
