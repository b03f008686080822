"""The settings of `[providers.local_qwen]`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from fengchao_core.provider import ProviderSettings


class LocalQwenSettings(ProviderSettings):
    """
    Which weights are served, where they run and how much they may take.

    Attributes:
        models: from a model's name to the folder of its weights. With `base_url`: the names alone are enough.
        embeddings: from the name of an encoder model to its folder, for vectors.
        base_url: an engine that runs already (`python -m fengchao_local_qwen.engine`), instead of starting one.
        api_key: the engine's key, where `base_url` is given.
        stand_in: serve a tiny model of random weights, made on the spot, under each name of `models`; for trying out.
        emulated: what is at `base_url` is a sandbox; the models' cards say so.
        devices: where the engines run, one each: `auto` (a GPU if there is one), `cpu`, `cuda:0`, `mps`.
        dtype: what the weights are computed in. `auto`: bfloat16 on a GPU that has it, float32 on a processor.
        attention: the attention kernel; `auto` takes the best there is.
        batching: `continuous` serves requests together, `plain` one by one; `auto` is continuous where it works.
        threads: of the processor; all but one where not given.
        preload: load when the gateway opens, rather than when a model is first asked.
        max_batch: requests that are computed together at most; 16 on a processor and 64 on a GPU where not given.
        max_queue: requests that may wait for a place; more are refused with 429.
        max_wait_s: how long a request waits for a place before it is refused with 429.
        cache_tokens: tokens, prompt and answer, that all requests under way may have together; by memory where not given.
        max_input_tokens: the longest prompt; the model's own context where not given.
        max_output_tokens: the longest answer where the caller names none.
        share_prefixes: compute a beginning that several prompts share once.
        start_timeout_s: how long loading may take.
    """

    models: dict[str, str] | tuple[str, ...] | None = None
    embeddings: dict[str, str] = Field(default_factory=dict)
    api_key: SecretStr = SecretStr("")
    stand_in: bool = False
    emulated: bool = False
    devices: tuple[str, ...] = Field(default=("auto",), min_length=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2", "flash_attention_3"] = "auto"
    batching: Literal["auto", "continuous", "plain"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    preload: bool = False
    max_batch: int | None = Field(default=None, ge=1, le=1024)
    max_queue: int = Field(default=64, ge=0)
    max_wait_s: float = Field(default=60.0, gt=0)
    cache_tokens: int | None = Field(default=None, ge=64)
    max_input_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int = Field(default=2000, ge=1)
    share_prefixes: bool = True
    start_timeout_s: float = Field(default=900.0, gt=0)

    @model_validator(mode="after")
    def _folders(self) -> Self:
        needs_folders = not self.base_url and not self.stand_in
        if needs_folders and self.models is not None and not isinstance(self.models, dict):
            raise ValueError(
                'models must be a table from a model\'s name to its folder of weights, as in { "Qwen1.5-0.5B-Chat" = '
                '"/srv/models/Qwen1.5-0.5B-Chat" }; names alone are for an engine elsewhere (base_url)'
            )
        if len(set(self.devices)) != len(self.devices):
            raise ValueError("devices names a device twice; give each engine one of its own")
        both = set(self.names) & set(self.embeddings)
        if both:
            raise ValueError(f"{', '.join(sorted(both))} stands in models and in embeddings")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The models to chat with."""
        return tuple(self.models or ())

    def folder(self, model: str) -> str | None:
        """The folder of a model of either kind; None where it is not served from one."""
        if isinstance(self.models, dict) and model in self.models:
            return self.models[model]
        return self.embeddings.get(model)
