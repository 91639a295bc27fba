"""``segue train``: from a prepared dataset to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Changes, ConfigFile, Json, Preset, TrainedOn


def train(
    dataset: TrainedOn,
    run: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="RUN", help="The folder to write.")
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    changes: Changes = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run from its last checkpoint.")
    ] = False,
    overfit: Annotated[
        bool,
        typer.Option(
            "--overfit-one-batch",
            help="Only check that the model can learn one batch by heart; nothing is written.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model on a prepared dataset.

    Ctrl-C saves and stops, with exit code 130; --resume then continues to the same end.
    """
    from segue import trainer
    from segue.cli.console import notes, print_json, results
    from segue.cli.overfit_report import print_overfitted
    from segue.cli.progress import watching
    from segue.cli.run_report import finished_card, stopped, summary
    from segue.cli.tables import facts
    from segue.config import load_config
    from segue.dataset import Dataset
    from segue.errors import RequestError

    if overfit:
        given = {"-o": run is not None, "--resume": resume}
        if wrong := [name for name, is_given in given.items() if is_given]:
            message = f"{wrong[0]} is of no use for --overfit-one-batch, which writes nothing"
            raise RequestError(message, "leave it out")
        chosen = load_config(preset, config, changes)
        print_overfitted(trainer.overfit_one_batch(Dataset.open(dataset), chosen), as_json)
        return
    if run is None:
        raise RequestError("no folder to write was given", "add -o RUN")
    with watching(notes()) as watch:
        trainer.train(
            dataset,
            run,
            preset=preset,
            config=config,
            overrides=changes,
            resume=resume,
            watch=watch,
        )
    card = finished_card(run)
    if as_json:
        step = watch.step if card is None else card["steps"]
        status = "stopped" if card is None else "finished"
        print_json({"run": str(run), "status": status, "step": step, "card": card})
    if card is None:
        raise stopped(dataset, run, watch.step)
    if not as_json:
        results().print(facts(summary(run, card)))
