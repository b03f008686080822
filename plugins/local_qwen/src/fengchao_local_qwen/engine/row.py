"""One choice as the sampler sees it: what was said so far, and where its chance comes from."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from fengchao_local_qwen.engine.face import Prompt

if TYPE_CHECKING:
    import torch


class Row:
    """
    A choice being generated. Belongs to the backend's thread.

    Attributes:
        counts: how often each token of the answer came, for the penalties that count.
        said: tokens so far.
        is_over: its last token was chosen; whatever the model still computes of it is ignored.
    """

    __slots__ = ("_seen", "_seen_ids", "counts", "id", "is_over", "prompt", "random", "said")

    def __init__(self, request_id: str, prompt: Prompt) -> None:
        self.id = request_id
        self.prompt = prompt
        self.random = Random(prompt.sampling.seed)
        self.counts: dict[int, int] = {}
        self.said = 0
        self.is_over = False
        self._seen: set[int] = set()
        self._seen_ids: torch.Tensor | None = None

    @property
    def left(self) -> int:
        """Tokens that may still come."""
        return self.prompt.max_new_tokens - self.said

    def seen(self, device: torch.device) -> torch.Tensor:
        """The distinct tokens of prompt and answer, [distinct] int64."""
        import torch

        if self._seen_ids is None:
            self._seen = {*self.prompt.ids, *self.counts}
            self._seen_ids = torch.tensor(sorted(self._seen), dtype=torch.int64, device=device)
        return self._seen_ids

    def take(self, token: int) -> bool:
        """Note the token that was chosen; returns whether it is the last."""
        sampling = self.prompt.sampling
        self.said += 1
        if sampling.changes_logits:
            self.counts[token] = self.counts.get(token, 0) + 1
            if self._seen_ids is not None and token not in self._seen:
                self._seen_ids = None
        if self.prompt.guard is not None:
            self.prompt.guard.take(token)
        self.is_over = token in self.prompt.stop_ids or self.left <= 0
        return self.is_over
