"""What an engine is told when it starts, as one JSON object on its standard input."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class EngineConfig(BaseModel):
    """
    One engine: one model on one device.

    Attributes:
        model: the name it answers to.
        folder: the weights; empty for a stand-in.
        kind: whether it chats or makes vectors.
        stand_in: make a tiny model of random weights instead of loading one.
        token: what a client must show.
        port: on loopback; 0 takes a free one.
        The others are those of the plugin's settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    folder: str = ""
    kind: Literal["chat", "embedding"] = "chat"
    stand_in: bool = False
    token: SecretStr = SecretStr("")
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    batching: Literal["auto", "continuous", "plain"] = "auto"
    threads: int | None = None
    max_batch: int | None = None
    max_queue: int = 64
    max_wait_s: float = 60.0
    cache_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int = 2000
    share_prefixes: bool = True
