"""The table of faults and readers in ``tests/README.md`` has no gap and names real files."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent


def rows_of_tables() -> list[list[str]]:
    lines = (TESTS / "README.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [row for row in rows if set(row) != {"---"}]


def test_every_cell_names_tests_that_exist() -> None:
    rows = rows_of_tables()
    header = next(row for row in rows if row[0] == "fault")
    files = {row[0]: row[1].strip("`") for row in rows if len(row) == 2 and row[0] != "letters"}
    faults = [row for row in rows if len(row) == len(header) and row is not header]
    assert len(faults) > 15
    named = {letters for row in faults for cell in row[1:] for letters in cell.split()}
    assert all(cell for row in faults for cell in row)
    assert named - {"-"} <= files.keys()
    assert files.keys() - {"Z"} <= named
    missing = [name for name in files.values() if not (TESTS / name).is_file()]
    assert missing == []
