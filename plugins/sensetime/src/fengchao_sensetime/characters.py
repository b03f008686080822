"""
The models that play roles: messages have names instead of roles, and characters are described. Pure.

A caller describes the characters by `extra`: `character_settings` and `role_setting`, as the vendor has them. Without
them, an ordinary conversation becomes one between a user and an assistant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fengchao_core.errors import InvalidParameter
from fengchao_core.kit.openai_chat import PARTS, Encoded, Notes, build, dump
from fengchao_core.types import ChatRequest, TextPart
from fengchao_sensetime.wire import NATIVE

PATH = "/character/chat-completions"

_USER, _BOT = "用户", "助手"
_GENDER = "未知"


def encode(request: ChatRequest) -> Encoded:
    """
    A chat with a character.

    Raises:
        InvalidParameter: it asks for what the vendor lacks here, or its roles are not described as the vendor has them.
    """
    body, notes = build(request, _DIALECT)
    return Encoded(dump(body), tuple(notes))


def _amend(body: dict[str, Any], request: ChatRequest, notes: Notes) -> None:
    user, bot = _names(body)
    system: list[str] = []
    messages: list[dict[str, str]] = []
    for message in request.messages:
        if message.role in ("system", "developer"):
            system.append(message.text)
        else:
            name = message.name or (bot if message.role == "assistant" else user)
            messages.append({"name": name, "content": message.text})
    if not messages:
        raise InvalidParameter(
            "this provider expects a message of the user or the assistant", param="messages"
        )
    body["messages"] = messages
    if "character_settings" not in body:
        body["character_settings"] = [
            {"name": name, "gender": _GENDER} for name in dict.fromkeys((user, bot))
        ]
        notes.append(
            "the conversation was sent as one between two characters that are not described; "
            "describe them by 'character_settings' and 'role_setting'"
        )
    if system:
        body["character_settings"] = _told(body["character_settings"], bot, "\n".join(system))
        notes.append("the system text was sent as 'other_setting' of the character that answers")


def _names(body: dict[str, Any]) -> tuple[str, str]:
    """Who asks and who answers."""
    setting = body.setdefault("role_setting", {"user_name": _USER, "primary_bot_name": _BOT})
    names = (
        (setting.get("user_name"), setting.get("primary_bot_name"))
        if isinstance(setting, Mapping)
        else (None, None)
    )
    user, bot = names
    if not isinstance(user, str) or not isinstance(bot, str):
        raise InvalidParameter(
            "expected 'role_setting' with the texts 'user_name' and 'primary_bot_name'",
            param="role_setting",
        )
    return user, bot


def _told(settings: object, bot: str, system: str) -> list[object]:
    """The characters, with a system text added to what is set about one of them."""
    if not isinstance(settings, list | tuple) or not all(isinstance(s, Mapping) for s in settings):
        raise InvalidParameter(
            "expected 'character_settings' as a list of objects", param="character_settings"
        )
    told: list[object] = []
    for setting in settings:
        if setting.get("name") == bot:
            before = setting.get("other_setting")
            text = f"{before}\n{system}" if before else system
            told.append({**setting, "other_setting": text})
        else:
            told.append(setting)
    return told


_DIALECT = replace(
    NATIVE,
    knobs={"max_tokens": "max_new_tokens", "n": "n"},
    roles={role: role for role in ("system", "developer", "user", "assistant")},
    parts={TextPart: PARTS[TextPart]},
    amend=_amend,
)
