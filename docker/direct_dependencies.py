"""Prints what a project depends on directly, with some extras: one requirement per line.

    python direct_dependencies.py pyproject.toml EXTRA...

So that an image installs the dependencies in a layer of their own, before the code is copied.
"""

import sys
import tomllib
from pathlib import Path

file, *extras = sys.argv[1:]
project = tomllib.loads(Path(file).read_text("utf-8"))["project"]
optional = project["optional-dependencies"]
print(
    "\n".join([*project["dependencies"], *(line for extra in extras for line in optional[extra])])
)
