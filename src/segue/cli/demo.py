"""``segue demo``: the whole pipeline on the built-in world, compared with the oracle."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli.console import print_json, stderr, stdout
from segue.cli.evaluation_report import print_evaluation
from segue.cli.option_values import parse_path
from segue.cli.options import Json, Seed
from segue.cli.train import show_progress, stopped
from segue.errors import RequestError, StorageError

if TYPE_CHECKING:
    from rich.console import Console

    from segue.dataset import Items
    from segue.demo import Continuation, Demo

MARKER = "demo.json"
"""File that marks the folder of an earlier demo, which --overwrite may replace."""


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", parser=parse_path, metavar="FOLDER", help="The folder to write."
        ),
    ] = Path("demo-run"),
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier demo in that folder.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline on a built-in world of playlists.

    Draws playlists from a known generative model, prepares them, trains a transformer,
    evaluates it together with baselines and the oracle (the Bayes-optimal predictor), and
    continues some playlists. Takes a few minutes.
    """
    from segue.demo import run_demo

    _claim(out, overwrite)
    log = stderr()
    with show_progress(log) as progress:
        result = run_demo(out, seed=seed, watch=progress, report=log.print)
    if result is None:
        raise stopped(out / "data", out / "run", progress.step)
    print_demo(result, as_json)
    if not as_json:
        stdout().print(f"\nsee it in a browser: {serve_command(out)}", soft_wrap=True)


def serve_command(folder: Path) -> str:
    """The command that shows the run of a demo on its page."""
    # In a virtual environment that is not active, the command has no short name.
    command = "segue" if shutil.which("segue") else sys.argv[0]
    return shlex.join([command, "serve", str(folder / "run")])


def _claim(folder: Path, overwrite: bool) -> None:
    """Create the folder, or remove the earlier demo in it, and mark it as a demo.

    Raises:
        RequestError: the folder contains other files, or a demo that may not be replaced.
        StorageError: the folder cannot be written.
    """
    if (folder / MARKER).exists():
        if not overwrite:
            raise RequestError(f"{folder} contains an earlier demo", "replace it with --overwrite")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} exists and is not the folder of an earlier demo"
        raise RequestError(message, "choose another folder with -o")
    try:
        for name in ("data", "run"):
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("{}\n")
    except OSError as error:
        message = f"cannot write to {folder}: {error.strerror}"
        raise StorageError(message, "choose another folder with -o") from None


def print_demo(demo: Demo, as_json: bool) -> None:
    """Print the evaluation, the ratios and the continuations."""
    from segue.demo import METRIC, N_SEASONAL_ADDED

    if as_json:
        print_json(demo.to_dict())
        return
    print_evaluation(demo.evaluation, None, as_json=False)
    console = stdout()
    console.print(
        f"\n{METRIC}: {demo.ratios['best_baseline']:.2f} times the best baseline, "
        f"{100 * demo.ratios['oracle']:.0f} % of the oracle, the Bayes-optimal predictor"
    )
    for playlist in demo.playlists:
        _print_continuation(console, "a test playlist, continued", playlist, demo.items)
    _print_continuation(console, "a Christmas track, continued", demo.christmas, demo.items)
    console.print(f"{demo.n_seasonal} of the {N_SEASONAL_ADDED} tracks that follow are seasonal")


def _print_continuation(console: Console, title: str, playlist: Continuation, items: Items) -> None:
    console.print(f"\n{title}", style="bold")
    for item_id in playlist.given:
        console.print(f"    {_description(items, item_id)}", style="dim", no_wrap=True)
    for item in playlist.answer.items:
        console.print(f"  + {_description(items, item.item_id)}", no_wrap=True)


def _description(items: Items, item_id: str) -> str:
    """``Title - Artist (1983, gisirock)``."""
    track = items.describe(int(items.find([item_id])[0]))
    return f"{track['title']} - {track['artist']} ({track['year']}, {track['genres'][0]})"
