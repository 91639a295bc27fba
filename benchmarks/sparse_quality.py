"""What updating few rows and sharing negatives costs in quality: paired, over several seeds.

    python benchmarks/sparse_quality.py [--seeds 3] [--sequences 4000] [--items 10000]

One model is trained on the built-in world by every way of updating its item table and of
drawing negatives, from the same seeds, for the same steps and at the same rate, and asked for
the next item at every held-out event. A way's difference from dense AdamW with the same
negatives is tested over the sequences of each seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

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

METRIC = "ndcg@10"
SHARED = Loss(kind="sampled-softmax", negatives=256, proposal="log-uniform")
WAYS: dict[str, tuple[Loss, str]] = {
    "dense": (SHARED, "dense"),
    "sparse": (SHARED, "sparse"),
    "sparse-lean": (SHARED, "sparse-lean"),
    "sparse, labels of the batch too": (SHARED.model_copy(update={"in_batch": True}), "sparse"),
    "sparse, 32 negatives a position": (
        SHARED.model_copy(update={"negatives": 32, "shared_negatives": False}),
        "sparse",
    ),
    "exact softmax, dense": (Loss(), "dense"),
}
BASELINE = "dense"


def config_of(way: str, seed: int, epochs: int) -> Config:
    """The same run by one way."""
    loss, item_table = WAYS[way]
    return Config(
        model=ModelConfig(layers=1, heads=2, width=48, feed_forward=96, context=40),
        loss=loss,
        optimizer=OptimizerConfig(
            learning_rate=4e-3, schedule="cosine", warmup_steps=50, item_table=item_table
        ),
        training=TrainingConfig(
            batch_size=64, epochs=epochs, seed=seed, validation_sequences=100, validate_every=10**6
        ),
    )


def trained(data: Dataset, way: str, seed: int, epochs: int, folder: Path) -> tuple[Any, float]:
    """An evaluation of one run, and its seconds of training."""
    began = time.perf_counter()
    run = train(
        data, folder / f"{list(WAYS).index(way)}-{seed}", config=config_of(way, seed, epochs)
    )
    seconds = time.perf_counter() - began
    options = EvaluationConfig(task="next-item", resamples=0)
    return evaluate(Recommender.load(run), data, config=options), seconds


def measure(data: Dataset, seeds: int, epochs: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each way and seed, with its difference from the baseline of that seed."""
    rows = []
    for seed in range(seeds):
        found: dict[str, Evaluation] = {}
        for way in WAYS:
            found[way], seconds = trained(data, way, seed, epochs, folder)
            row = {"way": way, "seed": seed, "seconds": round(seconds, 1)}
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
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=4_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args(arguments)
    world = DemoConfig(sequences=options.sequences, items=options.items)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = SourceConfig(format="demo", demo=world)
        data = prepare(None, folder / "world", PrepareConfig(source=source))
        rows = measure(data, options.seeds, options.epochs, folder)
    print(f"\n{'way':34} {METRIC:>8} {'of dense':>9} {'worst p':>8} {'seconds':>8}")
    base = np.mean([row["ndcg"] for row in rows if row["way"] == BASELINE])
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        mean, seconds = (
            np.mean([row["ndcg"] for row in own]),
            np.mean([row["seconds"] for row in own]),
        )
        worst = min((row.get("p_value", 1.0) for row in own), default=1.0)
        print(f"{way:34} {mean:>8.4f} {mean / base:>9.3f} {worst:>8.3f} {seconds:>8.1f}")
    print(json.dumps({"benchmark": "sparse_quality", "world": world.model_dump(), "rows": rows}))


if __name__ == "__main__":
    main()
