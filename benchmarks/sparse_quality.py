"""Losses and updates of the item table in time, memory and quality: paired, over several seeds.

    python benchmarks/sparse_quality.py [DATASET] [--seeds 0,1,2] [--ways "WAY;WAY"]

One model is trained on a prepared dataset, or on the built-in world, by every way of updating
and of storing its item table and of drawing negatives, from the same seeds, for the same steps
and at the same rate, and asked for the next item at every held-out event. A way's difference
from dense AdamW is tested over the sequences of each seed, with a paired permutation test. A
step's time is the median of some on real batches, and its memory what XLA says it holds beside
the state.
"""

from __future__ import annotations

import argparse
import json
import tempfile
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
from segue.trainer import plan, train

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
    row_rate: float = 1.0


WAYS: dict[str, Way] = {
    "dense": Way(),
    "sparse": Way(item_table="sparse"),
    "sparse-lean": Way(item_table="sparse-lean"),
    "sparse, rate x 3": Way(item_table="sparse", row_rate=3),
    "sparse, rate x 10": Way(item_table="sparse", row_rate=10),
    "sparse-lean, rate x 3": Way(item_table="sparse-lean", row_rate=3),
    "sparse-lean, rate x 10": Way(item_table="sparse-lean", row_rate=10),
    "sparse-lean, rate x 30": Way(item_table="sparse-lean", row_rate=30),
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
    loss, item_table, table, moments, row_rate = WAYS[way]
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
            row_rate=row_rate,
        ),
        training=TrainingConfig(
            batch_size=64, epochs=epochs, seed=seed, validation_sequences=100, validate_every=10**6
        ),
    )


def trained(data: Dataset, way: str, config: Config, folder: Path) -> Evaluation:
    """An evaluation of one run."""
    run = train(data, folder / f"{list(WAYS).index(way)}-{config.training.seed}", config=config)
    options = EvaluationConfig(task="next-item", resamples=0)
    return evaluate(Recommender.load(run), data, config=options)


def measure(
    data: Dataset, ways: list[str], seeds: list[int], epochs: int, folder: Path
) -> list[dict[str, Any]]:
    """A row for each way and seed, with its difference from the baseline of that seed."""
    rows = []
    for seed in seeds:
        found: dict[str, Evaluation] = {}
        for way in ways:
            config = config_of(way, seed, epochs)
            planned = plan(data, config=config)
            assert planned.times is not None, "too little memory"
            row: dict[str, Any] = {"way": way, "seed": seed}
            row["step_ms"] = round(planned.times.step * 1e3, 1)
            row["step_mb"] = round(planned.memory.step / 1e6, 1)
            found[way] = trained(data, way, config, folder)
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
    print(f"\n{'way':28} {METRIC:>8} {'of dense':>9} {'differences':>20} {'ms/step':>8} {'MB':>7}")
    base = np.mean([row["ndcg"] for row in rows if row["way"] == BASELINE])
    for way in ways:
        own = [row for row in rows if row["way"] == way]
        mean = np.mean([row["ndcg"] for row in own])
        ms, mb = min(row["step_ms"] for row in own), own[0]["step_mb"]
        differences = [row.get("difference", 0.0) for row in own]
        spread = f"{min(differences):+.4f} to {max(differences):+.4f}"
        print(f"{way:28} {mean:>8.4f} {mean / base:>9.3f} {spread:>20} {ms:>8.1f} {mb:>7.1f}")


if __name__ == "__main__":
    main()
