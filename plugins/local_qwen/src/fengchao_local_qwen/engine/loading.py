"""From a folder to a model on its device, with every choice made and every refusal explained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import torch

from fengchao_local_qwen.engine.chat_prompt import ChatPrompts, Defaults
from fengchao_local_qwen.engine.config import EngineConfig
from fengchao_local_qwen.engine.face import Backend
from fengchao_local_qwen.engine.memory import available_bytes, cache_tokens_for, check_memory
from fengchao_local_qwen.weights import FolderError, Weights, read_weights

log = structlog.get_logger()

_VERSIONS = ((5, 17), (6, 0))
_CPU_SLOTS = 16
_GPU_SLOTS = 64
_CPU_STEP_TOKENS = 512
_GPU_STEP_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that chats, ready to be served."""

    backend: Backend
    prompts: ChatPrompts
    context_tokens: int
    facts: Mapping[str, object]


def check_versions() -> None:
    """Raises `FolderError` where the installed transformers is not one that this engine was made for."""
    import transformers

    found = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    low, high = _VERSIONS
    if not low <= found < high:
        raise FolderError(
            f"expected transformers from {low[0]}.{low[1]} to below {high[0]}.{high[1]}; "
            f"{transformers.__version__} is installed. Install the versions that fengchao-local-qwen[engine] names"
        )


def pick_device(wanted: str) -> torch.device:
    """
    The device that a setting names; `auto` takes a GPU where there is one.

    Raises:
        FolderError: it is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise FolderError(f"expected a device such as cpu, cuda:0 or mps; not {wanted!r}") from None
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise FolderError(f"device {wanted!r} is not there: torch sees {count} CUDA devices")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not _has_mps():
        raise FolderError("device 'mps' is not there: torch sees no Apple GPU")
    return device


def pick_dtype(wanted: str, device: torch.device) -> str:
    """The name of the dtype to compute in."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return "float16" if device.type == "mps" else "float32"


def settle_threads(wanted: int | None) -> int:
    """Give the processor's cores but one to torch: with all of them, a busy gateway and the engine stop each other."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    threads = wanted or max(1, cores - 1)
    torch.set_num_threads(threads)
    return threads


def load_chat(config: EngineConfig) -> Loaded:
    """
    Load the model that a configuration names.

    Raises:
        FolderError: the folder, the memory, the device or a library is not right.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_versions()
    threads = settle_threads(config.threads)
    device = pick_device(config.device)
    dtype = pick_dtype(config.dtype, device)
    weights = read_weights(config.folder)
    check_memory(weights, dtype, free_bytes(device), where=str(device))
    tokenizer = AutoTokenizer.from_pretrained(weights.folder, local_files_only=True)
    if not tokenizer.chat_template:
        raise FolderError(
            f"the tokenizer in {weights.folder} has no chat template; expected a model that was trained to chat "
            "(its name ends in -Chat or -Instruct)"
        )
    model = AutoModelForCausalLM.from_pretrained(
        weights.folder,
        dtype="auto" if weights.is_quantised else getattr(torch, dtype),
        attn_implementation=_attention(config.attention),
        local_files_only=True,
        **({"device_map": {"": device}} if weights.is_quantised else {}),
    ).eval()
    if not weights.is_quantised:
        model = model.to(device)
    defaults = _defaults(model, tokenizer, config)
    # The manager takes the sampling of ours alone; the model's own defaults would be warned of at each start.
    backend, context = _backend(config, model, weights, device, dtype)
    return Loaded(
        backend,
        ChatPrompts(tokenizer, defaults),
        context,
        {
            "device": str(device),
            "dtype": str(model.dtype).removeprefix("torch."),
            "threads": threads,
            "batching": backend.name,
            "slots": backend.slots,
            "cache_tokens": backend.cache_tokens,
            "context_tokens": min(context, backend.cache_tokens),
            "attention": model.config._attn_implementation,  # noqa: SLF001  # transformers has no public name for it
        },
    )


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()


def _backend(
    config: EngineConfig, model: Any, weights: Weights, device: torch.device, dtype: str
) -> tuple[Backend, int]:
    is_cpu = device.type == "cpu"
    slots = config.max_batch or (_CPU_SLOTS if is_cpu else _GPU_SLOTS)
    context = weights.context_tokens
    if config.max_input_tokens is not None:
        context = min(context, config.max_input_tokens + config.max_output_tokens)
    tokens = config.cache_tokens or cache_tokens_for(
        weights, dtype, free_bytes(device), slots=slots, context=context, is_cpu=is_cpu
    )
    if config.batching != "plain":
        try:
            return _continuous(config, model, slots=slots, tokens=tokens, is_cpu=is_cpu), context
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            if config.batching == "continuous":
                raise FolderError(
                    f"continuous batching does not work with this model here ({type(error).__name__}: {error}); "
                    "set batching to 'plain' or 'auto'"
                ) from error
            log.warning("local_qwen.batching_unavailable", error=f"{type(error).__name__}: {error}")
    from fengchao_local_qwen.engine.plain import PlainBackend

    return PlainBackend(model, cache_tokens=context), context


def _continuous(
    config: EngineConfig, model: Any, *, slots: int, tokens: int, is_cpu: bool
) -> Backend:
    from fengchao_local_qwen.engine.batching import ContinuousBackend

    return ContinuousBackend(
        model,
        slots=slots,
        cache_tokens=tokens,
        step_tokens=max(slots, _CPU_STEP_TOKENS if is_cpu else _GPU_STEP_TOKENS),
        share_prefixes=config.share_prefixes,
    )


def _attention(wanted: str) -> str | None:
    """The kernel to load with; the batching manager goes over to flash attention by itself where it is installed."""
    return "sdpa" if wanted == "auto" else wanted


def _defaults(model: Any, tokenizer: Any, config: EngineConfig) -> Defaults:
    own = model.generation_config
    ends = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    ids = {ends} if isinstance(ends, int) else set(ends or ())
    if tokenizer.eos_token_id is not None:
        ids.add(tokenizer.eos_token_id)
    return Defaults(
        temperature=_or(own.temperature, 1.0),
        top_p=_or(own.top_p, 1.0),
        top_k=int(_or(own.top_k, 0)),
        repetition_penalty=_or(own.repetition_penalty, 1.0),
        max_new_tokens=config.max_output_tokens,
        stop_ids=frozenset(ids),
    )


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _has_mps() -> bool:
    backend = getattr(torch.backends, "mps", None)
    return backend is not None and bool(backend.is_available())
