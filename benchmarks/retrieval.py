"""Exact search over a large catalogue: milliseconds a query, and bytes a second.

    python benchmarks/retrieval.py [--items 2262292] [--dim 128] [--k 20] [--repeats 7]

The yardstick is how fast two threads can read the table, each adding up half of it. Beside
Segue stand brute force in NumPy and, where it is installed, faiss.IndexFlatIP; all must find
the same scores. They take turns, so that other work on the machine falls on all alike, and
of each the best turn counts: other work only ever adds time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float32
from rich.console import Console
from rich.table import Table

from segue import retrieval
from segue.axes import N_SPECIALS, Ragged

Hidden = Float32[np.ndarray, "batch dim"]
Items = Float32[np.ndarray, "table dim"]
Scores = Float32[np.ndarray, "batch k"]
Search = Callable[[Hidden], Scores]

BATCHES = (1, 8, 32)
"""Queries asked together."""

READERS = 2
"""Threads of the yardstick."""

YARDSTICK = "read-only sum"


class Measured(NamedTuple):
    """The best turn of one way with so many queries.

    Attributes:
        core_ms: processor time of all threads, in its own best turn.
    """

    way: str
    queries: int
    ms: float
    core_ms: float


def make_table(rows: int, dim: int) -> Float32[Array, "table dim"]:
    """Random embeddings."""
    return jax.device_put(np.random.default_rng(0).standard_normal((rows, dim), np.float32))


def read(items: Items) -> None:
    """Add up the table, a part in each of a few threads."""
    with ThreadPoolExecutor(READERS) as threads:
        list(threads.map(np.sum, np.array_split(items.reshape(-1), READERS)))


def with_segue(table: Float32[Array, "table dim"], k: int) -> Search:
    """The search that is measured, with nothing excluded but the special tokens."""

    def search(hidden: Hidden) -> Scores:
        return retrieval.top(hidden, table, Ragged.of([[]] * len(hidden)), k).scores

    return search


def with_numpy(items: Items, k: int) -> Search:
    """All scores at once, and a partial sort of them."""

    def search(hidden: Hidden) -> Scores:
        scores = hidden @ items[N_SPECIALS:].T
        return -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)

    return search


def with_faiss(items: Items, k: int) -> Search:
    """The exact index of inner products."""
    index = importlib.import_module("faiss").IndexFlatIP(items.shape[1])
    index.add(items[N_SPECIALS:])
    return lambda hidden: index.search(hidden, k)[0]


def searches(table: Float32[Array, "table dim"], k: int) -> dict[str, Search]:
    """The ways that there are here, by name."""
    items = np.asarray(table)
    ways = {"segue": with_segue(table, k), "numpy": with_numpy(items, k)}
    if find_spec("faiss"):
        ways["faiss"] = with_faiss(items, k)
    return ways


def measure(table: Float32[Array, "table dim"], k: int, repeats: int) -> list[Measured]:
    """The yardstick first, then every way with every number of queries."""
    items, ways = np.asarray(table), searches(table, k)
    rng = np.random.default_rng(1)
    turns: dict[tuple[str, int], Callable[[], object]] = {(YARDSTICK, 0): lambda: read(items)}
    for batch in BATCHES:
        hidden = rng.standard_normal((batch, items.shape[1]), np.float32)
        expected = ways["numpy"](hidden)
        for way, search in ways.items():
            if not np.allclose(search(hidden), expected, atol=1e-3):  # compiles, too
                raise RuntimeError(f"{way} and numpy found different scores")
            turns[way, batch] = partial(search, hidden)
    taken = np.array([[_milliseconds(turn) for turn in turns.values()] for _ in range(repeats)])
    return [Measured(*key, *best) for key, best in zip(turns, taken.min(axis=0), strict=True)]


def _milliseconds(turn: Callable[[], object]) -> tuple[float, float]:
    """Of the clock, and of all threads."""
    clock, cores = time.perf_counter(), time.process_time()
    turn()
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cores)


def summarise(measured: list[Measured], table_bytes: int) -> list[dict[str, Any]]:
    """Rows of the table; ``of_yardstick`` is how fast the table is gone through, against it."""
    yardstick, times = measured[0], {(m.way, m.queries): m.ms for m in measured}
    return [
        {
            "way": m.way,
            "queries": m.queries,
            "ms": round(m.ms, 2),
            "ms_per_query": round(m.ms / max(m.queries, 1), 2),
            "core_ms": round(m.core_ms, 2),
            "gb_per_s": round(table_bytes / m.ms / 1e6, 2),
            "of_yardstick": round(yardstick.ms / m.ms, 3),
            "of_one_query": round(m.ms / times.get((m.way, 1), m.ms), 2),
        }
        for m in measured
    ]


def main() -> None:
    """Measure, draw the table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="exact search over a large catalogue")
    parser.add_argument("--items", type=int, default=2_262_292, help="those of the MPD")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    table = make_table(N_SPECIALS + options.items, options.dim)
    results = summarise(measure(table, options.k, options.repeats), table.nbytes)
    title = f"The best {options.k} of {options.items:,} items of {options.dim} numbers"
    shown = Table(title=title)
    for column in results[0]:
        shown.add_column(column.replace("_", " "), justify="left" if column == "way" else "right")
    for result in results:
        shown.add_row(*map(str, result.values()))
    console = Console(width=100)
    console.print(shown)
    record = {"benchmark": "retrieval"} | vars(options) | {"results": results}
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
