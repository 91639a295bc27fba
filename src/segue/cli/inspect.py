"""``segue inspect``: what a prepared dataset or a run holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Json
from segue.errors import RequestError


def inspect(
    folder: Annotated[
        Path, typer.Argument(metavar="DATASET|RUN", help="What prepare or train wrote.")
    ],
    model: Annotated[
        bool,
        typer.Option(
            "--model", help="Show the model of a run: modules, shapes, parameters, FLOPs."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the audit of a dataset, or the card or the model of a run."""
    from segue.cli.folders import check_run_or_dataset, is_run

    check_run_or_dataset(folder)
    if model:
        from segue.cli.model_report import print_model

        if not is_run(folder):
            raise RequestError(f"{folder} is a dataset and has no model", "give a run's folder")
        print_model(folder, as_json)
    elif is_run(folder):
        from segue.cli.run_report import print_card
        from segue.run_folder import RunFolder

        print_card(RunFolder(folder), as_json)
    else:
        from segue.cli.dataset_report import print_audit
        from segue.dataset import Dataset

        print_audit(Dataset.open(folder), as_json)
