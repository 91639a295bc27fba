"""Writes the tree of the package, a line a file, into ``README.md``.

The lines are the first ones of the modules' own docstrings.

    python tools/generate_tree.py
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "README.md"
PACKAGE = ROOT / "src" / "segue"
WIDTH = 26
_BLOCK = re.compile(r"(<!-- tree -->\n).*?(<!-- end -->)", re.DOTALL)


def tree() -> str:
    """The modules of the package, those of a sub-package indented below it."""
    lines = ["src/segue/"]
    folders = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    lines += [_line(path, "  ") for path in _modules(PACKAGE)]
    for folder in folders:
        lines.append(_line(folder / "__init__.py", "  ", f"{folder.name}/"))
        lines += [_line(path, "    ") for path in _modules(folder)]
    return "\n".join(lines)


def generated(page: str) -> str:
    """The page with the tree as it is now."""
    return _BLOCK.sub(lambda block: f"{block[1]}```text\n{tree()}\n```\n{block[2]}", page)


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def _line(path: Path, indent: str, name: str = "") -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring, f"{path} has no docstring"
    subject = docstring.split("\n", 1)[0].replace("``", "").rstrip(".")
    return f"{indent}{name or path.name}".ljust(WIDTH) + subject


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text("utf-8")), "utf-8")
