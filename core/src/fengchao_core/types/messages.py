"""The turns of a conversation, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from fengchao_core.types.shared import Role, dataclass, empty


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
    extra: Mapping[str, object] = field(default_factory=empty)

    @property
    def text(self) -> str:
        """The text of the message alone, its text parts joined."""
        if isinstance(self.content, str):
            return self.content
        return "".join(p.text for p in self.content or () if isinstance(p, TextPart))
