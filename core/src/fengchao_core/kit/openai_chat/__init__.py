"""
The chat-completions dialect: what goes out, what comes back, as tables that each vendor overrides where it differs.

    DIALECT = replace(CHAT_COMPLETIONS, roles={...}, adapt={"temperature": clamp(0, 1)})   # what differs

    def stream(self, request):                                                             # a whole provider
        return converse(self._http, "/chat/completions", request, DIALECT)

`encode` and `Decoder` are pure: no network, no loop, no clock.
"""

from fengchao_core.kit.openai_chat.converse import AnswerDecoder, converse, talk
from fengchao_core.kit.openai_chat.decode import Decoder
from fengchao_core.kit.openai_chat.dialect import (
    CHAT_COMPLETIONS,
    EXTENDED_KNOBS,
    OPENAI_KNOBS,
    PARTS,
    Adapt,
    Dialect,
    Notes,
    at_most,
    clamp,
)
from fengchao_core.kit.openai_chat.encode import Encoded, build, dump, encode
from fengchao_core.kit.openai_chat.think import ThinkSplitter
from fengchao_core.kit.openai_chat.usage import read_usage

__all__ = [
    "CHAT_COMPLETIONS",
    "EXTENDED_KNOBS",
    "OPENAI_KNOBS",
    "PARTS",
    "Adapt",
    "AnswerDecoder",
    "Decoder",
    "Dialect",
    "Encoded",
    "Notes",
    "ThinkSplitter",
    "at_most",
    "build",
    "clamp",
    "converse",
    "dump",
    "encode",
    "read_usage",
    "talk",
]
