"""docs/reference/providers.md: what each vendor can do, and the tests that show it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs/reference/providers.md"
KINDS = {
    name.removeprefix("plugins/")
    for name in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["fengchao"][
        "distributions"
    ]
    if (ROOT / name).joinpath("quality.toml").is_file()
}


def rows() -> dict[str, list[str]]:
    """The cells of each vendor."""
    found = {}
    for line in TABLE.read_text("utf-8").splitlines():
        if match := re.match(r"\| \[(\w+)\]", line):
            found[match[1]] = [cell.strip(" `") for cell in line.strip("|").split("|")[1:]]
    return found


def test_every_vendor_has_its_row():
    """Each vendor plugin of the repository stands in the table, and nothing else does."""
    assert set(rows()) == KINDS


@pytest.mark.parametrize("vendor", sorted(rows()))
def test_every_cell_is_proven(vendor):
    """Each cell names a test that is there."""
    for cell in rows()[vendor]:
        if cell == "—":
            continue
        file, _, test = cell.partition("::")
        source = ROOT / f"plugins/{vendor}/tests/test_{file}.py"
        assert re.search(rf"^ *(async )?def {test}\(", source.read_text("utf-8"), re.MULTILINE), (
            cell
        )
