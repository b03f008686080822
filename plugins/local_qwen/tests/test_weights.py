"""A folder of weights is judged by its files: whole, a Qwen, and small enough."""

from __future__ import annotations

import json

import pytest

from fengchao_local_qwen.engine.memory import available_bytes, cache_tokens_for, check_memory
from fengchao_local_qwen.weights import FolderError, read_weights

QWEN = {
    "model_type": "qwen2",
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "hidden_size": 1024,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def folder(tmp_path):
    """A folder that looks whole."""
    (tmp_path / "config.json").write_text(json.dumps(QWEN), "utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    (tmp_path / "model.safetensors").write_bytes(bytes(4096))
    return tmp_path


def test_a_whole_folder_is_read(folder):
    """Size, context and cache are known without loading anything."""
    weights = read_weights(folder)
    assert 2 * 24 * 16 * 64 == weights.kv_numbers
    assert 32768 == weights.context_tokens
    assert (8192, 4096) == (weights.needed_bytes("float32"), weights.needed_bytes("bfloat16"))
    assert 10 * weights.kv_numbers * 2 == weights.cache_bytes(10, "float16")


def break_folder(folder, how):
    """Spoil a folder in one way."""
    if how == "gone":
        return folder / "nowhere"
    if how == "no config":
        (folder / "config.json").unlink()
    elif how == "broken config":
        (folder / "config.json").write_text("{", "utf-8")
    elif how == "llama":
        (folder / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "no weights":
        (folder / "model.safetensors").unlink()
    elif how == "pointer":
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        (folder / "model.safetensors").write_bytes(pointer)
    elif how == "a missing part":
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
        (folder / "model-1.safetensors").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "Download the model first"),
        ("no config", "config.json"),
        ("broken config", "not JSON"),
        ("llama", "'llama'"),
        ("no tokenizer", "tokenizer.json"),
        ("no weights", "there are none"),
        ("pointer", "git lfs pull"),
        ("a missing part", "1 of 2 weight files are missing"),
    ],
)
def test_a_wrong_folder_is_refused_with_the_reason(folder, how, said):
    """What was expected, what was found and what to do."""
    with pytest.raises(FolderError, match=said):
        read_weights(break_folder(folder, how))


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(folder):
    """The memory that is needed and the memory that is free are both told."""
    weights = read_weights(folder)
    check_memory(weights, "float32", None, where="cpu")
    check_memory(weights, "float32", 1024**3, where="cpu")
    with pytest.raises(FolderError, match=r"0\.3 GiB as float32, and cpu has 0\.0 GiB"):
        check_memory(weights, "float32", 1024, where="cpu")


def test_the_cache_takes_half_of_what_is_left(folder):
    """The cache is bounded by the memory, by what all slots can use, and on a processor by 4 GiB."""
    weights = read_weights(folder)
    per_token = weights.cache_bytes(1, "float32")
    options = {"slots": 2, "context": 1000}
    assert 2000 == cache_tokens_for(weights, "float32", 1024**4, is_cpu=True, **options)
    assert 500 == cache_tokens_for(weights, "float32", 1000 * per_token, is_cpu=True, **options)
    assert 64 == cache_tokens_for(weights, "float32", 0, is_cpu=True, **options)
    assert 4 * 1024**3 // per_token == cache_tokens_for(
        weights, "float32", 1024**4, is_cpu=True, slots=100, context=32768
    )


def test_the_machines_memory_is_known():
    """On Linux the free memory is known, and more than nothing."""
    assert (available_bytes() or 1) > 0
