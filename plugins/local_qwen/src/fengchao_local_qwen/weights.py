"""
A folder of weights, judged by its files alone: is it a Qwen, is it whole, how much memory will it take.

Nothing here imports torch, so that the gateway can refuse a wrong folder at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

CHAT_TYPES = frozenset({"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"})
"""`model_type` of the families that are served; Qwen1.5 and Qwen2.5 are `qwen2`."""

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


class FolderError(Exception):
    """The folder is not what is needed; says what was expected, what was found, what to do."""


@dataclass(frozen=True, slots=True)
class Weights:
    """
    What a folder holds.

    Attributes:
        kind: the `model_type` of its configuration.
        size_bytes: of the weight files.
        stored_bytes: of one number as it is stored.
        context_tokens: prompt and answer at most, by the model's own word.
        kv_numbers: numbers that the cache keeps for one token.
        is_quantised: whether the files hold fewer bits than the numbers computed with.
    """

    folder: Path
    kind: str
    size_bytes: int
    stored_bytes: int
    context_tokens: int
    kv_numbers: int
    is_quantised: bool

    def needed_bytes(self, dtype: str) -> int:
        """Memory for the weights alone, once they are loaded as `dtype`."""
        if self.is_quantised:
            return self.size_bytes
        return self.size_bytes * _BYTES.get(dtype, self.stored_bytes) // self.stored_bytes

    def cache_bytes(self, tokens: int, dtype: str) -> int:
        """Memory for the cache of so many tokens."""
        return tokens * self.kv_numbers * _BYTES.get(dtype, 2)


def read_weights(folder: Path | str, *, kind: str = "chat") -> Weights:
    """
    Look at a folder.

    Args:
        kind: `chat` insists on a Qwen model and a chat tokenizer; `embedding` takes any encoder.

    Raises:
        FolderError: with the reason.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FolderError(
            f"expected a folder of weights at {folder}; there is none. Download the model first, with the hub's own tool"
        )
    config = _read_json(folder / "config.json", "the model's configuration")
    inner = config.get("text_config")
    text: dict[str, Any] = inner if isinstance(inner, dict) else config
    model_type = str(text.get("model_type") or "")
    if kind == "chat" and model_type not in CHAT_TYPES:
        raise FolderError(
            f"expected a Qwen model (model_type {', '.join(sorted(CHAT_TYPES))}) in {folder}; "
            f"config.json says {model_type or 'nothing'!r}. Other models: serve them with vLLM or transformers serve, "
            'and reach them with kind = "openai"'
        )
    if kind == "chat" and not any((folder / f).is_file() for f in ("tokenizer.json", "vocab.json")):
        raise FolderError(
            f"expected tokenizer.json (or vocab.json and merges.txt) in {folder}; the download is not whole"
        )
    return Weights(
        folder,
        model_type,
        _weight_bytes(folder),
        _BYTES.get(str(text.get("dtype") or text.get("torch_dtype") or "bfloat16"), 2),
        int(text.get("max_position_embeddings") or 2048),
        _kv_numbers(text),
        "quantization_config" in config,
    )


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        read = orjson.loads(path.read_bytes())
    except OSError:
        raise FolderError(
            f"expected {what} at {path}; there is none. The folder must be the one that holds config.json itself"
        ) from None
    except orjson.JSONDecodeError:
        raise FolderError(f"{path} is not JSON; the download is not whole") from None
    if not isinstance(read, dict):
        raise FolderError(f"{path} is no JSON object; expected {what}")
    return read


def _weight_bytes(folder: Path) -> int:
    """The size of the weight files. Raises `FolderError` where one is missing."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        mapped = _read_json(index, "the index of the weight files").get("weight_map")
        names = sorted(set(mapped.values())) if isinstance(mapped, dict) else []
        missing = [name for name in names if not (folder / str(name)).is_file()]
        if missing:
            raise FolderError(
                f"{len(missing)} of {len(names)} weight files are missing in {folder} ({missing[0]} and so on); "
                "download them again"
            )
        return sum((folder / str(name)).stat().st_size for name in names)
    files = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    if not files:
        raise FolderError(
            f"expected weights (*.safetensors) in {folder}; there are none. The download is not whole"
        )
    for file in files:
        if file.stat().st_size < 1024 and file.read_bytes().startswith(b"version https://git-lfs"):
            raise FolderError(
                f"{file.name} in {folder} is only a pointer of Git LFS; run git lfs pull there"
            )
    return sum(file.stat().st_size for file in files)


def _kv_numbers(config: dict[str, Any]) -> int:
    """Keys and values of all layers for one token."""
    heads = int(config.get("num_attention_heads") or 1)
    size = int(config.get("head_dim") or 0) or int(config.get("hidden_size") or 0) // heads
    return (
        2
        * int(config.get("num_hidden_layers") or 1)
        * int(config.get("num_key_value_heads") or heads)
        * size
    )
