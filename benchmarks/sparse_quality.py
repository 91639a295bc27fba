"""Time, memory and NDCG of losses and embedding updates: paired, over several seeds.

    python benchmarks/sparse_quality.py [DATASET] [--seeds 0,1,2] [--variants "NAME;NAME"]

The same model is trained on a prepared dataset, or on the built-in world, in several variants of
loss, embedding updates and storage precision. All variants have the same seeds, number of steps
and learning rate. Each trained model predicts the next item at every held-out event. The
difference of a variant from dense AdamW is tested for each seed with a paired permutation test
over sequences. The time of a step is the median of several on real batches; its memory is what
XLA reports beside the training state.
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
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainingConfig,
)
from segue.dataset import Dataset
from segue.evaluation import Evaluation, compare, evaluate
from segue.preparation import prepare
from segue.trainer import train
from segue.trainer.plan import plan

Precision = Literal["float32", "bfloat16"]
METRIC = "ndcg@10"
IN_BATCH = LossConfig(
    kind="sampled-softmax", negatives=256, negative_sampler="log-uniform", in_batch=True
)
SHARED = IN_BATCH.model_copy(update={"in_batch": False})
PER_POSITION = SHARED.model_copy(update={"negatives": 32, "shared_negatives": False})


class Variant(NamedTuple):
    """The settings that differ between the trained models; see the configuration."""

    loss: LossConfig = IN_BATCH
    embedding_updates: Literal["dense", "sparse", "sparse-rowwise"] = "dense"
    embedding_precision: Precision = "float32"
    state_precision: Precision = "float32"
    sparse_learning_rate_scale: float = 1.0


VARIANTS: dict[str, Variant] = {
    "dense": Variant(),
    "sparse": Variant(embedding_updates="sparse"),
    "sparse-rowwise": Variant(embedding_updates="sparse-rowwise"),
    "sparse, rate x 3": Variant(embedding_updates="sparse", sparse_learning_rate_scale=3),
    "sparse, rate x 10": Variant(embedding_updates="sparse", sparse_learning_rate_scale=10),
    "sparse-rowwise, rate x 3": Variant(
        embedding_updates="sparse-rowwise", sparse_learning_rate_scale=3
    ),
    "sparse-rowwise, rate x 10": Variant(
        embedding_updates="sparse-rowwise", sparse_learning_rate_scale=10
    ),
    "sparse-rowwise, rate x 30": Variant(
        embedding_updates="sparse-rowwise", sparse_learning_rate_scale=30
    ),
    "exact": Variant(LossConfig()),
    "sparse, bfloat16 optimizer state": Variant(
        embedding_updates="sparse", state_precision="bfloat16"
    ),
    "sparse-rowwise, bfloat16 embeddings": Variant(
        embedding_updates="sparse-rowwise", embedding_precision="bfloat16"
    ),
    "sparse, without in-batch negatives": Variant(SHARED, "sparse"),
    "sparse, 32 negatives per position": Variant(PER_POSITION, "sparse"),
}
"""By name. Unless the name says otherwise, the loss has 256 negatives shared by all positions, and
the labels of the batch as further negatives. ``exact`` is the exact softmax with dense updates."""
BASELINE = "dense"


def config_of(name: str, seed: int, epochs: int) -> Config:
    """The configuration of a variant."""
    variant = VARIANTS[name]
    return Config(
        model=ModelConfig(
            layers=1,
            heads=2,
            width=48,
            feed_forward=96,
            context=40,
            embedding_precision=variant.embedding_precision,
        ),
        loss=variant.loss,
        optimizer=OptimizerConfig(
            learning_rate=4e-3,
            schedule="cosine",
            warmup_steps=50,
            embedding_updates=variant.embedding_updates,
            state_precision=variant.state_precision,
            sparse_learning_rate_scale=variant.sparse_learning_rate_scale,
        ),
        training=TrainingConfig(
            batch_size=64, epochs=epochs, seed=seed, validation_sequences=100, validate_every=10**6
        ),
    )


def train_and_evaluate(data: Dataset, name: str, config: Config, folder: Path) -> Evaluation:
    """Train a variant in a subfolder of ``folder`` and evaluate its next-item predictions."""
    subfolder = folder / f"{list(VARIANTS).index(name)}-{config.training.seed}"
    run = train(data, subfolder, config=config)
    return evaluate(run, data, baselines=None, task="next-item", resamples=0)


def measure(
    data: Dataset, names: list[str], seeds: list[int], epochs: int, folder: Path
) -> list[dict[str, Any]]:
    """One row per variant and seed, with the difference from the baseline of that seed.

    Args:
        data: the dataset to train and evaluate on.
        names: names of variants; the baseline has to be the first.
        seeds: seeds of training.
        epochs: epochs of training.
        folder: where the runs are stored.
    """
    rows = []
    for seed in seeds:
        evaluations: dict[str, Evaluation] = {}
        for name in names:
            config = config_of(name, seed, epochs)
            estimate = plan(data, config=config)
            assert estimate.times is not None, "too little memory"
            row: dict[str, Any] = {"variant": name, "seed": seed}
            row["step_ms"] = round(estimate.times.step * 1e3, 1)
            row["step_mb"] = round(estimate.memory.step / 1e6, 1)
            evaluations[name] = train_and_evaluate(data, name, config, folder)
            row["ndcg"] = evaluations[name].results[0].metrics[METRIC].mean
            if name != BASELINE:
                comparison = compare(evaluations[BASELINE], evaluations[name], metric=METRIC)
                difference = comparison.differences[0]
                row |= {
                    "difference": difference.difference,
                    "ci95": difference.ci95,
                    "p_value": difference.p_value,
                }
            rows.append(row)
            print(row, flush=True)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--seeds", default="0,1,2")
    variants_help = "names separated by semicolons, dense first; by default all"
    parser.add_argument("--variants", default=";".join(VARIANTS), help=variants_help)
    parser.add_argument("--sequences", type=int, default=3_000)
    parser.add_argument("--items", type=int, default=6_000)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args(arguments)
    names, seeds = options.variants.split(";"), [int(seed) for seed in options.seeds.split(",")]
    if names[0] != BASELINE or not set(names) <= set(VARIANTS):
        parser.error(
            f"--variants is {options.variants}, expected {BASELINE} and then others of: "
            + "; ".join(VARIANTS)
        )
    world = {"sequences": options.sequences, "items": options.items}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.dataset is None:
            data = prepare(None, folder / "world", **world)
        else:
            data = Dataset.open(options.dataset)
        rows = measure(data, names, seeds, options.epochs, folder)
    report(rows, names)
    trained_on = options.dataset.name if options.dataset else world
    print(json.dumps({"benchmark": "sparse_quality", "world": trained_on, "rows": rows}))


def report(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Print one line per variant: means over the seeds, and the range of its differences."""
    columns = f"{METRIC:>8} {'of dense':>9} {'differences':>20} {'ms/step':>8} {'MB':>7}"
    print(f"\n{'variant':36} {columns}")
    baseline = np.mean([row["ndcg"] for row in rows if row["variant"] == BASELINE])
    for name in names:
        variant_rows = [row for row in rows if row["variant"] == name]
        mean = np.mean([row["ndcg"] for row in variant_rows])
        ms = min(row["step_ms"] for row in variant_rows)
        mb = variant_rows[0]["step_mb"]
        differences = [row.get("difference", 0.0) for row in variant_rows]
        spread = f"{min(differences):+.4f} to {max(differences):+.4f}"
        print(f"{name:36} {mean:>8.4f} {mean / baseline:>9.3f} {spread:>20} {ms:>8.1f} {mb:>7.1f}")


if __name__ == "__main__":
    main()
