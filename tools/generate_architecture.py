"""Writes the table of layers and the tree of modules into ``docs/architecture.md``.

The table comes from ``tools/layers.py``, the tree from the first lines of the modules'
docstrings.

    python tools/generate_architecture.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from layers import LAYERS, Layer

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "src" / "segue"
NAME_COLUMNS = 28
"""Width of the column of names in the tree."""

_TABLE = re.compile(r"(<!-- layers -->\n).*?(<!-- end -->)", re.DOTALL)
_TREE = re.compile(r"(<!-- tree -->\n).*?(<!-- end -->)", re.DOTALL)


def layers_table() -> str:
    """The layers as a Markdown table, lowest first."""
    rows = ["| layer | packages and modules | contain |", "|---|---|---|"]
    rows += [f"| {layer.name} | {_modules_of(layer)} | {layer.contents} |" for layer in LAYERS]
    return "\n".join(rows)


def tree() -> str:
    """The modules of the package, one line each, those of a sub-package indented below it."""
    return "\n".join(["src/segue/", *_lines(PACKAGE, "  ")])


def generated(page: str) -> str:
    """The page with the current table and tree."""
    page = _TABLE.sub(lambda block: f"{block[1]}{layers_table()}\n{block[2]}", page)
    return _TREE.sub(lambda block: f"{block[1]}```text\n{tree()}\n```\n{block[2]}", page)


def _modules_of(layer: Layer) -> str:
    groups = (" ".join(f"`{_path(name)}`" for name in group if name) for group in layer.groups)
    return " then ".join(groups)


def _path(name: str) -> str:
    return f"{name}/" if (PACKAGE / name).is_dir() else name


def _lines(folder: Path, indent: str) -> list[str]:
    files = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    lines = [_line(path, indent, path.name) for path in files]
    for package in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines.append(_line(package / "__init__.py", indent, f"{package.name}/"))
        lines += _lines(package, f"{indent}  ")
    return lines


def _line(path: Path, indent: str, name: str) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring, f"{path} has no docstring"
    subject = docstring.split("\n", 1)[0].replace("``", "").rstrip(".")
    return f"{indent}{name}".ljust(NAME_COLUMNS) + subject


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text("utf-8")), "utf-8")
