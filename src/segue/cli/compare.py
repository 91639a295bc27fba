"""``segue compare``: a paired test of whether one model is better than another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.evaluation_report import print_comparison
from segue.cli.option_values import parse_names, parse_path
from segue.cli.options import MAX_RESAMPLES, Json, Seed


def compare(
    *,
    first: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            metavar="A.parquet",
            help="A file written by evaluate --per-sequence.",
        ),
    ],
    second: Annotated[
        Path | None,
        typer.Argument(
            parser=parse_path, metavar="B.parquet", help="Another such file; default: A."
        ),
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
    permutations: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_RESAMPLES, metavar="N", help="Random sign flips behind the p-value."
        ),
    ] = 10_000,
    resamples: Annotated[
        int,
        typer.Option(
            min=1, max=MAX_RESAMPLES, metavar="N", help="Bootstrap samples behind the interval."
        ),
    ] = 1000,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Test whether one model is better than another.

    Shows the mean of the second model minus the mean of the first, its 95 % confidence
    interval, and the p-value of a permutation test that is paired by sequence.
    """
    from segue import evaluation

    comparison = evaluation.compare(
        first,
        second,
        metric=metric,
        models=parse_names(models) or (None, None),
        permutations=permutations,
        resamples=resamples,
        seed=seed,
    )
    print_comparison(comparison, as_json)
