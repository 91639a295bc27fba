"""Writes the help of every verb into ``docs/command-line.md``.

Each block between ``<!-- help: VERB -->`` and ``<!-- end -->`` is replaced by what
``segue VERB --help`` prints; all else on the page is written by hand.

    python tools/generate_command_line.py
"""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from segue.cli import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "command-line.md"
COLUMNS = "90"
_BLOCK = re.compile(r"(<!-- help: (\w*) -->\n).*?(<!-- end -->)", re.DOTALL)


def help_text(verb: str) -> str:
    """What ``segue VERB --help`` prints in a terminal of a fixed width."""
    arguments = [verb, "--help"] if verb else ["--help"]
    result = CliRunner().invoke(app, arguments, prog_name="segue", env={"COLUMNS": COLUMNS})
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def generated(page: str) -> str:
    """The page with every block of help as it is now."""
    return _BLOCK.sub(
        lambda block: f"{block[1]}```text\n{help_text(block[2])}\n```\n{block[3]}", page
    )


def documented_verbs(page: str) -> list[str]:
    """The verbs that have a block, in order; the command itself is the empty one."""
    return [block[2] for block in _BLOCK.finditer(page)]


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text("utf-8")), "utf-8")
