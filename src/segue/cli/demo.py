"""``segue demo``: everything once, on the built-in world whose answer is known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Json, Seed
from segue.errors import RequestError, StorageError

MARKER = "demo.json"
"""Tells a folder of an earlier demo from a folder of yours."""


def demo(
    folder: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where everything goes.")
    ] = Path("demo-run"),
    seed: Seed = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what an earlier demo left there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show everything once, on a world whose answer is known.

    Generates playlists, prepares, trains, measures the model beside the baselines and the
    oracle that knows the world's laws, and continues some playlists. Takes a few minutes.
    """
    from segue import baselines, dataset, trainer
    from segue.cli.console import notes
    from segue.cli.demo_report import Demo, print_demo
    from segue.cli.progress import watching
    from segue.cli.run_report import finished_card, stopped
    from segue.config import DemoConfig, EvaluationConfig, PrepareConfig, SourceConfig
    from segue.evaluation import evaluate
    from segue.recommender import Recommender

    _claim(folder, overwrite)
    log = notes()
    with log.status("preparing"):
        source = SourceConfig(format="demo", demo=DemoConfig(seed=seed))
        data = dataset.prepare(None, folder / "data", PrepareConfig(source=source))
    log.print(f"prepared {data.manifest.counts.events:,} events in {folder / 'data'}")
    changes = {"training.seed": seed}
    with watching(log) as watch:
        run = trainer.train(data, folder / "run", preset="demo", overrides=changes, watch=watch)
    if finished_card(run) is None:
        raise stopped(data.path, run, watch.step)
    with log.status("evaluating"):
        model = Recommender.load(run)
        rankers = [baselines.fit(name, data) for name in baselines.defaults_for(data)]
        options = EvaluationConfig(task="next-item")
        found = evaluate([model.ranker(data), *rankers], data, config=options)
    print_demo(Demo.of(data, model, found, seed), as_json)


def _claim(folder: Path, overwrite: bool) -> None:
    """Make the folder this demo's own.

    Raises:
        RequestError: it holds something else, or an earlier demo that may not be replaced.
    """
    if (folder / MARKER).exists():
        if not overwrite:
            raise RequestError(f"{folder} holds an earlier demo", "start anew with --overwrite")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RequestError(f"{folder} holds something else", "choose another folder with -o")
    try:
        for name in ("data", "run"):
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("{}\n")
    except OSError as error:
        message = f"cannot write to {folder}: {error.strerror}"
        raise StorageError(message, "choose another folder with -o") from None
