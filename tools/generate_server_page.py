"""Writes the calls of the API into ``docs/server.md``, from the examples that tests make.

python tools/generate_server_page.py
"""

from __future__ import annotations

import re
from pathlib import Path

from segue.server.examples import Example, examples_of
from segue.server.snippets import LANGUAGES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "server.md"
IDS = ("1193", "661")
"""Item ids of the examples: two films of MovieLens-1M."""

_CALLS = re.compile(r"(<!-- calls -->\n).*?(<!-- end -->)", re.DOTALL)


def generated(page: str) -> str:
    """The page with the current calls."""
    sections = "\n".join(section(example) for example in examples_of(IDS))
    return _CALLS.sub(lambda block: f"{block[1]}{sections}\n{block[2]}", page)


def section(example: Example) -> str:
    """One call in all languages."""
    blocks = [f"```{name}\n{write(example)}\n```" for name, write in LANGUAGES.items()]
    title = f"### {example.name[0].upper()}{example.name[1:]}"
    heading = f"{title}\n\n`{example.method} {example.route}`: {example.summary.lower()}.\n"
    return "\n".join([heading, "\n\n".join(blocks), ""])


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text("utf-8")), "utf-8")
