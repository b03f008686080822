"""Conversations that the vendor remembers: sessions, and turns in them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import AliasChoices, AliasPath, BaseModel, Field

from fengchao_core.kit.errors import Classify
from fengchao_core.kit.openai_chat import Encoded, build, dump
from fengchao_core.kit.replies import read_reply
from fengchao_core.types import ChatRequest, Message
from fengchao_sensetime.wire import NATIVE

SESSIONS_PATH = "/chat/sessions"
CONVERSATIONS_PATH = "/chat-conversations"


class _Session(BaseModel):
    session_id: str = Field(
        min_length=1,
        validation_alias=AliasChoices("session_id", AliasPath("data", "session_id")),
    )


def encode_session(system_prompt: Sequence[Message] = ()) -> bytes:
    """A call for a new session; the messages open it."""
    opening = [{"role": message.role, "content": message.text} for message in system_prompt]
    return dump({"system_prompt": opening})


def decode_session(body: bytes, classify: Classify) -> str:
    """The id of a new session. Raises `ProviderError`."""
    return read_reply(_Session, body, classify).session_id


def encode_turn(session_id: str, request: ChatRequest, *, action: str = "next") -> Encoded:
    """
    A turn in a session.

    Args:
        session_id: of the session.
        request: its one message is what is said; its parameters are those of a chat.
        action: what to do; the vendor documents `next`.

    Raises:
        InvalidParameter: as for a chat.
    """
    body, notes = build(request, NATIVE)
    (message,) = body.pop("messages")
    body |= {"session_id": session_id, "action": action, "content": message["content"]}
    return Encoded(dump(body), tuple(notes))
