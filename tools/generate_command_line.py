"""Write the help text of every verb into ``docs/command-line.md``.

Each block between ``<!-- help: VERB -->`` and ``<!-- end -->`` is replaced by the output of
``segue VERB --help``; the rest of the page is written by hand.

    python tools/generate_command_line.py
"""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from segue.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "command-line.md"
COLUMNS = "90"
_BLOCK = re.compile(r"(<!-- help: (\w*) -->\n).*?(<!-- end -->)", re.DOTALL)


def help_text(verb: str) -> str:
    """The output of ``segue VERB --help`` in a terminal of ``COLUMNS`` columns."""
    arguments = [verb, "--help"] if verb else ["--help"]
    result = CliRunner().invoke(app, arguments, prog_name="segue", env={"COLUMNS": COLUMNS})
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def with_current_help(page: str) -> str:
    """The page with every help block replaced by the current help text."""
    return _BLOCK.sub(
        lambda block: f"{block[1]}```text\n{help_text(block[2])}\n```\n{block[3]}", page
    )


def documented_verbs(page: str) -> list[str]:
    """The verbs with a help block, in order; ``segue`` itself is the empty string."""
    return [block[2] for block in _BLOCK.finditer(page)]


if __name__ == "__main__":
    PAGE.write_text(with_current_help(PAGE.read_text("utf-8")), "utf-8")
