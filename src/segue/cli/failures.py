"""Exceptions as one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback

import typer

from segue.cli.console import visible
from segue.errors import SegueError

TRACEBACK_VARIABLE = "SEGUE_TRACEBACK"
"""Environment variable that shows the traceback of an error."""

FAILED, USER_ERROR = 1, 2
"""Exit codes."""
LONGEST_LINE = 2000
"""Characters of a message that are printed; a message may quote an argument of any length."""


def report(error: Exception) -> int:  # noqa: PLR0911 - one return per kind of error
    """Print an exception as one line, and return the exit code.

    Must be called while the exception is handled, so that its traceback can be shown.
    """
    if isinstance(error, OSError):
        return _report_os_error(error)
    if isinstance(error, SegueError):
        return _fail(f"error: {error}", USER_ERROR)
    if isinstance(error, typer.TyperException):
        usage = error.format_message().replace("Value error, ", "")
        return _fail(f"error: {usage}", USER_ERROR)
    if isinstance(error, MemoryError):
        reason = f": {error}" if str(error) else ""
        return _fail(f"error: there is not enough memory{reason}", USER_ERROR)
    if isinstance(error, RecursionError):
        return _fail("error: the input is nested too deeply", USER_ERROR)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return _fail(f"error: {error.object!r} is not UTF-8 text", USER_ERROR)
    error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    kind = type(error).__name__  # Typer's Abort wraps an EOFError
    hint = f"a bug in Segue; {TRACEBACK_VARIABLE}=1 shows the traceback"
    return _fail(f"internal error: {kind}: {error} ({hint})", FAILED)


def _report_os_error(error: OSError) -> int:
    """Print an error of the operating system; nothing for a pipe that its reader closed."""
    # Buffered output can no longer be written and must not raise a second error at exit.
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return FAILED
    file_name = f" {error.filename}:" if error.filename else ""
    return _fail(f"error:{file_name} {error.strerror or error}", USER_ERROR)


def _fail(line: str, code: int) -> int:
    with contextlib.suppress(OSError):  # stderr itself may be full or closed
        if os.environ.get(TRACEBACK_VARIABLE):
            typer.echo(visible(traceback.format_exc()), err=True)
        typer.echo(visible(_shortened(" ".join(line.split()))), err=True)
    return code


def _shortened(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    kept = LONGEST_LINE // 2
    return f"{line[:kept]} [... {len(line) - 2 * kept:,} characters ...] {line[-kept:]}"
