"""Continuation metrics of a run by the weight of its PureSVD ensemble member.

    python benchmarks/puresvd_weight.py [RUN DATASET] [--weights 0,4,8,16,1000000] [--part test]

Training does not depend on the ensemble, so one run is evaluated with every weight. Weights are in
nats: with 0 the transformer ranks alone, with a very large weight PureSVD does. Choose the weight
on the validation part, which is the default. Without a run, the preset of the built-in world is
trained with a PureSVD member, which takes three minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from playlist_highlights import train_on_built_in_world
from rich.console import Console
from rich.table import Table

from segue.dataset import Dataset, SplitPart
from segue.errors import SegueError
from segue.evaluation import evaluate
from segue.recommender import Ensemble, PureSVD, Recommender

WITH_PURESVD = {"puresvd_factors": 64}


def weights(text: str) -> list[float]:
    """Parse numbers separated by commas."""
    return [float(number) for number in text.split(",")]


def with_weight(ensemble: Ensemble, weight: float) -> Ensemble:
    """The same ensemble with another weight of PureSVD, in nats; 0 leaves PureSVD out."""
    if not 0 <= weight <= float(np.finfo(np.float32).max):
        raise SystemExit(f"error: weight is {weight}, expected a number from 0 up; 16 is usual")
    if not any(isinstance(member, PureSVD) for member in ensemble.further_dense):
        raise SystemExit("error: the run has no PureSVD member; set puresvd_factors above 0")
    dense = [
        replace(member, weight=weight) if isinstance(member, PureSVD) else member
        for member in ensemble.further_dense
        if weight or not isinstance(member, PureSVD)
    ]
    return Ensemble(
        ensemble.encoder,
        dense,
        ensemble.sparse,
        ensemble.is_candidate,
        ensemble.encoder_weight,
        ensemble.training_counts,
    )


def measure(
    run: Path, data: Dataset, puresvd_weights: Sequence[float], part: SplitPart, limit: int | None
) -> list[dict[str, Any]]:
    """One row per weight and setting of given events, in this order.

    Args:
        run: a run with a PureSVD member.
        data: the dataset to evaluate on.
        puresvd_weights: in nats; 0 leaves PureSVD out.
        part: the part to evaluate on.
        limit: number of sequences, drawn with a fixed seed; all when None.
    """
    rows = []
    model = Recommender.load(run)
    ensemble = model.ensemble
    for weight in puresvd_weights:
        model.ensemble = with_weight(ensemble, weight)
        evaluation = evaluate(
            model,
            data,
            part=part,
            baselines=None,
            task="continuation",
            max_sequences=limit,
            resamples=0,
        )
        metrics = ("r_precision", f"ndcg@{evaluation.protocol['list_length']}")
        for result in evaluation.results:
            row: dict[str, Any] = {"weight": weight, "given": result.given, "n": result.n}
            rows.append(row | {name: result.metrics[name].mean for name in metrics})
    return rows


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one table per metric, with weights as rows and settings of given events as columns."""
    given = list(dict.fromkeys(row["given"] for row in rows))
    for metric in list(rows[0])[-2:]:
        table = Table("weight", *given, title=metric, title_justify="left")
        for weight in dict.fromkeys(row["weight"] for row in rows):
            values = [row[metric] for row in rows if row["weight"] == weight]
            table.add_row(f"{weight:g}", *(f"{value:.4f}" for value in values))
        console.print(table)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; RUN and DATASET must be given together."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--weights", type=weights, default="0,4,8,16,1000000")
    parser.add_argument("--part", choices=get_args(SplitPart), default="validation")
    parser.add_argument(
        "--playlists", type=int, help="evaluate at most this many, drawn with a fixed seed"
    )
    options = parser.parse_args(arguments)
    if (options.run is None) != (options.dataset is None):
        parser.error("RUN needs DATASET")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, then one line of JSON."""
    options = parse_options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.run is None:
                options.run, options.dataset = train_on_built_in_world(Path(folder), WITH_PURESVD)
            data = Dataset.open(options.dataset)
            rows = measure(options.run, data, options.weights, options.part, options.playlists)
        except SegueError as error:
            raise SystemExit(f"error: {error}") from None
    console = Console(width=150)
    show(rows, console)
    record = {"benchmark": "puresvd_weight", "run": options.run.name, "part": options.part}
    console.out(json.dumps(record | {"rows": rows}), highlight=False)


if __name__ == "__main__":
    main()
