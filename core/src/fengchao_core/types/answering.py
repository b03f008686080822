"""What comes back: deltas, the whole they fold into, and what was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from fengchao_core.types.messages import Message
from fengchao_core.types.models import Money
from fengchao_core.types.shared import FinishReason, dataclass, empty
from fengchao_core.types.using import Usage

if TYPE_CHECKING:
    from fengchao_core.types.gathering import Gathered


@dataclass(frozen=True, slots=True)
class ToolCallFragment:
    """
    A piece of a streamed tool call; pieces with the same `index` of the same choice join into one `ToolCall`.

    The first piece of a call carries `id` and `name`; later ones only append to `arguments`.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    type: str = "function"


@dataclass(slots=True)
class Delta:
    """
    One step of an answer.

    It belongs to whoever holds it: a provider gives it away by yielding it, and the pipeline may change it on its way.
    It is not frozen because a stream makes one per token, and a frozen dataclass costs six times as much to make.

    Every field may be empty. Exactly one delta of each choice carries its `finish_reason`, and it is the choice's last
    but for a trailing delta that carries only `usage`.

    Attributes:
        text: answer text to append.
        reasoning: thinking text to append.
        usage: the whole usage so far (not an increment); normally once, at the end.
        index: which choice.
        logprobs: log-probabilities in the chat-completions shape, of this step's tokens.
        extra: vendor-only facts (search results, annotations) to merge into the completion's `extra`.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallFragment, ...] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0
    refusal: str = ""
    logprobs: Sequence[object] | None = None
    extra: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of possibly several."""

    message: Message
    finish_reason: FinishReason
    index: int = 0
    logprobs: Sequence[object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """
    A whole answer: the fold of its deltas.

    Attributes:
        request_id: the caller's, or the one the gateway made.
        model: the model's name as the caller asked for it.
        provider: who answered.
        cost: what it costs by the card's price; None where the model has no price.
        notes: what the gateway adapted on the way, one English sentence each.
        extra: vendor-only facts.
        gathered: the pages and partial answers it rests on; None where none were asked for.
        is_json: where JSON was asked for, whether the text is (and fits its schema); None where it was not.
    """

    request_id: str
    model: str
    provider: str
    choices: tuple[Choice, ...]
    usage: Usage
    created: float
    cost: Money | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=empty)
    gathered: Gathered | None = None
    is_json: bool | None = None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].message.text if self.choices else ""
