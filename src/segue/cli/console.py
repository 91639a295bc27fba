"""Where words go: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec
import numpy as np
from rich.console import Console

PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


def print_json(content: Any) -> None:
    """Print one JSON object on stdout, as a line of UTF-8 whatever the terminal speaks.

    Not-a-number and infinities, which JSON does not have, become null.
    """
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(content, enc_hook=_plain) + b"\n")
    sys.stdout.buffer.flush()


def results() -> Console:
    """The console of results, on stdout. Titles are printed as they are, without markup."""
    return _console(stderr=False)


def notes() -> Console:
    """The console of progress, warnings and remarks, on stderr."""
    return _console(stderr=True)


def _plain(value: Any) -> Any:
    """A number of numpy as Python's own: some pass for floats until they are encoded."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    fixed = not stream.isatty() and "COLUMNS" not in os.environ
    width = PIPED_WIDTH if fixed else None
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)
