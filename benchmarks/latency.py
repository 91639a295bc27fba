"""Latency of single requests to a trained model, and the compilations that they cause.

    python benchmarks/latency.py [RUN] [--requests 500] [--max-k 100] [--max-length 2000]

Without a run, a model of the preset sasrec is trained for a few steps on the built-in world. After
``Recommender.warm_up`` it makes requests with random k and histories of random length, with seen
items in or out, every second one a batch of up to 64 histories, and counts what is compiled. Times
are those of the requests of one history: wall-clock time, which other processes lengthen, and
processor time.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from segue.preparation import prepare
from segue.recommender import Recommender, Run
from segue.trainer import train

MAX_ROWS = 64
"""Largest number of histories per request."""

PERCENTILES = (50, 90, 99)


class _CountCompilations(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "Compiling" in record.getMessage()


@contextmanager
def compilations() -> Iterator[_CountCompilations]:
    """Count the functions that XLA compiles, also those that come from the cache on disk."""
    handler, logger = _CountCompilations(), logging.getLogger("jax")
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        with jax.log_compiles():
            yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


def measure(
    model: Recommender, n_requests: int, max_k: int, max_length: int, seed: int = 0
) -> dict[str, Any]:
    """Warm up, make the requests, and summarise.

    Args:
        model: a trained model.
        n_requests: number of requests, half of them of one history.
        max_k: largest number of items.
        max_length: largest number of events in a history.
        seed: of the requests.
    """
    max_k = min(max_k, len(model.item_ids))
    start, start_core = time.perf_counter(), time.process_time()
    shapes = model.warm_up(MAX_ROWS, max_k)
    warm_up = {
        "shapes": len(shapes),
        "seconds": round(time.perf_counter() - start, 2),
        "core_seconds": round(time.process_time() - start_core, 2),
    }
    random, times = np.random.default_rng(seed), []
    ids, shortest = np.array(model.item_ids), int(not model.encoder.layout.start)
    with compilations() as compiled:
        for number in range(n_requests):
            n = int(random.integers(1, MAX_ROWS + 1)) if number % 2 else 1
            lengths = random.integers(shortest, max_length + 1, n)
            histories = [random.choice(ids, length) for length in lengths]
            options = {"k": int(random.integers(1, max_k + 1)), "include_seen": number % 4 < 2}
            start, start_core = time.perf_counter(), time.process_time()
            model.recommend(histories if number % 2 else histories[0], **options)
            if number % 2 == 0:
                clock, core = time.perf_counter() - start, time.process_time() - start_core
                times.append((1e3 * clock, 1e3 * core))
    percentiles = np.percentile(np.array(times), PERCENTILES, axis=0)
    return {
        "warm_up": warm_up,
        "compilations": compiled.count,
        "single_requests": len(times),
        "ms": dict(zip(map(str, PERCENTILES), percentiles[:, 0].round(2).tolist(), strict=True)),
        "core_ms": dict(
            zip(map(str, PERCENTILES), percentiles[:, 1].round(2).tolist(), strict=True)
        ),
    }


def train_briefly(folder: Path) -> Run:
    """Train a model on the built-in world for a few steps: its latency is that of a good one."""
    data = prepare(None, folder / "world", items=3_400)
    return train(data, folder / "run", preset="sasrec", max_steps=3)


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Latency of requests to a trained model.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--max-k", type=int, default=100)
    parser.add_argument("--max-length", type=int, default=2000)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        run = options.run or train_briefly(Path(folder))
        model = Recommender.load(run)
    result = measure(model, options.requests, options.max_k, options.max_length)
    warm_up = result["warm_up"]
    table = Table(
        title=f"{result['single_requests']} requests of one history", title_justify="left"
    )
    for column in ("percentile", "ms", "core ms"):
        table.add_column(column, justify="right")
    for percentile in result["ms"]:
        table.add_row(percentile, str(result["ms"][percentile]), str(result["core_ms"][percentile]))
    console = Console(width=100)
    console.print(table)
    console.print(
        f"{result['compilations']} compilations after warm-up "
        f"({warm_up['shapes']} shapes, {warm_up['seconds']} s)"
    )
    record = {"benchmark": "latency", "run": model.name} | result
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
