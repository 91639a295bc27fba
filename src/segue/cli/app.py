"""The ``segue`` command: its verbs, error messages and exit codes.

Exit codes: 0 done; 1 a bug in Segue, a failed self-test, or a closed output pipe; 2 an error
that the user can fix, explained in one line; 130 stopped by a signal.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

import segue
from segue.cli.compare import compare
from segue.cli.demo import demo
from segue.cli.doctor import doctor
from segue.cli.draw import draw
from segue.cli.evaluate import evaluate
from segue.cli.generate import generate
from segue.cli.inspect import inspect
from segue.cli.plan import plan
from segue.cli.prepare import prepare
from segue.cli.recommend import recommend
from segue.cli.search import search
from segue.cli.train import train
from segue.errors import SegueError

TRACEBACK_VARIABLE = "SEGUE_TRACEBACK"
"""Environment variable that shows the traceback of an error."""

FAILED, USER_ERROR = 1, 2
"""Exit codes."""
GRACE_S = 10
"""Seconds that a verb has to clean up after SIGTERM."""


class _VerbGroup(TyperGroup):
    """The command group, with the context class that a Typer callback has to annotate."""

    context_class = typer.Context


app = typer.Typer(
    name="segue",
    cls=_VerbGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
VERBS = (
    prepare,
    inspect,
    plan,
    train,
    evaluate,
    compare,
    recommend,
    generate,
    search,
    draw,
    demo,
    doctor,
)
for verb in VERBS:
    app.command(verb.__name__)(verb)


# Typer's own help option loads pydantic, which takes half of the time of `segue VERB --help`.
# So the command defines its own.
@app.callback(invoke_without_command=True, add_help_option=False)
def segue_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    show_help: Annotated[
        bool, typer.Option("--help", "-h", help="Show this message and exit.")
    ] = False,
) -> None:
    """Segue learns what comes next.

    From a log of sequences (playlists, histories, sessions) to a transformer that continues
    them: prepare, train, evaluate, recommend, generate.
    """
    if version:
        typer.echo(f"segue {segue.__version__}")
    elif show_help or context.invoked_subcommand is None:
        typer.echo(context.get_help())
    else:
        return
    raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the words after ``segue``; by default those of the process.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal cannot show must not end a verb with an error.
            stream.reconfigure(errors="replace")
    try:
        with _sigterm_interrupts():
            code = app(arguments, prog_name="segue", standalone_mode=False)
        sys.stdout.flush()
    except SegueError as error:
        return _fail(f"error: {error}", USER_ERROR)
    except typer.TyperException as error:
        return _fail(f"error: {_usage_message(error)}", USER_ERROR)
    except OSError as error:
        return _os_error(error)
    except Exception as error:  # noqa: BLE001 - any other exception is printed as one line, too
        error = error.__cause__ or error  # Typer's Abort wraps an EOFError
        kind = type(error).__name__
        hint = f"a bug in Segue; {TRACEBACK_VARIABLE}=1 shows the traceback"
        return _fail(f"internal error: {kind}: {error} ({hint})", FAILED)
    return code or 0


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, so that a verb removes its partial output.

    If the verb has not ended after ``GRACE_S`` seconds, SIGALRM ends the process: Python
    discards an exception that is raised in a finalizer, and a supervisor sends SIGTERM only
    once. Outside the main thread signals are left unchanged.
    """
    is_terminated = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal is_terminated
        is_terminated = True
        if hasattr(signal, "alarm"):
            signal.alarm(GRACE_S)
        raise KeyboardInterrupt

    try:
        previous_handler = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        if is_terminated and hasattr(signal, "alarm"):
            signal.alarm(0)
        signal.signal(signal.SIGTERM, previous_handler)


def _usage_message(error: typer.TyperException) -> str:
    return error.format_message().replace("Value error, ", "")


def _os_error(error: OSError) -> int:
    """Print an error of the operating system; nothing for a pipe that its reader closed."""
    # Buffered output can no longer be written and must not raise a second error at exit.
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return FAILED
    file_name = f" {error.filename}:" if error.filename else ""
    return _fail(f"error:{file_name} {error.strerror or error}", USER_ERROR)


def _fail(line: str, code: int) -> int:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exc()
    typer.echo(" ".join(line.split()), err=True)
    return code
