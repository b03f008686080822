"""
Where each model answers, under which name, and what it takes: one table.

Source: the vendor's pages Web.html, X1ws.html, ImageUnderstanding.html and 星火微调服务Web文档.html in copies of 2024 and
2025. `domain` must belong to the path; two of the paths have their parts the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Host = Literal["chat", "image", "maas", "literature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """
    One model's place over WebSocket.

    Attributes:
        domain: the vendor's name of the model.
        host: which of the vendor's hosts.
        max_tokens: the longest answer; None where unknown.
        max_temperature: the highest temperature; it must be above 0 everywhere.
        takes_system: whether a system message may come first; elsewhere its text goes into the first user message.
        takes_functions: whether functions may be offered.
        takes_search: whether the built-in web search may be asked for.
        takes_pictures: whether a picture may come first.
        http: the version in the path of the HTTP API; empty where that API lacks the model.
    """

    path: str
    domain: str
    host: Host = "chat"
    max_tokens: int | None = 8192
    max_temperature: float = 1.0
    takes_system: bool = False
    takes_functions: bool = False
    takes_search: bool = False
    takes_pictures: bool = False
    http: str = ""


ENDPOINTS: Mapping[str, Endpoint] = {
    endpoint.domain: endpoint
    for endpoint in (
        Endpoint(path="/v1.1/chat", domain="lite", max_tokens=4096, http="v1"),
        Endpoint(path="/v2.1/chat", domain="generalv2"),
        Endpoint(path="/v3.1/chat", domain="generalv3", takes_functions=True, http="v1"),
        Endpoint(path="/chat/pro-128k", domain="pro-128k", max_tokens=4096, http="v1"),
        Endpoint(
            path="/v3.5/chat",
            domain="generalv3.5",
            takes_system=True,
            takes_functions=True,
            takes_search=True,
            http="v1",
        ),
        Endpoint(
            path="/chat/max-32k",
            domain="max-32k",
            takes_system=True,
            takes_search=True,
            http="v1",
        ),
        Endpoint(
            path="/v4.0/chat",
            domain="4.0Ultra",
            takes_system=True,
            takes_functions=True,
            takes_search=True,
            http="v1",
        ),
        Endpoint(
            path="/v1/x1",
            domain="x1",
            max_tokens=32768,
            max_temperature=2.0,
            takes_system=True,
            takes_search=True,
            http="v2",
        ),
        Endpoint(path="/v1.1/chat_kjwx", domain="kjwx", host="literature", max_tokens=None),
        Endpoint(
            path="/v2.1/image", domain="image", host="image", max_tokens=None, takes_pictures=True
        ),
        Endpoint(
            path="/v2.1/image", domain="imagev3", host="image", max_tokens=None, takes_pictures=True
        ),
    )
}
"""Every model with a place of its own, by its domain."""


def endpoint_of(model: str) -> Endpoint:
    """The place of a model, by the vendor's name of it. One that the table lacks is a fine-tuned one."""
    return ENDPOINTS.get(model) or Endpoint(
        path="/v1.1/chat", domain=model, host="maas", max_tokens=None
    )
