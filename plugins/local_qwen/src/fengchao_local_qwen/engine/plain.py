"""One request after the other through `generate`: for models and devices that continuous batching does not serve."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from typing_extensions import override

from fengchao_local_qwen.engine.face import Backend, Chosen, Prompt
from fengchao_local_qwen.engine.row import Row
from fengchao_local_qwen.engine.sampler import choose


class PlainBackend(Backend):
    """A thread that runs `generate` for one request at a time."""

    name = "plain"

    def __init__(self, model: Any, *, cache_tokens: int) -> None:
        self.slots = 1
        self.cache_tokens = cache_tokens
        self._model = model
        self._todo: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._rows: dict[str, Row] = {}

    @override
    def start(
        self, chosen: Callable[[Chosen], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._chosen = chosen
        self._failed = failed
        self._thread = threading.Thread(target=self._run, name="engine-plain", daemon=True)
        self._thread.start()

    @override
    def add(self, request_id: str, prompt: Prompt) -> None:
        row = self._rows[request_id] = Row(request_id, prompt)
        self._todo.put(row)

    @override
    def cancel(self, request_id: str) -> None:
        row = self._rows.pop(request_id, None)
        if row is not None:
            row.is_over = True

    @override
    def stop(self) -> None:
        for row in self._rows.values():
            row.is_over = True
        self._todo.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (row := self._todo.get()) is not None:
                if not row.is_over:
                    self._generate(row)
                self._rows.pop(row.id, None)
        except Exception as error:
            self._failed(error)

    def _generate(self, row: Row) -> None:
        ids = torch.tensor([list(row.prompt.ids)], device=self._model.device)
        self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=row.prompt.max_new_tokens,
            eos_token_id=None,
            pad_token_id=0,
            repetition_penalty=1.0,
            logits_processor=LogitsProcessorList([_Chooser(self, row)]),
            stopping_criteria=StoppingCriteriaList([_Over(row)]),
        )

    def step(self, row: Row, logits: torch.Tensor) -> int:
        """Choose and tell the next token of the one row, out of its [1, vocabulary] logits."""
        if row.is_over:
            return 0
        (token,) = choose([row], logits)
        self._chosen([(row.id, token)])
        return token.id


class _Chooser(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed here
    def __init__(self, backend: PlainBackend, row: Row) -> None:
        self._backend = backend
        self._row = row

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  # as it is called
        logits = scores.float()
        token = self._backend.step(self._row, logits)
        raised = torch.full_like(scores, -torch.inf)
        raised[0, token] = 0
        return raised


class _Over(StoppingCriteria):  # type: ignore[misc]  # likewise
    def __init__(self, row: Row) -> None:
        self._row = row

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:  # noqa: ARG002  # as it is called
        return torch.full((input_ids.shape[0],), self._row.is_over, device=input_ids.device)
