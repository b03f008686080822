"""
Small checked readers of JSON values.

Written by hand, not as pydantic models: a chat body is read in a few microseconds, and every refusal names the field by
its path in the body. Each reader takes a value and the path to it, and raises `InvalidParameter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from fengchao_core.errors import InvalidParameter
from fengchao_server.bodies import json_type

Reader = Callable[[Any, str], Any]


def refuse(path: str, expected: str, found: object) -> NoReturn:
    """Refuse a value of the wrong type."""
    raise InvalidParameter(f"'{path}' must be {expected}, not {json_type(found)}", param=path)


def text(value: Any, path: str) -> str:
    """A string."""
    if type(value) is not str:
        refuse(path, "a string", value)
    return value


def word(value: Any, path: str) -> str:
    """A string that is not empty."""
    if type(value) is not str or not value:
        if value == "":
            raise InvalidParameter(f"'{path}' must not be empty", param=path)
        refuse(path, "a string", value)
    return value


def flag(value: Any, path: str) -> bool:
    """A boolean."""
    if type(value) is not bool:
        refuse(path, "a boolean", value)
    return value


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """An object."""
    if type(value) is not dict:
        refuse(path, "an object", value)
    return value


def items(value: Any, path: str) -> list[Any]:
    """An array."""
    if type(value) is not list:
        refuse(path, "an array", value)
    return value


def number(least: float, most: float) -> Reader:
    """A number of a range, its ends included."""

    def read(value: Any, path: str) -> float:
        if type(value) is not float and type(value) is not int:
            refuse(path, "a number", value)
        if not least <= value <= most:
            raise InvalidParameter(
                f"'{path}' must be {least:g} to {most:g}, not {value:g}", param=path
            )
        return float(value)

    return read


def integer(least: int, most: int = 2**31 - 1) -> Reader:
    """A whole number of a range, its ends included. `8.0` counts as whole."""

    def read(value: Any, path: str) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            refuse(path, "an integer", value)
        if not least <= value <= most:
            raise InvalidParameter(f"'{path}' must be {least} to {most}, not {value}", param=path)
        return value

    return read


def one_of(*known: str) -> Reader:
    """One of a few words."""

    def read(value: Any, path: str) -> str:
        if value not in known or type(value) is not str:
            listed = ", ".join(repr(k) for k in known)
            raise InvalidParameter(f"'{path}' must be one of {listed}", param=path)
        return value

    return read
