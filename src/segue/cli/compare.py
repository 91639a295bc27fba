"""``segue compare``: is one model better than another?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Json, Seed, words
from segue.errors import RequestError

_FILE = "A file that evaluate wrote with --per-sequence."


def compare(
    first: Annotated[Path, typer.Argument(metavar="A.parquet", help=_FILE)],
    second: Annotated[
        Path | None, typer.Argument(metavar="B.parquet", help="A second file; A again if absent.")
    ] = None,
    metric: Annotated[str, typer.Option(metavar="KEY", help="A metric's printed key.")] = "ndcg@10",
    models: Annotated[
        str, typer.Option(metavar="A,B", help="Which model of each file, where it holds several.")
    ] = "",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Tell whether one model is better than another.

    Sequence by sequence: the second model's mean minus the first's, its 95 % interval, and
    the p-value of a paired permutation test.
    """
    from segue import evaluation
    from segue.cli.evaluation_report import print_comparison

    names = words(models)
    if names and len(names) != 2:
        raise RequestError(f"--models has {len(names)} names, expected 2", "write --models a,b")
    chosen = (names[0], names[1]) if names else (None, None)
    found = evaluation.compare(first, second, metric, models=chosen, seed=seed)
    print_comparison(found, as_json)
