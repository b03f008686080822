"""
The face of an engine, and the values that cross it.

An engine takes prompts as token ids and gives tokens back as they are chosen. Text, templates and HTTP are above it,
tensors below.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class EngineBusyError(Exception):
    """No place now, and none expected soon. `retry_after_s` says when to come back."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PromptTooLongError(Exception):
    """The prompt leaves no room for an answer."""

    def __init__(self, prompt_tokens: int, limit: int) -> None:
        super().__init__(
            f"the prompt has {prompt_tokens} tokens; this model takes {limit} at most, and one of them for the answer"
        )


class EngineFailedError(Exception):
    """The engine broke while it worked; the request may be tried again."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """
    How the tokens of one choice are drawn. The order is: penalties and bias, temperature, top_k, top_p.

    Attributes:
        temperature: 0 takes the likeliest token always.
        top_k: only the k likeliest; 0 for all.
        top_p: only the smallest set of likeliest tokens whose probabilities reach this sum.
        repetition_penalty: on every token of prompt and answer, as transformers has it.
        presence_penalty: once on every token of the answer, as OpenAI has it; `frequency_penalty` as often as it came.
        bias: added to the logits of tokens.
        seed: the same seed gives the same draws; None draws anew.
        logprobs: how many alternatives to tell for each token; None tells nothing.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    logprobs: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature <= 0 or self.top_k == 1

    @property
    def changes_logits(self) -> bool:
        """Whether penalties or a bias apply."""
        return (
            self.repetition_penalty != 1.0
            or self.presence_penalty != 0.0
            or self.frequency_penalty != 0.0
            or bool(self.bias)
        )


class Guard(Protocol):
    """What an answer may look like; asked by the sampler before a token is taken."""

    def allows(self, token: int) -> bool:
        """Whether the token may come next. May be asked for many tokens before one is taken."""
        ...

    def take(self, token: int) -> None:
        """The token was taken."""
        ...

    def forced(self, left: int) -> int | None:
        """The token that must come next with this many still to come, where only one makes sense."""
        ...

    def likely(self) -> Sequence[int]:
        """Tokens of which at least one is allowed, for when the model wants none that is."""
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """
    One choice to generate.

    Attributes:
        ids: the prompt's tokens.
        max_new_tokens: the longest answer; shortened to what fits.
        stop_ids: tokens that end the answer.
        guard: restricts the answer.
    """

    ids: Sequence[int]
    max_new_tokens: int
    sampling: Sampling = Sampling()
    stop_ids: frozenset[int] = frozenset()
    guard: Guard | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """
    One token of an answer.

    Attributes:
        is_last: the answer ends with it: it is one of the stop tokens, or the last there is room for.
        logprob: natural logarithm of its probability by the model, before sampling changed it; None unless asked for.
        top: the likeliest alternatives, each with its logarithm.
    """

    id: int
    is_last: bool = False
    logprob: float | None = None
    top: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """
    How an engine fares.

    Attributes:
        running: choices being generated; `queued` wait for a place.
        cache_used: tokens reserved of the `cache_tokens` there are.
        tokens: tokens generated since it started; `steps` of the model likewise.
        tokens_per_s: over the last seconds.
        first_tokens: answers begun since it started, and `first_tokens_s` the seconds they waited, together.
    """

    running: int = 0
    queued: int = 0
    cache_used: int = 0
    cache_tokens: int = 0
    tokens: int = 0
    steps: int = 0
    tokens_per_s: float = 0.0
    first_tokens: int = 0
    first_tokens_s: float = 0.0


class Engine(Protocol):
    """Serves one model to any number of concurrent callers of one event loop."""

    def submit(self, prompt: Prompt) -> AsyncGenerator[Token, None]:
        """
        Generate. Closing the generator, or cancelling its task, frees the place at the model's next step.

        Raises:
            EngineBusyError, PromptTooLongError: before the first token.
            EngineFailedError: at any time.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """Free a place by its request's id; unknown ids are ignored."""
        ...

    def stats(self) -> Stats:
        """How it fares now."""
        ...

    async def drain(self) -> None:
        """Take nothing more, and wait until all that runs has ended."""
        ...


Chosen = Sequence[tuple[str, Token]]
"""One step of the model: request ids, each with the token chosen for it."""


class Backend(Protocol):
    """
    What computes: a thread of its own around the model.

    Attributes:
        name: `continuous` or `plain`.
        slots: choices computed together at most.
        cache_tokens: tokens of all of them together at most.
    """

    name: str
    slots: int
    cache_tokens: int

    def start(
        self, chosen: Callable[[Chosen], None], failed: Callable[[BaseException], None]
    ) -> None:
        """Begin. Both callables are called from the backend's thread; `failed` at most once, and it is the end."""
        ...

    def add(self, request_id: str, prompt: Prompt) -> None:
        """Begin a choice; the caller has seen to it that there is room."""
        ...

    def cancel(self, request_id: str) -> None:
        """Give its room back; nothing more is told of it."""
        ...

    def stop(self) -> None:
        """End the thread."""
        ...
