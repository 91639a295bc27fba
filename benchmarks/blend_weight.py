"""What the weight of PureSVD's scores does to a blended model's continuations.

Training knows nothing of the blend, so one run answers with any weight; 0 is the transformer alone,
and a weight of many nats the singular vectors alone. Choose on the validation part.

    python benchmarks/blend_weight.py [RUN DATASET] [--weights 0,4,8,16,1000000] [--on test]

Without a run the built-in world's preset is trained, with a blend: three minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from playlist_highlights import on_the_built_in_world
from rich.console import Console
from rich.table import Table

from segue.config import EvaluationConfig
from segue.dataset import Dataset
from segue.dataset.parts import Part
from segue.errors import SegueError
from segue.evaluation import evaluate
from segue.recommender import Recommender

BLENDED = {"blend.vectors": 64}


def weights(text: str) -> list[float]:
    """Numbers with commas between."""
    return [float(each) for each in text.split(",")]


def measure(
    run: Path, data: Dataset, asked: Sequence[float], on: Part, limit: int | None
) -> list[dict[str, Any]]:
    """A row for each weight and way of giving, in this order.

    Args:
        limit: of the sequences asked about, a seeded draw.
    """
    rows = []
    options = EvaluationConfig(task="continuation", max_sequences=limit, resamples=0)
    model = Recommender.load(run)
    blended = model.network
    for weight in asked:
        model.network = blended.blended_by(weight)
        found = evaluate(model, data, on=on, config=options)
        metrics = ("r_precision", f"ndcg@{found.protocol['list_length']}")
        for result in found.results:
            row: dict[str, Any] = {"weight": weight, "given": result.given, "n": result.n}
            rows.append(row | {name: result.metrics[name].mean for name in metrics})
    return rows


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """A table for each metric: a line for each weight, a column for each way of giving."""
    given = list(dict.fromkeys(row["given"] for row in rows))
    for metric in list(rows[0])[-2:]:
        table = Table("weight", *given, title=metric, title_justify="left")
        for weight in dict.fromkeys(row["weight"] for row in rows):
            found = [row for row in rows if row["weight"] == weight]
            table.add_row(f"{weight:g}", *(f"{row[metric]:.4f}" for row in found))
        console.print(table)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; RUN comes with DATASET."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--weights", type=weights, default="0,4,8,16,1000000")
    parser.add_argument("--on", choices=get_args(Part), default="validation")
    parser.add_argument("--playlists", type=int, help="at most, a seeded draw")
    options = parser.parse_args(arguments)
    if (options.run is None) != (options.dataset is None):
        parser.error("RUN needs DATASET")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, draw the tables, and end with one line of JSON."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.run is None:
                options.run, options.dataset = on_the_built_in_world(Path(folder), BLENDED)
            data = Dataset.open(options.dataset)
            rows = measure(options.run, data, options.weights, options.on, options.playlists)
        except SegueError as error:
            raise SystemExit(f"error: {error}") from None
    console = Console(width=150)
    show(rows, console)
    about = {"benchmark": "blend_weight", "run": options.run.name, "part": options.on}
    console.out(json.dumps(about | {"rows": rows}), highlight=False)


if __name__ == "__main__":
    main()
