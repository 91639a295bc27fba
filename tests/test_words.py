"""Retired words stay away: private names of concepts that the field has a term for.

``docs/conventions.md`` says what stands instead. Two lists: words that no identifier may
contain, and expressions that no text may contain.
"""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

pytestmark = pytest.mark.all_cases

ROOT = Path(__file__).resolve().parents[1]

PARTS = frozenset([
    "told", "untold", "unheard", "said", "asked", "barred", "touched", "halved", "widened",
    "remembered", "moments", "proposal", "proposals", "behaviour", "blend", "blended", "refit",
    "holders", "anatomy", "wording", "workload", "advice", "advised", "ladder", "rung",
    "promise", "promises", "sight", "partners", "heard", "counting", "met",
])  # fmt: skip
"""Words that are no part of an identifier."""

NAMES = frozenset([
    "about", "begins", "bag", "bags", "background", "found", "wanted", "known", "each", "other",
    "others", "Asked", "Known", "Told", "Remembered", "State", "Part", "Layout", "Workload",
    "Bag", "CodeSums", "Proposal", "Behaviour", "Background", "Network", "Numbering",
])  # fmt: skip
"""Words that are no identifier by themselves."""

EXPRESSIONS = re.compile(
    r"\b(untold|unheard|barred|refit|blend(?:ed|s)?|halved|widened|anatomy|sparse-lean|row_rate|"
    r"item_table|code_tables|reference [AB]|rungs?|ladder|partners|told|by rows|"
    r"lean moments|table_precision|moment_precision|continue_sequence)\b"
)
"""What no docstring, comment, message or page may contain."""

CODE = [
    path
    for folder in ("src", "tests", "benchmarks", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__).resolve()
]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "src" / "segue" / "presets").glob("*.toml")),
]


def retired_in_code(text: str) -> list[str]:
    """``line: word`` for each retired word in Python code."""
    retired, before = [], ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            is_library = before == "." and token.string == "State"  # nnx.State
            parts = {part.lower() for part in _parts(token.string)}
            if (parts & PARTS or token.string in NAMES) and not is_library:
                retired.append(f"{token.start[0]}: {token.string}")
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            retired += [f"{token.start[0]}: {word}" for word in EXPRESSIONS.findall(token.string)]
        before = token.string
    return retired


def _parts(name: str) -> list[str]:
    return re.split(r"_|(?<=[a-z0-9])(?=[A-Z])", name)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_code_has_no_retired_word(path: Path) -> None:
    assert retired_in_code(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_have_no_retired_word(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    retired = [
        f"{number}: {word}"
        for number, line in enumerate(lines, start=1)
        if not (path.name == "CHANGELOG.md" and line.startswith("|"))  # what a word was before
        for word in EXPRESSIONS.findall(line)
    ]
    assert retired == []
