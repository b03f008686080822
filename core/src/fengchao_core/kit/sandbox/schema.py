"""
Values after a JSON schema: the arguments of a function call, the object of a structured answer.

Takes what it can from the prompt (a quoted word, a city, a number, a date), so that a reader sees his own question in
the value; otherwise a plain value that the schema allows. Knows the keywords that models' function schemas use; a
`pattern` is met where one of a few everyday texts fits it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from fengchao_core.kit.sandbox.words import is_chinese, shorten

_QUOTED = re.compile(r"[“「『\"']([^“”「」『』\"']{1,60})[”」』\"']")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\d)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CITIES = re.compile(
    "北京|上海|广州|深圳|杭州|南京|成都|重庆|武汉|西安|天津|苏州|香港|台北|东京|伦敦|纽约|巴黎"
    "|Beijing|Shanghai|Shenzhen|Hangzhou|Hong Kong|Tokyo|London|New York|Paris|San Francisco|Berlin",
    re.IGNORECASE,
)
_PLACE_NAMES = ("city", "location", "place", "城市", "地点", "地名", "位置")
_DATE_NAMES = ("date", "day", "日期")
_BY_FORMAT = {
    "date": "2024-05-01",
    "date-time": "2024-05-01T08:00:00Z",
    "time": "08:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
_EVERYDAY = (
    *_BY_FORMAT.values(),
    *("a", "A", "abc", "ABC", "abc123", "1", "12", "123", "1234", "12345", "123456"),
    *("13800138000", "+8613800138000", "CNY", "zh-CN", "A1", "0.5", "08:00", "#ffffff"),
)
_DEEPEST = 8


class Hints:
    """
    What a prompt offers as values.

    Args:
        text: the prompt.
        nth: which of several found values to prefer, so that parallel calls differ.
    """

    def __init__(self, text: str, nth: int = 0) -> None:
        self.text = text
        self._nth = nth
        self._quoted = _QUOTED.findall(text)
        self._cities = _CITIES.findall(text)
        self._dates = _DATE.findall(text)
        self._numbers = [float(number) for number in _NUMBER.findall(_DATE.sub(" ", text))]

    def string(self, label: str) -> str:
        """A text for a field; `label` is its name and description."""
        label = label.lower()
        if any(name in label for name in _PLACE_NAMES):
            return self._pick(self._cities) or ("北京" if is_chinese(self.text) else "Beijing")
        if any(name in label for name in _DATE_NAMES):
            return self._pick(self._dates) or _BY_FORMAT["date"]
        return self._pick(self._quoted) or shorten(self.text, 40) or "text"

    def number(self) -> float:
        """A number for a field; 1 where the prompt has none."""
        return self._numbers[self._nth % len(self._numbers)] if self._numbers else 1.0

    def _pick(self, found: Sequence[str]) -> str:
        return found[self._nth % len(found)] if found else ""


def fill(schema: Mapping[str, object], hints: Hints) -> object:
    """
    A value that a JSON schema allows.

    Of an object the required fields are filled, or all its fields where none is required.

    Args:
        schema: the schema; `$ref` may point into its own `$defs` or `definitions`.
        hints: where fitting values come from.
    """
    return _Filler(schema, hints).value(schema, "", 0)


class _Filler:
    def __init__(self, root: Mapping[str, object], hints: Hints) -> None:
        self._root = root
        self._hints = hints

    def value(self, schema: object, label: str, depth: int) -> object:
        if not isinstance(schema, Mapping):
            return self._hints.string(label)  # `true`, or nothing that could be read: anything goes
        schema = self._settled(schema)
        if "const" in schema:
            return schema["const"]
        if _listed(schema.get("enum")):
            return self._choice(_listed(schema["enum"]))
        if "default" in schema:
            return schema["default"]
        label = f"{label} {schema.get('title', '')} {schema.get('description', '')}"
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, label, depth)
            case "integer":
                return int(self._number(schema, whole=True))
            case "number":
                number = self._number(schema, whole=False)
                return int(number) if number.is_integer() else number
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema, label)

    def _settled(self, schema: Mapping[str, object]) -> Mapping[str, object]:
        """The schema with its reference followed, its first alternative chosen and all of `allOf` put together."""
        for _ in range(_DEEPEST):
            if isinstance(schema.get("$ref"), str):
                schema = self._referred(str(schema["$ref"]))
            elif parts := _listed(schema.get("allOf")):
                schema = self._together(schema, parts)
            elif choices := _listed(schema.get("anyOf")) or _listed(schema.get("oneOf")):
                rest = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
                first = choices[0]
                schema = {**rest, **first} if isinstance(first, Mapping) else rest
            else:
                break
        return schema

    def _referred(self, ref: str) -> Mapping[str, object]:
        target: object = self._root
        for step in ref.removeprefix("#").strip("/").split("/"):
            if step and isinstance(target, Mapping):
                target = target.get(step.replace("~1", "/").replace("~0", "~"))
        return target if isinstance(target, Mapping) else {}

    def _together(
        self, schema: Mapping[str, object], parts: Sequence[object]
    ) -> Mapping[str, object]:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            part_schema = self._settled(part) if isinstance(part, Mapping) else {}
            for key, value in part_schema.items():
                old = merged.get(key)
                if key == "properties" and isinstance(old, Mapping) and isinstance(value, Mapping):
                    merged[key] = {**old, **value}
                elif key == "required":
                    merged[key] = [*_listed(old), *_listed(value)]
                else:
                    merged[key] = value
        return merged

    def _object(self, schema: Mapping[str, object], depth: int) -> dict[str, object]:
        known = schema.get("properties")
        properties = known if isinstance(known, Mapping) else {}
        required = [str(name) for name in _listed(schema.get("required"))]
        if not required and depth < 4:
            required = [str(name) for name in properties]
        if depth >= _DEEPEST:
            return {}
        return {name: self.value(properties.get(name, {}), name, depth + 1) for name in required}

    def _array(self, schema: Mapping[str, object], label: str, depth: int) -> list[object]:
        length = int(_bound(schema, "minItems", 1))
        length = min(length, int(_bound(schema, "maxItems", length)))
        if depth >= _DEEPEST:
            return []
        return [self.value(schema.get("items", {}), label, depth + 1) for _ in range(length)]

    def _choice(self, choices: Sequence[object]) -> object:
        """The choice that the prompt names, or the first."""
        text = self._hints.text.lower()
        for choice in choices:
            if isinstance(choice, str) and choice and choice.lower() in text:
                return choice
        return choices[0]

    def _number(self, schema: Mapping[str, object], *, whole: bool) -> float:
        step = _bound(schema, "multipleOf", 1.0 if whole else 0.0)
        nudge = step or 0.001
        low = max(
            _bound(schema, "minimum", -math.inf),
            _bound(schema, "exclusiveMinimum", -math.inf) + nudge,
        )
        high = min(
            _bound(schema, "maximum", math.inf),
            _bound(schema, "exclusiveMaximum", math.inf) - nudge,
        )
        number = min(max(self._hints.number(), low), high)
        if step:
            number = math.floor(number / step) * step
            number = number + step if number < low else number
        return number

    def _string(self, schema: Mapping[str, object], label: str) -> str:
        form = schema.get("format")
        text = _BY_FORMAT.get(str(form)) or self._hints.string(label)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            text = next((t for t in (text, *_EVERYDAY) if re.search(pattern, t)), text)
        longest = int(_bound(schema, "maxLength", len(text)))
        return text[:longest].ljust(int(_bound(schema, "minLength", 0)), "。")


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _bound(schema: Mapping[str, object], name: str, otherwise: float) -> float:
    value = schema.get(name)
    return float(value) if isinstance(value, int | float) else otherwise


def _type_of(schema: Mapping[str, object]) -> str:
    kind = schema.get("type")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "string"
