"""
Moonshot's web search: a function of the vendor's own, which the model calls and the caller only has to wave through.

    params = ChatParams(tools=(WEB_SEARCH,))
    ...                                                       # the answer calls `$web_search`
    messages = (*messages, answer, *search_results(answer))   # ask again with these
"""

from __future__ import annotations

from fengchao_core.types import Message, Tool

WEB_SEARCH = Tool("builtin_function", body={"function": {"name": "$web_search"}})
"""The tool to offer. The pages that were found count as tokens of the prompt of the next turn."""


def search_results(answer: Message) -> tuple[Message, ...]:
    """
    The tool turns that let the searches of an answer happen: their own arguments, unchanged.

    Calls of other functions are the caller's to answer.
    """
    return tuple(
        Message("tool", call.arguments, name=call.name, tool_call_id=call.id)
        for call in answer.tool_calls
        if call.name == "$web_search"
    )
