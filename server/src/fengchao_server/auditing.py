"""How a change says who makes it: a function that turns what is done into a record for the audit log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from fengchao_core.store import AuditRecord

if TYPE_CHECKING:
    from fengchao_core.clock import Clock
    from fengchao_server.addresses import Address


class Auditor(Protocol):
    """Makes records of what one actor does."""

    def __call__(
        self,
        action: str,
        target: str,
        *,
        before: dict[str, object] | None = None,
        after: dict[str, object] | None = None,
    ) -> AuditRecord:
        """
        A record of now.

        Args:
            action: as `key.rotate`.
            target: to what, by its name.
            before: what changes, as it was, in JSON's own types. Never a secret.
            after: the same, as it will be.
        """
        ...


def auditor(actor: str, clock: Clock, address: Address | None = None) -> Auditor:
    """
    What makes the records of an actor.

    Args:
        actor: `operator:…`, `token:…`, `cli:…`, or a part of the gateway.
        address: from where; None: from the gateway's own machine.
    """

    def record(
        action: str,
        target: str,
        *,
        before: dict[str, object] | None = None,
        after: dict[str, object] | None = None,
    ) -> AuditRecord:
        return AuditRecord(
            at=clock.now(),
            actor=actor,
            action=action,
            target=target,
            address="" if address is None else str(address),
            before=before or {},
            after=after or {},
        )

    return record


def cli_actor() -> str:
    """Who sits at the command line, by the system's own word: a variable of the environment could say anything."""
    try:
        import pwd

        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except ImportError:  # no such thing on Windows
        return f"cli:{os.getlogin()}"
    except KeyError:  # a container's user may have no name
        return f"cli:{os.getuid()}"


def changed(
    before: dict[str, object], after: dict[str, object]
) -> tuple[dict[str, object], dict[str, object]]:
    """The fields in which two states differ, as they were and as they are."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
