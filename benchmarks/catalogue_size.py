"""Step time and memory against the size of the catalogue, dense and by rows.

    python benchmarks/catalogue_size.py [--items 10000,100000,1000000,2262292] [--steps 5]

Every cell is a process of its own, so that its peak of resident memory is its own too. Batches
are full rows of the preset's context, their items drawn by rank as one over the rank, so that
playlists a second are those of playlists as long as the context; the model, its loss and its
optimizer are the library's own step. Rounds of all cells follow each other, and the fastest
step of a cell counts, which other work on the machine disturbs least.
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

WHOLE = ["model.table_precision=float32"]
RECIPES: dict[str, tuple[str, list[str]]] = {
    "published, dense": ("playlist-decoder", []),
    "published, sparse": ("playlist-decoder", ["optimizer.item_table=sparse"]),
    "large, dense": (
        "playlist-large",
        [*WHOLE, "optimizer.item_table=dense", "optimizer.row_rate=1"],
    ),
    "large, sparse": ("playlist-large", [*WHOLE, "optimizer.item_table=sparse"]),
    "large, lean": ("playlist-large", WHOLE),
    "large, sparse, bfloat16 moments": (
        "playlist-large",
        [*WHOLE, "optimizer.item_table=sparse", "optimizer.moment_precision=bfloat16"],
    ),
    "large, lean, bfloat16 table": ("playlist-large", []),
}
"""Preset and overrides of each row of the table."""
BASELINE = "published, dense"
PLAYLISTS = 800_000
"""An epoch at full scale."""


def zipf_batch(random: np.random.Generator, rows: int, length: int, table_size: int) -> Any:
    """Full rows of START and items, each followed by its label."""
    from segue.axes import N_SPECIALS, START
    from segue.batches import Batch

    ranks = np.exp(random.random((rows, length + 1)) * np.log(table_size - N_SPECIALS)).astype(int)
    tokens = (N_SPECIALS + ranks - 1).astype(np.int32)
    tokens[:, 0] = START
    return Batch(np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:]))


def measure(preset: str, overrides: list[str], n_items: int, n_steps: int) -> dict[str, float]:
    """Seconds of the fastest step, its share of processor time, and the peak of memory."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from segue.axes import N_SPECIALS
    from segue.config import load_config
    from segue.model import Transformer
    from segue.optimizers import optimizer
    from segue.trainer.loss import Known
    from segue.trainer.step import State, compile_step, tables_by_rows

    config = load_config(preset, None, overrides)
    size = N_SPECIALS + n_items
    graph, params = nnx.split(Transformer(config.model, size, rngs=nnx.Rngs(0)))
    tx = optimizer(config.optimizer, 1_000)
    state = State(params, tx.init(params))
    del params
    shares = np.full(size, -np.log(size), np.float32) if config.loss.in_batch else None
    step = compile_step(
        graph,
        tx,
        config.loss,
        jax.random.key(0),
        Known(None, shares),
        by_rows=tables_by_rows(config),
    )
    random, rows = np.random.default_rng(0), config.training.batch_size
    times, processor = [], []
    for number in range(n_steps + 1):
        batch = zipf_batch(random, rows, config.model.context, size)
        began, used = time.perf_counter(), time.process_time()
        state, report = step(state, batch, jnp.int32(number + 1))
        report.loss.block_until_ready()
        times.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    fastest = min(times[1:])
    return {
        "step_s": fastest,
        "processor_s": min(processor[1:]),
        "playlists_per_s": rows / fastest,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "loss": float(report.loss),
    }


def apart(recipe: str, n_items: int, n_steps: int) -> dict[str, float]:
    """``measure`` in a fresh process."""
    command = [sys.executable, __file__, "--cell", recipe, "--items", str(n_items)]
    ended = subprocess.run(
        [*command, "--steps", str(n_steps)], capture_output=True, text=True, check=True
    )
    return json.loads(ended.stdout.splitlines()[-1])


def best(first: dict[str, float] | None, second: dict[str, float]) -> dict[str, float]:
    """The faster of two measurements of a cell."""
    return second if first is None or second["step_s"] < first["step_s"] else first


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--items", default="10000,100000,1000000,2262292")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--recipes", default=",".join(RECIPES).replace(", ", "~"))
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
                cell = apart(recipe, size, options.steps)
                cells[recipe, size] = best(cells.get((recipe, size)), cell)
    report(cells)


def report(cells: dict[tuple[str, int], dict[str, float]]) -> None:
    """A table, then one JSON line."""
    largest = max(size for _, size in cells)
    print(f"{'recipe':20} {'items':>10} {'ms/step':>9} {'cpu ms':>8} {'lists/s':>9} {'peak GB':>8}")
    for (recipe, size), cell in cells.items():
        print(
            f"{recipe:20} {size:>10,} {cell['step_s'] * 1e3:>9.1f} "
            f"{cell['processor_s'] * 1e3:>8.1f} {cell['playlists_per_s']:>9.1f} "
            f"{cell['peak_gb']:>8.2f}"
        )
    base = cells.get((BASELINE, largest))
    summary = {}
    for (recipe, size), cell in cells.items():
        if size != largest:
            continue
        summary[recipe] = {
            "epoch_minutes": PLAYLISTS / cell["playlists_per_s"] / 60,
            "times_baseline": base and cell["playlists_per_s"] / base["playlists_per_s"],
        }
    rows = [{"recipe": recipe, "items": size, **cell} for (recipe, size), cell in cells.items()]
    print(json.dumps({"benchmark": "catalogue_size", "cells": rows, "at_largest": summary}))


if __name__ == "__main__":
    main()
