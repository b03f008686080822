"""What a command says: answers on stdout, talk on stderr; colour and boxes only where a person looks."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence

import orjson

from fengchao_core.errors import SetupError


def answer(text: str) -> None:
    """Print a line of the answer."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def answer_json(value: object) -> None:
    """Print the answer as JSON, on one line."""
    answer(orjson.dumps(value, default=str).decode())


def say(text: str) -> None:
    """Say something that is not the answer."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def complain(error: BaseException) -> None:
    """Say what is wrong, a line for each problem."""
    problems = error.problems if isinstance(error, SetupError) else (_one_line(error),)
    for problem in problems or (_one_line(error),):
        say(_red(f"错误 error: {problem}", sys.stderr.isatty()))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: drawn on a terminal, plain aligned columns elsewhere."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(*columns, box=SIMPLE_HEAD, header_style="bold cyan")
        for row in cells:
            drawn.add_row(*(Text(cell) for cell in row))
        Console().print(drawn)
        return
    widths = [max(map(_width, column)) for column in zip(columns, *cells, strict=True)]
    for row in ([*columns], *cells):
        line = "  ".join(
            cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)
        )
        answer(line.rstrip())


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _red(text: str, colour: bool) -> str:  # noqa: FBT001  # one call, above
    return f"\x1b[31m{text}\x1b[0m" if colour else text


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: two for a Chinese character."""
    return sum(2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in text)
