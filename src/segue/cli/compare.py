"""``segue compare``: a paired test of whether one model is better than another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.evaluation_report import print_comparison
from segue.cli.options import Json, Seed, parse_names
from segue.errors import RequestError


def compare(
    first: Annotated[
        Path,
        typer.Argument(metavar="A.parquet", help="A file written by evaluate --per-sequence."),
    ],
    second: Annotated[
        Path | None, typer.Argument(metavar="B.parquet", help="Another such file; default: A.")
    ] = None,
    metric: Annotated[
        str, typer.Option(metavar="NAME", help="A metric as printed by evaluate.")
    ] = "ndcg@10",
    models: Annotated[
        str,
        typer.Option(
            metavar="A,B", help="The model of each file, needed where a file has several."
        ),
    ] = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Test whether one model is better than another.

    Shows the mean of the second model minus the mean of the first, its 95 % confidence
    interval, and the p-value of a permutation test that is paired by sequence.
    """
    from segue import evaluation

    names = parse_names(models)
    if names and len(names) != 2:
        raise RequestError(f"--models has {len(names)} names, expected 2", "write --models a,b")
    pair = (names[0], names[1]) if names else (None, None)
    comparison = evaluation.compare(first, second, metric, models=pair, seed=seed)
    print_comparison(comparison, as_json)
