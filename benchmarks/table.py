"""What the samples mean: medians, spreads, ratios within one run, and the limit each must hold."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Samples = Sequence[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """
    One line of the table.

    Attributes:
        ours, bare, ratio: what was measured, round by round; `bare` is empty where nothing stands beside it.
        limit: what must hold of the ratio, or of our own figure where there is no other.
        at_least: whether the limit is a floor; else a ceiling.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    bare: tuple[float, ...]
    limit: float
    at_least: bool = False
    note: str = ""

    @property
    def ratio(self) -> tuple[float, ...]:
        """Ours over the bare one's, round by round: both were measured within the same seconds."""
        return tuple(a / b for a, b in zip(self.ours, self.bare, strict=True)) if self.bare else ()

    @property
    def judged(self) -> float:
        """The figure the limit is about: the median ratio, or our median."""
        return statistics.median(self.ratio or self.ours)

    @property
    def holds(self) -> bool:
        """Whether the limit holds and nothing spoils the figure."""
        kept = self.judged >= self.limit if self.at_least else self.judged <= self.limit
        return kept and not self.note

    def as_dict(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": statistics.median(self.ours),
            "bare": statistics.median(self.bare) if self.bare else None,
            "judged": self.judged,
            "limit": self.limit,
            "at_least": self.at_least,
            "holds": self.holds,
            "note": self.note,
        }


def compare(
    name: str,
    key: str,
    unit: str,
    samples: Mapping[str, Samples],
    limit: float,
    *,
    at_least: bool = False,
) -> Row:
    """A row of ours beside the bare one's, from the samples of both sides."""
    spoiled = int(sum(s.get("spoiled", 0) for side in samples.values() for s in side))
    return Row(
        name,
        unit,
        tuple(s[key] for s in samples["ours"]),
        tuple(s[key] for s in samples["bare"]),
        limit,
        at_least,
        f"{spoiled} requests failed" if spoiled else "",
    )


def alone(name: str, key: str, unit: str, samples: Samples, limit: float) -> Row:
    """A row of ours only."""
    return Row(name, unit, tuple(s[key] for s in samples), (), limit)


def render(rows: Sequence[Row]) -> str:
    """The table as text: medians, smallest and largest in brackets."""
    head = ("", "fengchao", "bare aiohttp", "ratio", "limit", "")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = [
        "  ".join(
            text.ljust(width) if i in (0, len(head) - 1) else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.name}, {row.unit}",
        _spread(row.ours, _number),
        _spread(row.bare, _number),
        _spread(row.ratio, lambda x: f"{x:.2f}"),
        f"{'>=' if row.at_least else '<='} {_number(row.limit)}",
        row.note or ("ok" if row.holds else "MISSED"),
    )


def _spread(values: Sequence[float], show: Callable[[float], str]) -> str:
    if not values:
        return "-"
    return f"{show(statistics.median(values))} [{show(min(values))}..{show(max(values))}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
