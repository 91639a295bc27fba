"""The training step of a recipe: core-seconds, and real events per core-second.

    python benchmarks/steps.py DATASET [--preset sasrec] [--set key=value ...] [--without-buckets]

Steps run on the real batches of a prepared dataset, alone, without validation. Several recipes are
compared fairly only in turns: with ``--without-buckets``, blocks of steps with and without length
buckets alternate. Prints a table, then one JSON line. Core-seconds are processor time of the
process, so other work on the machine disturbs them less than the clock; padding is no event.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp

from segue.batches import n_labels
from segue.cli.option_values import parse_changes
from segue.config import resolve_config
from segue.dataset import Dataset
from segue.machine import use_compilation_cache
from segue.preparation import prepare
from segue.trainer.run_spec import RunSpec, training_inputs

N_TURNS = 4
"""Blocks of steps per recipe; the fastest one is reported."""


class Steps:
    """Takes steps of one recipe on its real batches."""

    def __init__(self, data: Dataset, preset: str | None, changes: dict[str, Any]) -> None:
        config = resolve_config(preset, None, changes)
        features, self._batches = training_inputs(config, data)
        self.spec = RunSpec.of(config, data, features, self._batches)
        self._step, self._constants = self.spec.step(), self.spec.constants()
        self._state, self._number = self.spec.initial_state(), 0

    def measure(self, n_steps: int) -> dict[str, float]:
        """Core-seconds per step, and labels per step, over the next steps."""
        start, n_events, report = time.process_time(), 0, None
        for _ in range(n_steps):
            batch = self._batches[self._number % len(self._batches)]
            self._number += 1
            self._state, report = self._step(
                self._state, self._constants, batch, jnp.int32(self._number)
            )
            n_events += n_labels(batch)
        jax.block_until_ready((self._state, report))
        return {
            "core_s_per_step": (time.process_time() - start) / n_steps,
            "events_per_step": n_events / n_steps,
        }


def measure(
    data: Dataset, preset: str | None, recipes: dict[str, dict[str, Any]], n_steps: int
) -> dict[str, dict[str, float]]:
    """The fastest of ``N_TURNS`` blocks of steps per recipe, in turns.

    Args:
        recipes: the changes of each recipe by its name in the table.
    """
    all_steps, results = {}, {}
    for name, changes in recipes.items():
        all_steps[name] = steps = Steps(data, preset, changes)
        results[name] = {
            "compilation_core_s": steps.measure(1)["core_s_per_step"],
            "positions": steps.spec.n_positions,
            "steps_per_epoch": steps.spec.steps_per_epoch,
        }
    for _ in range(N_TURNS):
        for name, steps in all_steps.items():
            measured = steps.measure(n_steps)
            if measured["core_s_per_step"] < results[name].get("core_s_per_step", float("inf")):
                results[name] |= measured
    for result in results.values():
        result["events_per_core_s"] = result["events_per_step"] / result["core_s_per_step"]
    return results


def report(results: dict[str, dict[str, float]]) -> None:
    """Print a table, then one JSON line."""
    columns = {
        "positions": "d",
        "events_per_step": ",.0f",
        "core_s_per_step": ".4f",
        "events_per_core_s": ",.0f",
        "compilation_core_s": ".1f",
    }
    print("recipe           " + " ".join(f"{column:>18}" for column in columns))
    for name, result in results.items():
        cells = (f"{result[column]:>18{form}}" for column, form in columns.items())
        print(f"{name:<16} " + " ".join(cells))
    print(json.dumps(results))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the steps of a recipe."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset", nargs="?", help="a prepared dataset; else the built-in world")
    parser.add_argument("--preset", default="sasrec")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=4, help="steps per turn")
    parser.add_argument("--without-buckets", action="store_true", help="compare without buckets")
    options = parser.parse_args(arguments)
    use_compilation_cache()
    changes = parse_changes(options.changes)
    recipes = {options.preset: changes}
    if options.without_buckets:
        recipes["without buckets"] = {**changes, "training.bucket_by_length": False}
    with TemporaryDirectory() as folder:
        data = options.dataset or prepare(None, Path(folder) / "data", format="demo")
        data = data if isinstance(data, Dataset) else Dataset.open(data)
        report(measure(data, options.preset, recipes, options.steps))


if __name__ == "__main__":
    main()
