"""What the stand-in for Anthropic verifies of tools."""

from __future__ import annotations

import re
from typing import Any

from fengchao_anthropic.sandbox.codes import illegal

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_KNOWN = frozenset(
    {
        *("name", "description", "input_schema", "type", "cache_control", "strict"),
        *("defer_loading", "allowed_callers", "input_examples", "eager_input_streaming"),
    }
)
_SERVER_TOOL = re.compile(r"[a-z_0-9]+_20\d{6}")


def check_tools(tools: object) -> None:
    """Check the tools of a request. Raises `RefusedError`."""
    if tools is None:
        return
    if not isinstance(tools, list):
        raise illegal("tools", "Input should be a valid list")
    names: set[str] = set()
    for at, tool in enumerate(tools):
        path = f"tools.{at}"
        if not isinstance(tool, dict):
            raise illegal(path, "Input should be an object")
        kind = tool.get("type") or "custom"
        if kind != "custom":
            if not isinstance(kind, str) or not _SERVER_TOOL.fullmatch(kind):
                raise illegal(f"{path}.type", f"'{kind}' is not a known type of tool")
            continue
        _custom(tool, path)
        if tool["name"] in names:
            raise illegal("tools", "Tool names must be unique.")
        names.add(tool["name"])


def check_tool_choice(choice: object, tools: object) -> None:
    """Check which tool is asked for. Raises `RefusedError`."""
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or kind not in ("auto", "any", "tool", "none"):
        raise illegal("tool_choice.type", "Input should be 'auto', 'any', 'tool' or 'none'")
    if not isinstance(tools, list) or not tools:
        raise illegal("tool_choice", "tool_choice may only be specified while providing tools")
    if unknown := choice.keys() - _choice_fields(kind):
        raise illegal(f"tool_choice.{kind}.{min(unknown)}", "Extra inputs are not permitted")
    if kind == "tool" and choice.get("name") not in [tool.get("name") for tool in tools]:
        raise illegal(
            "tool_choice.name", f"Tool '{choice.get('name')}' not found in provided tools"
        )


def _choice_fields(kind: str) -> set[str]:
    return {
        "type",
        *(("name",) if kind == "tool" else ()),
        *(("disable_parallel_tool_use",) if kind != "none" else ()),
    }


def _custom(tool: dict[str, Any], path: str) -> None:
    name, schema = tool.get("name"), tool.get("input_schema")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise illegal(f"{path}.custom.name", "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
    if schema is None:
        raise illegal(f"{path}.custom.input_schema", "Field required")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise illegal(f"{path}.custom.input_schema.type", "Input should be 'object'")
    if unknown := tool.keys() - _KNOWN:
        raise illegal(f"{path}.custom.{min(unknown)}", "Extra inputs are not permitted")
