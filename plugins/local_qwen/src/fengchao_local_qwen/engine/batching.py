"""
Continuous batching by transformers' own manager: requests join and leave the batch between any two steps.

The manager schedules, keeps the paged cache, shares prefixes and runs the model. Choosing tokens is ours: the manager's
processors know no stop texts, no seeds and no penalties, and sort the whole vocabulary for top_p. So a processor of our
own takes the logits, chooses (`sampler.choose`), and raises the chosen token above all others, which the manager then
takes as the likeliest.

Pitfalls that this module is shaped by (transformers 5.17 to 5.23): a prompt larger than the cache ends the manager's
thread for everybody, so that `Admission` above never lets one through; a cancelled request delivers no last result; its
own queue blocks when full, so that ours is in front; double buffering would choose before the last token is known.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation import ContinuousBatchingConfig
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import LogitsProcessorList
from typing_extensions import override

from fengchao_local_qwen.engine.face import Backend, Chosen, EngineFailedError, Prompt, Token
from fengchao_local_qwen.engine.row import Row
from fengchao_local_qwen.engine.sampler import choose

PAGE_TOKENS = 32
"""Tokens to a page of the cache."""

_STOP_S = 10.0


class ContinuousBackend(Backend):
    """
    The manager and the thread that reads its failures.

    Args:
        model: a causal language model on its device.
        slots: requests in a batch at most.
        cache_tokens: of the paged cache, rounded up to whole pages for each slot.
        step_tokens: tokens of a step at most; longer prompts are read in pieces, between others' steps.
    """

    name = "continuous"

    def __init__(
        self, model: Any, *, slots: int, cache_tokens: int, step_tokens: int, share_prefixes: bool
    ) -> None:
        self.slots = slots
        self.cache_tokens = cache_tokens
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()
        self._stopping = False
        # Every request may leave its last page half empty, and one page is spare.
        pages = -(-cache_tokens // PAGE_TOKENS) + slots + 1
        self._manager = model.init_continuous_batching(
            generation_config=GenerationConfig(do_sample=False, eos_token_id=-1),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE_TOKENS,
                num_blocks=pages,
                max_batch_tokens=step_tokens,
                max_requests_per_batch=slots,
                allow_block_sharing=share_prefixes,
                use_async_batching=False,
                use_cuda_graph=False,
                safety_margin=0.0,
            ),
        )
        processors = ContinuousBatchingLogitsProcessorList(
            LogitsProcessorList([_Chooser(self._step)])
        )
        processors.tensors_required = 1
        self._manager.logit_processor = processors

    @override
    def start(
        self, chosen: Callable[[Chosen], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._chosen = chosen
        self._failed = failed
        self._manager.start()
        self._watcher = threading.Thread(target=self._watch, name="engine-watch", daemon=True)
        self._watcher.start()

    @override
    def add(self, request_id: str, prompt: Prompt) -> None:
        with self._lock:
            self._rows[request_id] = Row(request_id, prompt)
        taken = self._manager.add_request(
            list(prompt.ids),
            request_id=request_id,
            max_new_tokens=prompt.max_new_tokens,
            eos_token_id=sorted(prompt.stop_ids) or -1,
        )
        if taken is None:
            raise EngineFailedError("the batching manager takes no more requests")

    @override
    def cancel(self, request_id: str) -> None:
        with self._lock:
            known = self._rows.pop(request_id, None)
        if known is not None:
            self._manager.cancel_request(request_id)

    @override
    def stop(self) -> None:
        self._stopping = True
        self._manager.stop(block=True, timeout=_STOP_S, hard_stop=True)

    def _step(self, ids: list[str], logits: torch.Tensor) -> list[int]:
        """Choose for the rows of a step, and tell. Rows cancelled meanwhile get any token."""
        with self._lock:
            rows = [self._rows.get(request_id) for request_id in ids]
        at = [i for i, row in enumerate(rows) if row is not None and not row.is_over]
        living = [row for row in rows if row is not None and not row.is_over]
        tokens = [0] * len(ids)
        if living:
            own = logits if len(living) == len(ids) else logits[at]
            told: list[tuple[str, Token]] = []
            for i, row, token in zip(at, living, choose(living, own), strict=True):
                tokens[i] = token.id
                told.append((row.id, token))
            with self._lock:
                for row in living:
                    if row.is_over:
                        self._rows.pop(row.id, None)
            self._chosen(told)
        return tokens

    def _watch(self) -> None:
        """Read what the manager says of its requests: only failures matter, and its own end."""
        for result in self._manager:
            if result.error is not None and result.request_id in self._rows:
                self._failed(EngineFailedError(f"the model failed: {result.error}"))
                return
        if not self._stopping:
            self._failed(EngineFailedError("the batching manager ended"))


class _Chooser(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]  # transformers is not typed here
    """The one processor of the manager: hands logits to `step` and raises the chosen tokens above all others."""

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012  # as the class above has it
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, step: Callable[[list[str], torch.Tensor], list[int]]) -> None:
        self._step = step
        self._ids: list[str] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> torch.Tensor:
        """Remember whose logits come next, in their order; the tensor itself carries nothing."""
        self._ids = [request.state.request_id for request in requests_with_new_token]
        return torch.zeros(len(self._ids), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # as it is called
        """Scores: [rows, vocabulary] float32; rows of prompts that are read in pieces come last and mean nothing."""
        if self._ids:
            tokens = self._step(self._ids, scores[: len(self._ids)])
            rows = torch.arange(len(tokens), device=scores.device)
            scores[rows, torch.tensor(tokens, device=scores.device)] = torch.inf
        return scores
