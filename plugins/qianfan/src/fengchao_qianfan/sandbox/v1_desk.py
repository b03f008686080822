"""What the handlers of V1 share: which endpoints there are, and which faults a text asks for."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fengchao_core.cards import load_cards
from fengchao_core.kit.sandbox import Faults, SandboxDesk
from fengchao_qianfan.endpoints import PREFIX, V1, Endpoint, published
from fengchao_qianfan.endpoints import endpoint_of as v1_endpoint
from fengchao_qianfan.sandbox.doorkeeper import Doorkeeper
from fengchao_qianfan.sandbox.refusals import V1_WORDS, RefusedError

_BY_FAULT: Mapping[str, str] = {
    "401": "110",
    "429": "336501",
    "500": "336000",
    "503": "336100",
    "expired_token": "111",
    "arrears": "17",
    "quota": "19",
    "too_long": "336103",
    "overloaded": "336100",
}
UNSAFE = "content_filter"
BARE_LINE = "bare_line"
PUBLISHED = ("sandbox_published",)

NAMES: dict[str, str] = {}
"""The models' names by the paths that serve them; of several names of one path, the first card's."""


for _card in load_cards("fengchao_qianfan"):
    if (_endpoint := v1_endpoint(_card.id)) is not None:
        NAMES.setdefault(_endpoint.path, _card.id)
BY_PATH = {endpoint.path: endpoint for endpoint in V1.values()}


class V1Desk:
    """What is looked up before a call of V1 is answered."""

    def __init__(self, desk: SandboxDesk, door: Doorkeeper) -> None:
        self.desk = desk
        self.door = door

    def faults(self, request: web.Request, text: str) -> Faults:
        """The faults that a text asks for; refuses at once what is to be refused before anything is generated."""
        faults = self.desk.faults(text)
        wanted = faults.refusal
        if wanted is None or faults.refusal_after is not None or wanted in (UNSAFE, BARE_LINE):
            return faults
        code = code_of(wanted)
        if code in ("110", "111"):
            self.door.expire(request)
        raise RefusedError(code, retry_after=faults.retry_after)


def endpoint_of(request: web.Request) -> Endpoint:
    """The endpoint that a path names. Raises `RefusedError` where there is none."""
    kind, name = request.match_info["kind"], request.match_info["name"]
    known = BY_PATH.get(f"{PREFIX}/{kind}/{name}")
    if known is not None:
        return known
    if (kind == "chat" and name in PUBLISHED) or kind == "plugin":
        return published(f"{kind}/{name}")
    raise RefusedError("3")


def name_of(request: web.Request) -> str:
    """The name of the model behind a path."""
    return NAMES.get(request.path, request.match_info["name"])


def code_of(fault: str) -> str:
    """The vendor's code of a fault. Raises `RefusedError` for one that nobody knows."""
    code = _BY_FAULT.get(fault, fault)
    if code not in V1_WORDS:
        raise RefusedError("336003", f"沙箱不认识的故障标记：{fault}")
    return code
