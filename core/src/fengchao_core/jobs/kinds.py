"""What a task can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fengchao_core.caller import Caller
    from fengchao_core.gateway import Gateway

Json = dict[str, Any]
RunJob = Callable[[Json, "Caller", "Gateway"], "Awaitable[Mapping[str, object]]"]


@dataclass(frozen=True, slots=True)
class JobKind:
    """
    A kind of task, and how to run one.

    Attributes:
        name: kept with each task; a process runs the kinds that it registered.
        run: `(payload, caller, gateway)` gives the result, both JSON objects. What it raises is raised to whoever asks for
            the result. It is run by the one policy of the gateway's requests: it does not retry by itself. It may be run
            again where its process died, and is cancelled where its task is.
    """

    name: str
    run: RunJob
