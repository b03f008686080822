"""What was used of a model, and who counted it."""

from __future__ import annotations

from fengchao_core.types.shared import UsageSource, dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What was used: tokens, and what else a vendor charges for.

    Attributes:
        prompt_tokens: all input tokens, cached and newly cached ones included.
        completion_tokens: all output tokens, reasoning ones included.
        cached_tokens: input tokens the vendor took from its cache.
        reasoning_tokens: output tokens spent thinking.
        source: who counted: the vendor, a tokenizer of ours, an estimate, or nobody.
        images: pictures drawn.
        searches: web searches made for the answer.
        vectors: embeddings made.
        cache_write_tokens: input tokens the vendor put into its cache, where that has a price of its own.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = "vendor"
    images: int = 0
    searches: int = 0
    vectors: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


NO_USAGE = Usage(source="none")
