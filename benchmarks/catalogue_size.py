"""Training step time and memory by catalogue size, with dense and sparse updates.

    python benchmarks/catalogue_size.py [--items 10000,100000,1000000,2262292] [--steps 5]

Each cell of the table is measured in a separate process, because a process has only one peak of
resident memory. Batches consist of full rows: every playlist is as long as the preset's context.
The probability of an item is inversely proportional to its popularity rank. The model, the loss,
the optimizer and the step are the library's own. Every cell is measured once per round, and the
round with the fastest step is reported, because other work on the machine only adds time.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

FLOAT32 = {"embedding_precision": "float32"}
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "published, dense": ("playlist-decoder", {}),
    "published, sparse": ("playlist-decoder", {"embedding_updates": "sparse"}),
    "large, dense": (
        "playlist-large",
        {**FLOAT32, "embedding_updates": "dense", "sparse_learning_rate_scale": 1},
    ),
    "large, sparse": ("playlist-large", {**FLOAT32, "embedding_updates": "sparse"}),
    "large, sparse-rowwise": ("playlist-large", FLOAT32),
    "large, sparse, bfloat16 optimizer state": (
        "playlist-large",
        {**FLOAT32, "embedding_updates": "sparse", "state_precision": "bfloat16"},
    ),
    "large, sparse-rowwise, bfloat16 embeddings": ("playlist-large", {}),
}
"""Preset of each recipe, and the changes to it."""
BASELINE = "published, dense"
PLAYLISTS_PER_EPOCH = 800_000
"""Training playlists of the complete Million Playlist Dataset."""


def zipf_batch(random: np.random.Generator, rows: int, length: int, vocabulary_size: int) -> Any:
    """A batch of one bucket of full rows, START and then items, with the next item as each label.

    Args:
        random: source of the draws.
        rows: number of playlists.
        length: number of tokens per row.
        vocabulary_size: number of special tokens and items.
    """
    from segue.batches import Bucket
    from segue.tokens import N_SPECIALS, START

    ranks = np.exp(random.random((rows, length + 1)) * np.log(vocabulary_size - N_SPECIALS)).astype(
        int
    )
    tokens = (N_SPECIALS + ranks - 1).astype(np.int32)
    tokens[:, 0] = START
    labels = np.ascontiguousarray(tokens[:, 1:])
    return (Bucket(np.ascontiguousarray(tokens[:, :-1]), labels),)


def measure(preset: str, changes: dict[str, Any], n_items: int, n_steps: int) -> dict[str, float]:
    """Time the steps of a recipe in this process.

    Args:
        preset: name of the preset.
        changes: values of configuration keys that replace those of the preset.
        n_items: size of the catalogue.
        n_steps: number of timed steps; one step for compilation precedes them.

    Returns:
        Seconds of the fastest step, the least processor time of a step in seconds, playlists per
        second, the peak of resident memory in GB, and the loss of the last step.
    """
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from segue.config import load_config
    from segue.dataset import PopularityOrder
    from segue.model import Transformer
    from segue.optimizers import optimizer
    from segue.tokens import N_SPECIALS
    from segue.trainer.inputs import StepConstants, draws_by_popularity
    from segue.trainer.step import jitted_step, sparse_tables_of
    from segue.trainer.train_state import TrainState

    config = load_config(preset, **changes)
    size = N_SPECIALS + n_items
    graph, params = nnx.split(Transformer(config.model, size, rngs=nnx.Rngs(0)))
    tx = optimizer(config.optimizer, 1_000)
    state = TrainState(params, tx.init(params))
    del params
    popularity_order = (
        PopularityOrder.of(np.zeros(size, np.int64)) if draws_by_popularity(config.loss) else None
    )
    log_shares = np.full(size, -np.log(size), np.float32) if config.loss.in_batch else None
    constants = jax.device_put(
        StepConstants(popularity_order=popularity_order, log_shares=log_shares)
    )
    sparse_tables = sparse_tables_of(config)
    step = jitted_step(graph, tx, config.loss, jax.random.key(0), sparse_tables=sparse_tables)
    random, rows = np.random.default_rng(0), config.training.batch_size
    wall_times, processor_times, losses = [], [], []
    for number in range(n_steps + 1):
        batch = zipf_batch(random, rows, config.model.context, size)
        wall_start, processor_start = time.perf_counter(), time.process_time()
        state, report = step(state, constants, batch, jnp.int32(number + 1))
        losses.append(report.loss.block_until_ready())
        wall_times.append(time.perf_counter() - wall_start)
        processor_times.append(time.process_time() - processor_start)
    fastest = min(wall_times[1:])
    return {
        "step_s": fastest,
        "processor_s": min(processor_times[1:]),
        "playlists_per_s": rows / fastest,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "loss": float(losses[-1]),
    }


def measure_in_subprocess(recipe: str, n_items: int, n_steps: int) -> dict[str, float]:
    """``measure`` in a new process."""
    command = [sys.executable, __file__, "--cell", recipe, "--items", str(n_items)]
    completed = subprocess.run(
        [*command, "--steps", str(n_steps)], capture_output=True, text=True, check=True
    )
    return json.loads(completed.stdout.splitlines()[-1])


def faster(first: dict[str, float] | None, second: dict[str, float]) -> dict[str, float]:
    """The measurement of a cell with the shorter step; the second if there is only one."""
    return second if first is None or second["step_s"] < first["step_s"] else first


def main(arguments: list[str] | None = None) -> None:
    """Measure all cells, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--items", default="10000,100000,1000000,2262292")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    recipes_help = 'names separated by commas, with "~" instead of ", " within a name'
    parser.add_argument(
        "--recipes", default=",".join(RECIPES).replace(", ", "~"), help=recipes_help
    )
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.items.split(",")]
    if options.cell:
        print(json.dumps(measure(*RECIPES[options.cell], sizes[0], options.steps)))
        return
    recipes = [name.replace("~", ", ") for name in options.recipes.split(",")]
    cells: dict[tuple[str, int], dict[str, float]] = {}
    for _ in range(options.rounds):
        for size in sizes:
            for recipe in recipes:
                cell = measure_in_subprocess(recipe, size, options.steps)
                cells[recipe, size] = faster(cells.get((recipe, size)), cell)
    report(cells)


def report(cells: dict[tuple[str, int], dict[str, float]]) -> None:
    """Print a table of the cells, then one line of JSON."""
    largest = max(size for _, size in cells)
    print(
        f"{'recipe':42} {'items':>10} {'ms/step':>9} {'cpu ms':>8} {'playlists/s':>11} "
        f"{'peak GB':>8}"
    )
    for (recipe, size), cell in cells.items():
        print(
            f"{recipe:42} {size:>10,} {cell['step_s'] * 1e3:>9.1f} "
            f"{cell['processor_s'] * 1e3:>8.1f} {cell['playlists_per_s']:>11.1f} "
            f"{cell['peak_gb']:>8.2f}"
        )
    baseline = cells.get((BASELINE, largest))
    summary = {}
    for (recipe, size), cell in cells.items():
        if size != largest:
            continue
        summary[recipe] = {
            "epoch_minutes": PLAYLISTS_PER_EPOCH / cell["playlists_per_s"] / 60,
            "times_baseline": baseline and cell["playlists_per_s"] / baseline["playlists_per_s"],
        }
    rows = [{"recipe": recipe, "items": size, **cell} for (recipe, size), cell in cells.items()]
    print(json.dumps({"benchmark": "catalogue_size", "cells": rows, "at_largest": summary}))


if __name__ == "__main__":
    main()
