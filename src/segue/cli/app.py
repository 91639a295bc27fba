"""The ``segue`` command: its verbs, and how it ends.

Exit codes: 0 done; 1 a defect of Segue, a self-test that failed, or nobody left to read the
output; 2 something that the user can mend, said in one line; 130 stopped by a signal.
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
from segue.cli.continue_ import continue_
from segue.cli.demo import demo
from segue.cli.doctor import doctor
from segue.cli.draw import draw
from segue.cli.evaluate import evaluate
from segue.cli.inspect import inspect
from segue.cli.plan import plan
from segue.cli.prepare import prepare
from segue.cli.recommend import recommend
from segue.cli.search import search
from segue.cli.train import train
from segue.errors import SegueError

TRACEBACK_VARIABLE = "SEGUE_TRACEBACK"
"""Environment variable that shows the traceback behind an error."""

FAILED, USER_ERROR = 1, 2
GRACE_S = 10
"""Seconds that a verb has to clear up after SIGTERM."""


class _Command(TyperGroup):
    """The command, with contexts of the type that Typer promises to callbacks."""

    context_class = typer.Context


app = typer.Typer(
    name="segue",
    cls=_Command,
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
    continue_,
    search,
    draw,
    demo,
    doctor,
)
for verb in VERBS:
    # `continue` is a word of Python's own, so the function has an underscore behind it.
    app.command(verb.__name__.rstrip("_"))(verb)


# Typer's own help option, where it is not asked for, loads pydantic: half of the time that
# the help of a verb takes. So the command has one of its own.
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
    them: prepare, train, evaluate, recommend, continue.
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
        arguments: what follows ``segue``; those of the process when absent.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A title that the terminal cannot show is no reason to fail.
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
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, one line
        error = error.__cause__ or error  # Typer's Abort stands for an EOFError
        kind = type(error).__name__
        advice = f"a defect of Segue; {TRACEBACK_VARIABLE}=1 shows where"
        return _fail(f"internal error: {kind}: {error} ({advice})", FAILED)
    return code or 0


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end a verb as Ctrl-C does, so that it clears away what it had begun.

    What does not end within ``GRACE_S`` the system ends: where Python clears an object away it
    raises nothing, and a supervisor asks once. Outside the main thread signals are left alone.
    """
    asked = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        if hasattr(signal, "alarm"):
            signal.alarm(GRACE_S)
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        if asked and hasattr(signal, "alarm"):
            signal.alarm(0)
        signal.signal(signal.SIGTERM, before)


def _usage_message(error: typer.TyperException) -> str:
    return error.format_message().replace("Value error, ", "")


def _os_error(error: OSError) -> int:
    """Say what the operating system refused; a reader that went away needs no telling."""
    # What is still buffered has nowhere to go, and must not fail again at exit.
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return FAILED
    where = f" {error.filename}:" if error.filename else ""
    return _fail(f"error:{where} {error.strerror or error}", USER_ERROR)


def _fail(line: str, code: int) -> int:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exc()
    typer.echo(" ".join(line.split()), err=True)
    return code
