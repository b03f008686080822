"""
A tiny Qwen of random weights, made on the spot: for trying things out and for tests. It speaks nonsense, quickly.

Its tokenizer is trained on the text below, so that nothing needs to be downloaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

_TEXT = """
你好，世界。今天天气很好，我们去公园散步吧。北京是中国的首都，有故宫、长城和颐和园。
春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。学而时习之，不亦说乎？有朋自远方来，不亦乐乎？
请把下面的句子翻译成英文：他昨天买了三本书和两支笔。好的，我来帮你查一下，请稍等。
The quick brown fox jumps over the lazy dog. A gateway in front of many models, with one key and one bill.
Numbers: 0 1 2 3 4 5 6 7 8 9 10 100 1000 3.14. {"name": "weather", "arguments": {"city": "上海", "days": 3}}
def add(first, second):\n    return first + second\n
"""

_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_PLAIN = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)

_TEMPLATE = """\
{%- if tools %}{{- '<|im_start|>system\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
{{- '# Tools\n<tools>' }}{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}{{- '\n</tools><|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'system' and tools and loop.first %}
{%- elif message.role == 'tool' %}{{- '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}
{%- else %}{{- '<|im_start|>' + message.role + '\n' + message.content }}
{%- for call in message.tool_calls or [] %}{{- '\n<tool_call>\n' }}{{- call.function | tojson }}{{- '\n</tool_call>' }}{%- endfor %}
{{- '<|im_end|>\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}THINKING{%- endif %}"""

_THINKING = (
    r"{%- if enable_thinking is defined and enable_thinking is false %}"
    r"{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
)

Family = Literal["qwen2", "qwen3"]


def make_stand_in(
    folder: Path,
    *,
    family: Family = "qwen2",
    hidden: int = 64,
    layers: int = 2,
    vocabulary: int = 600,
    seed: int = 0,
    **config: Any,
) -> Path:
    """
    Write a whole folder of weights: configuration, tokenizer, chat template, weights.

    Args:
        folder: made where it is missing.
        family: which architecture; qwen3 also thinks.
        hidden: size of the model; four heads of which two keep keys and values.
        layers: depth of the model.
        vocabulary: entries of the model's vocabulary, of which the tokenizer uses as many as it has learnt.
        seed: of the weights.
        config: further fields of the configuration.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(thinks=family == "qwen3")
    shape: dict[str, Any] = {
        "vocab_size": max(vocabulary, len(tokenizer)),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": hidden // 4,
        "max_position_embeddings": 2048,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "initializer_range": 0.2,  # wider than usual, so that its likeliest tokens are far apart
        **config,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "qwen3":
            model = Qwen3ForCausalLM(Qwen3Config(**shape))
        else:
            del shape["head_dim"]
            model = Qwen2ForCausalLM(Qwen2Config(**shape))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(*, thinks: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=560,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([_TEXT], trainer)
    raw.add_tokens(list(_PLAIN))
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=_SPECIAL[2],
        pad_token=_SPECIAL[0],
        chat_template=_TEMPLATE.replace("THINKING", _THINKING if thinks else ""),
    )
