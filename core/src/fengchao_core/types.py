"""
The values that flow through the pipeline: what a caller asks, what a provider receives, what comes back.

All are frozen and slotted; none is validated here. Outside data is checked once, at the edge (the server, the SDK,
the settings), and plain values travel from there. Vendor shapes never appear: a provider's `wire.py` translates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

EMPTY: Mapping[str, object] = MappingProxyType({})
"""The shared empty mapping: the default of every `extra`."""


def _empty() -> Mapping[str, object]:
    return EMPTY


Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Currency = Literal["CNY", "USD"]
UsageSource = Literal["vendor", "tokenizer", "estimate", "none"]


# Messages.


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text in a message of several parts."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """
    A picture in a message.

    Attributes:
        url: an http(s) URL, or a `data:image/…;base64,…` URL.
        detail: how closely to look: `auto`, `low`, `high` or `original`, where the vendor knows such a knob.
    """

    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A film in a message: an http(s) or `data:` URL."""

    url: str


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A sound in a message: base64 data and its format (`wav`, `mp3`)."""

    data: str
    format: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file in a message: by the vendor's `file_id`, or inline as a `data:` URL with its name."""

    file_id: str | None = None
    filename: str | None = None
    data: str | None = None


ContentPart = TextPart | ImagePart | VideoPart | AudioPart | FilePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """
    A call the model wants made.

    Attributes:
        arguments: JSON **text** as the model wrote it; it may not be valid JSON.
    """

    id: str
    name: str
    arguments: str
    type: str = "function"


@dataclass(frozen=True, slots=True)
class Message:
    """
    One turn of a conversation.

    Attributes:
        content: text, parts, or None (an assistant turn that only calls tools).
        reasoning: the model's thinking text, where it showed it.
        tool_calls: of an assistant turn.
        tool_call_id: of a tool turn: which call this answers.
        extra: vendor-only fields of this message, passed on untouched.
    """

    role: Role
    content: str | tuple[ContentPart, ...] | None = None
    name: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    extra: Mapping[str, object] = field(default_factory=_empty)

    @property
    def text(self) -> str:
        """The text of the message alone, its text parts joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(p.text for p in self.content or () if isinstance(p, TextPart))


# What is asked.


@dataclass(frozen=True, slots=True)
class Tool:
    """
    A tool the model may use.

    A function has `name`, `description`, `parameters` (a JSON schema) and `strict`. Any other `type` (a vendor's
    built-in search or retrieval, a custom tool) keeps its own body in `body` and is passed on untouched.
    """

    type: str = "function"
    name: str = ""
    description: str | None = None
    parameters: Mapping[str, object] | None = None
    strict: bool | None = None
    body: Mapping[str, object] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the answer must look like: free text, any JSON object, or JSON after a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: Mapping[str, object] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParams:
    """
    How to generate. None means «not given»: the vendor's own default holds.

    Attributes:
        max_tokens: longest answer, in tokens, reasoning included where the vendor counts it so.
        stop: texts that end the answer.
        n: how many choices.
        do_sample: False asks for greedy decoding where the vendor can.
        tool_choice: `none`, `auto`, `required`, or the chat-completions object that names a tool.
        extra: vendor-only parameters, passed on untouched at the top level of the vendor's body.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    seed: int | None = None
    do_sample: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | Mapping[str, object] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=_empty)


DEFAULT_PARAMS = ChatParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """
    What a caller asks of the gateway.

    Either `query` (with `attachments`, `history`, `prompt` and `system`, the product's way) or `messages` (a whole conversation, the
    chat-completions way) says what to ask; giving both is an `InvalidParameter`.

    Attributes:
        model: the model's name or alias, as `Gateway.models()` lists it.
        attachments: pictures, films and files that the query is about; sent before its text.
        prompt: the id of a preset, or a custom text that holds `{{query}}`.
        prefix: text before the query; `{{system}}` in it takes the system text.
        prompt_fill: values of further `{{name}}` placeholders of a custom prompt.
        request_id: the caller's id of the conversation; made if absent.
        is_sensitive: screen the words of prompt and answer.
        sensitive_replace: replace hits by `*` instead of refusing.
        knowledge: the name of a knowledge base to take passages from.
        knowledge_top_k: how many passages at most.
        knowledge_threshold: largest distance of a passage, 0 to about 1100; 0 means no threshold.
        channel: which channel the caller came by; None takes either.
    """

    model: str
    query: str | None = None
    attachments: tuple[ContentPart, ...] = ()
    messages: tuple[Message, ...] = ()
    system: str | None = None
    prompt: str | None = None
    prefix: str | None = None
    prompt_fill: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Message, ...] = ()
    request_id: str | None = None
    is_sensitive: bool = True
    sensitive_replace: bool = False
    knowledge: str | None = None
    knowledge_top_k: int = 5
    knowledge_threshold: float = 500
    channel: Literal["online", "local"] | None = None
    params: ChatParams = DEFAULT_PARAMS

    @property
    def length(self) -> int:
        """Characters of text in all that the caller says."""
        return (
            len(self.query or "")
            + len(self.system or "")
            + len(self.prompt or "")
            + sum(len(value) for value in self.prompt_fill.values())
            + sum(
                len(m.content) if isinstance(m.content, str) else len(m.text) for m in self.history
            )
            + sum(
                len(m.content) if isinstance(m.content, str) else len(m.text) for m in self.messages
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """
    What a provider receives: sealed, rendered, checked.

    Attributes:
        model: the **vendor's** name of the model.
        messages: the whole conversation, system text first.
        stream: whether the caller wants deltas as they come; False lets the provider fetch the answer in one piece.
        request_id: unique for this call, to be passed to vendors that take one.
        card: the model's card: its limits and capabilities.
    """

    model: str
    messages: tuple[Message, ...]
    params: ChatParams = DEFAULT_PARAMS
    stream: bool = False
    request_id: str = ""
    card: ModelCard | None = None


# What comes back.


@dataclass(frozen=True, slots=True)
class Usage:
    """
    Tokens used.

    Attributes:
        prompt_tokens: all input tokens, cached ones included.
        completion_tokens: all output tokens, reasoning ones included.
        cached_tokens: input tokens the vendor took from its cache.
        reasoning_tokens: output tokens spent thinking.
        source: who counted: the vendor, a tokenizer of ours, an estimate, or nobody.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = "vendor"

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


NO_USAGE = Usage(source="none")


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
    """

    request_id: str
    model: str
    provider: str
    choices: tuple[Choice, ...]
    usage: Usage
    created: float
    cost: Money | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=_empty)

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].message.text if self.choices else ""


# Models and money.


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency. Amounts of two currencies never add up."""

    amount: Decimal
    currency: Currency


@dataclass(frozen=True, slots=True)
class PriceTier:
    """A price that holds from `above_tokens` input tokens on."""

    above_tokens: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    What a model costs, per 1,000 tokens.

    Attributes:
        since: the first day on which it holds (UTC).
        source: where the figure was read, for people.
        confirmed: False where nobody could confirm the figure; reports flag what it priced.
        tiers: dearer (or cheaper) steps for long inputs, ascending by `above_tokens`.
        per_image: of a model that draws.
    """

    input: Decimal
    output: Decimal
    currency: Currency
    since: date
    source: str
    cached_input: Decimal | None = None
    confirmed: bool = True
    tiers: tuple[PriceTier, ...] = ()
    per_image: Decimal | None = None


Kind = Literal["chat", "embedding", "image"]
Capability = Literal[
    "vision", "video", "audio", "tools", "json", "json_schema", "reasoning", "files", "search"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """
    What is known of a model.

    Attributes:
        id: its name for callers.
        upstream_id: its name at the vendor; the same as `id` where not given.
        owned_by: who made it, as shown to users.
        max_input_tokens: longest prompt; None where unknown.
        max_output_tokens: longest answer; None where unknown.
        prices: dated prices, newest last; empty where nobody knows one.
        is_local: runs in our own house (the product's channel 本地模型).
        aliases: further names that mean this model.
        created: the day the card was written.
    """

    id: str
    owned_by: str
    kind: Kind = "chat"
    upstream_id: str = ""
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    prices: tuple[Price, ...] = ()
    capabilities: frozenset[Capability] = frozenset()
    is_local: bool = False
    aliases: tuple[str, ...] = ()
    created: date | None = None

    def price_on(self, day: date) -> Price | None:
        """The price that holds on a day, or None."""
        best: Price | None = None
        for price in self.prices:
            if price.since <= day and (best is None or price.since >= best.since):
                best = price
        return best


# Embeddings and pictures.


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """
    Texts to turn into vectors.

    Attributes:
        model: the vendor's name of the model.
        inputs: the texts, in order.
        dimensions: length of the vectors, where the model lets one choose.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResult:
    """
    Vectors in the order of the inputs.

    Attributes:
        vectors: [inputs][dimensions] floats.
    """

    vectors: tuple[Sequence[float], ...]
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """A picture to draw. `size` is `WIDTHxHEIGHT` in pixels."""

    model: str
    prompt: str
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    negative_prompt: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    user: str | None = None
    extra: Mapping[str, object] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class Image:
    """A drawn picture: a URL that lives for a while, or base64 data."""

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResult:
    """The pictures, and what they used."""

    images: tuple[Image, ...]
    usage: Usage = NO_USAGE
    created: float = 0.0
