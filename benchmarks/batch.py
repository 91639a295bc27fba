"""Throughput of a batch, compared with the ranking of ``segue evaluate`` on the same histories.

    python benchmarks/batch.py [RUN DATASET] [--part validation] [--k 10] [--repeats 3]

Without a run, a model of the preset sasrec is trained for a few steps on the built-in world. The
batch reads the sequences of the dataset, looks ids up, computes lists and writes them to a Parquet
file; the evaluation computes the rank of each target. Both run in turns in one process, and times
are processor time, because other processes lengthen wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from segue.config import EvaluationConfig
from segue.dataset import Dataset, SplitPart
from segue.evaluation.instances import evaluation_instances
from segue.evaluation.protocol import resolve_protocol
from segue.preparation import prepare
from segue.recommender import Recommender
from segue.recommender.shapes import REQUESTS_PER_CALL
from segue.trainer import train

N_SEQUENCES = 2_000
"""Sequences of the built-in world, for a benchmark of some seconds."""


def core_seconds(function: Callable[[], object]) -> float:
    """Processor time of a call, of all threads."""
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(
    model: Recommender, data: Dataset, part: SplitPart, k: int, repeats: int
) -> dict[str, Any]:
    """Rank and answer the requests of a part in turns, after a first time that compiles.

    Args:
        model: a trained model.
        data: the dataset, whose split has a target per sequence.
        part: the part with the targets.
        k: number of items of the lists.
        repeats: number of turns.
    """
    ranker = model.ranker(data)
    protocol = resolve_protocol([ranker], data, part, EvaluationConfig())
    instances = evaluation_instances(data, protocol)
    include_seen = protocol.seen == "include"

    def evaluate() -> None:
        for _, block in instances.blocks(REQUESTS_PER_CALL):
            is_ranked = block.is_candidate
            ranker.ranks(block.query.select(is_ranked), block.targets[is_ranked])

    with TemporaryDirectory() as folder:

        def batch() -> None:
            output = Path(folder) / "lists.parquet"
            options = {"before": part, "include_seen": include_seen, "overwrite": True}
            summary = model.recommend_file(data, output, k, **options)
            assert summary.rows == len(instances)

        evaluate()
        batch()
        times = np.array([[core_seconds(evaluate), core_seconds(batch)] for _ in range(repeats)])
    in_evaluation, in_batch = np.median(times, axis=0).tolist()
    scale = 1 if sys.platform == "darwin" else 1 << 10
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    return {
        "requests": len(instances),
        "k": k,
        "evaluate_core_ms": round(1e3 * in_evaluation / len(instances), 4),
        "batch_core_ms": round(1e3 * in_batch / len(instances), 4),
        "relative_throughput": round(float(np.median(times[:, 0] / times[:, 1])), 3),
        "peak_gb": round(peak_bytes / 1e9, 2),
    }


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Throughput of a batch.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without-ensemble", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        if options.run is None:
            data = prepare(
                None, Path(folder) / "world", sequences=N_SEQUENCES, split="leave-one-out"
            )
            run = train(data, Path(folder) / "run", preset="sasrec", max_steps=3)
        else:
            data, run = Dataset.open(options.dataset), options.run
        model = Recommender.load(run, without_ensemble=options.without_ensemble)
        result = measure(model, data, options.part, options.k, options.repeats)
    table = Table(title=f"{result['requests']:,} requests", title_justify="left")
    for column in ("", "core ms per request"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("evaluate", f"{result['evaluate_core_ms']:.3f}")
    table.add_row("batch", f"{result['batch_core_ms']:.3f}")
    console = Console(width=100)
    console.print(table)
    console.print(
        f"{result['relative_throughput']:.2f} of the throughput of evaluate, "
        f"{result['peak_gb']} GB at the peak"
    )
    console.out(json.dumps({"benchmark": "batch", "run": model.name} | result), highlight=False)


if __name__ == "__main__":
    main()
