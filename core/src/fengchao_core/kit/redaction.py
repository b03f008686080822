"""
Secrets out of what vendors say, before anybody can raise, log or show it.

Vendors echo keys, tokens and signed URLs in their error messages. `Redactor` removes what it was told is secret and
what looks like it, cuts control characters, and bounds the length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from fengchao_core.errors import ProviderError

MAX_MESSAGE_CHARS = 500
MAX_CODE_CHARS = 100

_MASK = "***"
_MAX_SCANNED_CHARS = 64 * 1024
_SHORTEST_SECRET = 4  # shorter ones would blot out ordinary words

# C0, DEL and C1 controls, line and paragraph separators, and the marks that reorder text on a screen.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_URL = re.compile(
    r"\b((?:https?|wss?)://)(?:[^\s/?#@\"'<>]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?", re.IGNORECASE
)
_LOOKS_SECRET = re.compile(
    r"\b(?:Bearer\s+[^\s\"',;]+"  # an Authorization header
    r"|sk-[\w*.\-]{4,}"  # API keys of the chat-completions family
    r"|eyJ[\w\-]{8,}\.[\w\-]+(?:\.[\w\-]*)?)"  # a JWT
)


class Redactor:
    """
    Removes secrets from text.

    Args:
        secrets: gives the values that are secret now; asked each time, since tokens change.
    """

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets

    def text(self, raw: str, *, limit: int = MAX_MESSAGE_CHARS) -> str:
        """The text without secrets, URL queries and control characters, at most `limit` characters long."""
        if (
            len(raw) > _MAX_SCANNED_CHARS
        ):  # cut between words, so that no half of a secret is left at the end
            raw = raw[:_MAX_SCANNED_CHARS].rpartition(" ")[0]
        clean = _CONTROLS.sub(" ", raw)
        known = {
            form
            for s in self._secrets()
            if len(s) >= _SHORTEST_SECRET
            for form in (s, quote(s, safe=""))
        }
        for secret in sorted(known, key=len, reverse=True):
            clean = clean.replace(secret, _MASK)
        clean = _URL.sub(_bare_url, clean)
        clean = _LOOKS_SECRET.sub(_MASK, clean).strip()
        return clean if len(clean) <= limit else clean[: limit - 1] + "…"

    def error(self, error: ProviderError) -> None:
        """Redact an error in place: its message, and the vendor's words, code and request id."""
        error.args = tuple(self.text(arg) if isinstance(arg, str) else arg for arg in error.args)
        if error.vendor_message is not None:
            error.vendor_message = self.text(error.vendor_message) or None
        if error.vendor_code is not None:
            error.vendor_code = self.text(error.vendor_code, limit=MAX_CODE_CHARS) or None
        if error.vendor_request_id is not None:
            error.vendor_request_id = (
                self.text(error.vendor_request_id, limit=MAX_CODE_CHARS) or None
            )


def secrets_of(settings: BaseModel) -> tuple[str, ...]:
    """Every secret value in a settings tree: each `SecretStr`, however deep, and the password of a proxy URL."""
    return tuple(_walk(settings))


def _walk(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            field = getattr(value, name)
            if name == "proxy" and isinstance(field, str) and "@" in field:
                yield field.rpartition("@")[0].rpartition(":")[2]
            else:
                yield from _walk(field)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _walk(item)


def _bare_url(match: re.Match[str]) -> str:
    scheme, rest = match.group(1), match.group(2)
    had_query = "?" in match.group(0)
    return f"{scheme}{rest}?{_MASK}" if had_query else f"{scheme}{rest}"
