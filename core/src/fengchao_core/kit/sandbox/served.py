"""
What a sandbox really served, so that a ledger can be compared with it.

A vendor bills what it generated and sent. `Served` keeps that per credential and model, and the sandbox shows it as
JSON at `/_sandbox/served`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from fengchao_core.kit.sandbox.words import count_tokens
from fengchao_core.types import Delta, Usage


@dataclass(slots=True)
class ServedRow:
    """
    Sums for one credential and model.

    Attributes:
        credential: a public name of it: a key's id, an app's id; never a secret.
        requests: accepted ones, those under way included.
        refused: requests answered with an error before anything was generated.
        completion_tokens: really sent: of a stream that ended early, those of the events until then.
        closed_early: answers that the client hung up on.
        open: answers under way.
    """

    credential: str
    model: str
    requests: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    closed_early: int = 0
    open: int = 0


class Serving:
    """One answer under way. Tell it what is sent; it counts when the answer ends."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, int, int], list[str]] = {}
        self.usage: Usage | None = None
        self.closed_by_client = False

    def sent(self, delta: Delta) -> None:
        """A delta went out."""
        if delta.text:
            self._texts.setdefault(("text", delta.index, 0), []).append(delta.text)
        if delta.reasoning:
            self._texts.setdefault(("reasoning", delta.index, 0), []).append(delta.reasoning)
        for fragment in delta.tool_calls:
            pieces = self._texts.setdefault(("call", delta.index, fragment.index), [])
            pieces.append((fragment.name or "") + fragment.arguments)

    def complete(self, usage: Usage) -> None:
        """The whole answer went out, and this is what it used."""
        self.usage = usage

    @property
    def tokens_sent(self) -> int:
        """Tokens of the deltas that went out."""
        return sum(count_tokens("".join(texts)) for texts in self._texts.values())


class Served:
    """What one sandbox served since it started, or since `clear`."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], ServedRow] = {}

    @contextmanager
    def serving(self, credential: str, model: str, prompt_tokens: int) -> Iterator[Serving]:
        """
        Count one accepted request.

        Args:
            credential: a public name of the caller's credential.
            model: the model as the client named it.
            prompt_tokens: what its prompt costs, however the answer ends.
        """
        row = self._row(credential, model)
        row.requests += 1
        row.prompt_tokens += prompt_tokens
        row.open += 1
        serving = Serving()
        try:
            yield serving
        finally:
            row.open -= 1
            row.closed_early += serving.closed_by_client
            usage = serving.usage
            row.completion_tokens += usage.completion_tokens if usage else serving.tokens_sent

    def refused(self, credential: str, model: str) -> None:
        """Count a request that was answered with an error before anything was generated."""
        self._row(credential, model).refused += 1

    def clear(self) -> None:
        """Forget everything but what is under way."""
        self._rows.clear()

    def rows(self) -> tuple[ServedRow, ...]:
        """The sums, ordered by credential and model."""
        return tuple(row for _, row in sorted(self._rows.items()))

    def as_json(self) -> dict[str, object]:
        """The sums as `/_sandbox/served` shows them: `{"rows": [{"credential", "model", …}]}`."""
        return {"rows": [asdict(row) for row in self.rows()]}

    def _row(self, credential: str, model: str) -> ServedRow:
        row = self._rows.get((credential, model))
        if row is None:
            row = self._rows[credential, model] = ServedRow(credential, model)
        return row
