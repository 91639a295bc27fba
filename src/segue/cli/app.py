"""The ``segue`` command and its verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

import segue
from segue.cli.attach import attach
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
from segue.cli.serve import serve
from segue.cli.similar import similar
from segue.cli.train import train
from segue.errors import RequestError


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
    similar,
    search,
    serve,
    attach,
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


def _check_text(argument: str) -> None:
    """Refuse bytes that are not UTF-8, which Python passes on as surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        message = f"the argument {argument!r} is not UTF-8 text"
        raise RequestError(message, "rename a file with such a name") from None


def run(arguments: Sequence[str] | None) -> int:
    """Run a verb.

    Args:
        arguments: the words after ``segue``; by default those of the process.

    Returns:
        The exit code of the verb.

    Raises:
        Exception: any error, of the user or of Segue; see ``segue.cli.failures``.
    """
    for argument in sys.argv[1:] if arguments is None else arguments:
        if not argument.isascii():
            _check_text(argument)
    code = app(arguments, prog_name="segue", standalone_mode=False)
    sys.stdout.flush()
    return code or 0
