"""Vectors from a local encoder model: a few texts of like length at a time, pooled as the model was trained to be."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import orjson
import torch

from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.engine.face import EngineBusyError, PromptTooLongError
from fengchao_local_qwen.engine.loading import (
    check_versions,
    free_bytes,
    pick_device,
    pick_dtype,
    settle_threads,
)
from fengchao_local_qwen.engine.memory import check_memory
from fengchao_local_qwen.weights import FolderError, read_weights

_BATCH = 16

Pooling = Literal["mean", "cls", "last"]


class LocalEncoder:
    """
    An encoder on its device, with a thread of its own. Serves any number of callers, one batch at a time.

    Attributes:
        facts: what is to be told of it.
    """

    def __init__(self, config: EngineConfig) -> None:
        from transformers import AutoModel, AutoTokenizer

        check_versions()
        threads = settle_threads(config.threads)
        self._device = pick_device(config.device)
        dtype = pick_dtype(config.dtype, self._device)
        weights = read_weights(config.folder, kind="embedding")
        check_memory(weights, dtype, free_bytes(self._device), where=str(self._device))
        self._tokenizer = AutoTokenizer.from_pretrained(weights.folder, local_files_only=True)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._tokenizer.padding_side = "right"
        self._model = (
            AutoModel.from_pretrained(
                weights.folder, dtype=getattr(torch, dtype), local_files_only=True
            )
            .eval()
            .to(self._device)
        )
        self._pooling = _pooling(weights.folder)
        self._longest = config.max_input_tokens or weights.context_tokens
        self._waiting = 0
        self._most_waiting = config.max_queue
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-encoder")
        self.facts = {
            "device": str(self._device),
            "dtype": dtype,
            "threads": threads,
            "pooling": self._pooling,
            "context_tokens": self._longest,
        }

    async def encode(self, texts: tuple[str, ...]) -> tuple[list[list[float]], int]:
        """
        Unit vectors in the order of the texts, and the tokens read.

        Raises:
            EngineBusyError: too many wait.
            PromptTooLongError: a text is longer than the model takes.
        """
        if self._waiting > self._most_waiting:
            raise EngineBusyError(f"{self._waiting} requests wait for vectors")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            ids = await asyncio.to_thread(lambda: self._tokenizer(list(texts))["input_ids"])
            longest = max(len(each) for each in ids)
            if longest > self._longest:
                raise PromptTooLongError(longest, self._longest)
            order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
            vectors: list[list[float]] = [[] for _ in ids]
            for start in range(0, len(order), _BATCH):
                batch = order[start : start + _BATCH]
                found = await loop.run_in_executor(
                    self._thread, self._forward, [ids[at] for at in batch]
                )
                for at, vector in zip(batch, found, strict=True):
                    vectors[at] = vector
            return vectors, sum(len(each) for each in ids)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _forward(self, ids: list[list[int]]) -> list[list[float]]:
        padded = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            hidden = self._model(**padded).last_hidden_state  # [texts, tokens, hidden]
        mask = padded["attention_mask"]
        pooled = pool(hidden.float(), mask, self._pooling)
        vectors: list[list[float]] = torch.nn.functional.normalize(pooled, dim=-1).tolist()
        return vectors


def pool(hidden: torch.Tensor, mask: torch.Tensor, how: Pooling) -> torch.Tensor:
    """
    One vector for each text.

    Args:
        hidden: [texts, tokens, hidden] float32, padded on the right.
        mask: [texts, tokens], 1 where there is a token.

    Returns:
        [texts, hidden] float32
    """
    if how == "cls":
        return hidden[:, 0]
    if how == "last":
        return hidden[torch.arange(hidden.shape[0]), mask.sum(dim=-1) - 1]
    weights = mask[:, :, None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def _pooling(folder: Path) -> Pooling:
    """As the model's own `1_Pooling/config.json` says; the mean where it says nothing."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    try:
        told: Any = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise FolderError(f"{path} is not JSON; the download is not whole") from None
    if told.get("pooling_mode_cls_token"):
        return "cls"
    return "last" if told.get("pooling_mode_lasttoken") else "mean"
