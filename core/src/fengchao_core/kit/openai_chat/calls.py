"""Tool calls that arrive in fragments, numbered the way the rest of fengchao counts on."""

from __future__ import annotations

from typing import Any

import orjson

from fengchao_core.errors import ProviderProtocolError
from fengchao_core.types import ToolCallFragment

_MAX_CALLS = 1024


class _Call:
    __slots__ = ("has_id", "has_name", "id", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.has_id = False
        self.has_name = False


class CallTracker:
    """
    Numbers the tool calls of one choice from 0 on, and lets id and name out once each.

    Vendors leave indices out, give several calls the same one, repeat ids and names in each fragment, or send whole
    calls with the arguments as an object; clients that join fragments would break on each of these.

    Attributes:
        count: how many calls there are so far.
    """

    __slots__ = ("_by_key", "_last", "count")

    def __init__(self) -> None:
        self._by_key: dict[int | str, _Call] = {}
        self._last: _Call | None = None
        self.count = 0

    def fragments(self, wire: object, *, choice: int) -> tuple[ToolCallFragment, ...]:
        """
        The fragments of one `tool_calls` field.

        Args:
            choice: the index of the choice, for ids that have to be made up.

        Raises:
            ProviderProtocolError: the field is nonsense.
        """
        if not isinstance(wire, list) or not all(isinstance(item, dict) for item in wire):
            raise ProviderProtocolError(
                "'tool_calls' of the provider's answer is not a list of objects"
            )
        return tuple(self._fragment(item, position, choice) for position, item in enumerate(wire))

    def _fragment(self, item: dict[str, Any], position: int, choice: int) -> ToolCallFragment:
        kind = item.get("type") or "function"
        if not isinstance(kind, str):
            raise ProviderProtocolError("a tool call of the provider has no text as its type")
        inner = item.get("custom" if kind == "custom" else "function")
        if inner is None:
            inner = {}
        if not isinstance(inner, dict):
            raise ProviderProtocolError("a tool call of the provider holds no object")
        name = _text(inner.get("name"), "name")
        given_id = _text(item.get("id"), "id")
        call = self._call(item.get("index"), position, given_id, name)
        self._last = call
        new_id = new_name = None
        if not call.has_id:
            call.has_id = True
            # A call without an id could not be answered: the caller needs one to refer to.
            new_id = call.id = given_id or f"call_{choice}_{call.index}"
        if name and not call.has_name:
            call.has_name = True
            new_name = name
        arguments = inner.get("input" if kind == "custom" else "arguments")
        return ToolCallFragment(call.index, new_id, new_name, _arguments(arguments), kind)

    def _call(self, index: object, position: int, given_id: str, name: str) -> _Call:
        if index is None:
            return self._unnumbered(position, given_id, name)
        if type(index) is not int or not 0 <= index < _MAX_CALLS:
            raise ProviderProtocolError(
                "a tool call of the provider has no small number as its index"
            )
        call = self._by_key.get(index)
        # The same index with another id and another name is another call, whatever the vendor counts.
        if call is None or (name and call.has_name and given_id and given_id != call.id):
            call = self._by_key[index] = self._new()
        return call

    def _unnumbered(self, position: int, given_id: str, name: str) -> _Call:
        if given_id:
            call = self._by_key.get(given_id)
            if call is None:
                call = self._by_key[given_id] = self._new()
            return call
        if name or self._last is None:
            return self._new()
        # Neither index nor id nor name: more arguments of a call that was begun before.
        return (
            next((c for c in self._by_key.values() if c.index == position), self._last)
            if position
            else self._last
        )

    def _new(self) -> _Call:
        if self.count >= _MAX_CALLS:
            raise ProviderProtocolError(
                f"the provider made more than {_MAX_CALLS} tool calls in one answer"
            )
        call = _Call(self.count)
        self.count += 1
        return call


def _text(value: object, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProviderProtocolError(f"a tool call of the provider has no text as its {what}")
    return value


def _arguments(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    raise ProviderProtocolError(
        "the arguments of a provider's tool call are neither text nor an object"
    )
