"""What updating few rows and sharing negatives costs in quality: paired, over several seeds.

    python benchmarks/sparse_quality.py [DATASET] [--seeds 0,1,2] [--ways WAY,WAY]

One model is trained on a prepared dataset, or on the built-in world, by every way of updating
and of storing its item table and of drawing negatives, from the same seeds, for the same steps
and at the same rate, and asked for the next item at every held-out event. A way's difference
from dense AdamW is tested over the sequences of each seed, with a paired permutation test.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from segue.config import (
    Config,
    DemoConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    PrepareConfig,
    SourceConfig,
    TrainingConfig,
)
from segue.config import LossConfig as Loss
from segue.dataset import Dataset, prepare
from segue.evaluation import Evaluation, compare, evaluate
from segue.recommender import Recommender
from segue.trainer import train

Precision = Literal["float32", "bfloat16"]
METRIC = "ndcg@10"
SHARED = Loss(kind="sampled-softmax", negatives=256, proposal="log-uniform", in_batch=True)
DRAWN = SHARED.model_copy(update={"in_batch": False})
APART = DRAWN.model_copy(update={"negatives": 32, "shared_negatives": False})


class Way(NamedTuple):
    """A loss, how the item table is updated, and in how many bits it and its moments are kept."""

    loss: Loss = SHARED
    item_table: Literal["dense", "sparse", "sparse-lean"] = "dense"
    table: Precision = "float32"
    moments: Precision = "float32"


WAYS: dict[str, Way] = {
    "dense": Way(),
    "sparse": Way(item_table="sparse"),
    "sparse-lean": Way(item_table="sparse-lean"),
    "exact": Way(Loss()),
    "sparse, bfloat16 moments": Way(item_table="sparse", moments="bfloat16"),
    "sparse-lean, bfloat16 table": Way(item_table="sparse-lean", table="bfloat16"),
    "sparse, none from the batch": Way(DRAWN, "sparse"),
    "sparse, 32 a position": Way(APART, "sparse"),
}
"""By name. Where nothing is said, 256 negatives are drawn for all positions, and the labels of
the batch join them; ``exact`` is the exact softmax, dense."""
BASELINE = "dense"


def config_of(way: str, seed: int, epochs: int) -> Config:
    """The same run by one way."""
    loss, item_table, table, moments = WAYS[way]
    return Config(
        model=ModelConfig(
            layers=1, heads=2, width=48, feed_forward=96, context=40, table_precision=table
        ),
        loss=loss,
        optimizer=OptimizerConfig(
            learning_rate=4e-3,
            schedule="cosine",
            warmup_steps=50,
            item_table=item_table,
            moment_precision=moments,
        ),
        training=TrainingConfig(
            batch_size=64, epochs=epochs, seed=seed, validation_sequences=100, validate_every=10**6
        ),
    )


def trained(
    data: Dataset, way: str, seed: int, epochs: int, folder: Path
) -> tuple[Evaluation, float]:
    """An evaluation of one run, and its seconds of training."""
    began = time.perf_counter()
    run = train(
        data, folder / f"{list(WAYS).index(way)}-{seed}", config=config_of(way, seed, epochs)
    )
    seconds = time.perf_counter() - began
    options = EvaluationConfig(task="next-item", resamples=0)
    return evaluate(Recommender.load(run), data, config=options), seconds


def measure(
    data: Dataset, ways: list[str], seeds: list[int], epochs: int, folder: Path
) -> list[dict[str, Any]]:
    """A row for each way and seed, with its difference from the baseline of that seed."""
    rows = []
    for seed in seeds:
        found: dict[str, Evaluation] = {}
        for way in ways:
            found[way], seconds = trained(data, way, seed, epochs, folder)
            row: dict[str, Any] = {"way": way, "seed": seed, "seconds": round(seconds, 1)}
            row["ndcg"] = found[way].results[0].metrics[METRIC].mean
            if way != BASELINE:
                difference = compare(found[BASELINE], found[way], METRIC).differences[0]
                row |= {
                    "difference": difference.difference,
                    "ci95": difference.ci95,
                    "p_value": difference.p_value,
                }
            rows.append(row)
            print(row, flush=True)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ways", default=";".join(WAYS), help="some of them, with ; between")
    parser.add_argument("--sequences", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=6_000)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args(arguments)
    world = DemoConfig(sequences=options.sequences, items=options.items)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = SourceConfig(format="demo", demo=world)
        if options.dataset is None:
            data = prepare(None, folder / "world", PrepareConfig(source=source))
        else:
            data = Dataset.open(options.dataset)
        ways, seeds = options.ways.split(";"), [int(seed) for seed in options.seeds.split(",")]
        rows = measure(data, ways, seeds, options.epochs, folder)
    report(rows, ways)
    asked = options.dataset.name if options.dataset else world.model_dump()
    print(json.dumps({"benchmark": "sparse_quality", "world": asked, "rows": rows}))


def report(rows: list[dict[str, Any]], ways: list[str]) -> None:
    """A line for each way: means over the seeds, and the range of its differences."""
    print(f"\n{'way':28} {METRIC:>8} {'of dense':>9} {'differences':>20} {'seconds':>8}")
    base = np.mean([row["ndcg"] for row in rows if row["way"] == BASELINE])
    for way in ways:
        own = [row for row in rows if row["way"] == way]
        mean = np.mean([row["ndcg"] for row in own])
        seconds = np.mean([row["seconds"] for row in own])
        differences = [row.get("difference", 0.0) for row in own]
        spread = f"{min(differences):+.4f} to {max(differences):+.4f}"
        print(f"{way:28} {mean:>8.4f} {mean / base:>9.3f} {spread:>20} {seconds:>8.1f}")


if __name__ == "__main__":
    main()
