"""Exact top-k search over a large catalogue: milliseconds per query, and bytes per second.

    python benchmarks/retrieval.py [--items 2262292] [--dim 128] [--k 20] [--repeats 7]

Compares Segue's search with brute force in NumPy and, if it is installed, faiss.IndexFlatIP. All
of them must return the same scores. The reference time is that of two threads that read the
embeddings once and sum half of them each. The methods alternate, so that other work on the
machine affects all alike. The fastest of several runs is reported, because other work only adds
time.
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
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32
from rich.console import Console
from rich.table import Table

from segue.recommender import search
from segue.recommender.masks import catalogue_mask
from segue.tokens import N_SPECIALS

Hidden = Float32[np.ndarray, "batch dim"]
Embeddings = Float32[np.ndarray, "vocabulary dim"]
Scores = Float32[np.ndarray, "batch k"]
SearchMethod = Callable[[Hidden], Scores]
"""From hidden states to the scores of the k best items of each, best first."""

BATCH_SIZES = (1, 8, 32)
"""Queries per call."""

READER_THREADS = 2
"""Threads of the read-only sum."""

READ_ONLY_SUM = "read-only sum"


class SearchTiming(NamedTuple):
    """The fastest run of a method with one batch size.

    Attributes:
        method: name of the method.
        queries: number of queries; 0 for the read-only sum.
        ms: wall-clock time in milliseconds.
        core_ms: processor time of all threads in milliseconds, the minimum over the runs.
    """

    method: str
    queries: int
    ms: float
    core_ms: float


def random_embeddings(rows: int, dim: int) -> Float32[Array, "vocabulary dim"]:
    """Normally distributed embeddings, on the device."""
    return jax.device_put(np.random.default_rng(0).standard_normal((rows, dim), np.float32))


def read(embeddings: Embeddings) -> None:
    """Sum the embeddings, an equal part in each of ``READER_THREADS`` threads."""
    with ThreadPoolExecutor(READER_THREADS) as threads:
        list(threads.map(np.sum, np.array_split(embeddings.reshape(-1), READER_THREADS)))


def with_segue(embeddings: Float32[Array, "vocabulary dim"], k: int) -> SearchMethod:
    """Segue's search, with no excluded items."""
    catalogue = catalogue_mask(np.ones(len(embeddings), bool))

    def top_scores(hidden: Hidden) -> Scores:
        query = search.query_of_states((jnp.asarray(hidden),), catalogue)
        return search.top(query, (embeddings,), k).scores

    return top_scores


def with_numpy(embeddings: Embeddings, k: int) -> SearchMethod:
    """Brute force: all scores at once, and a partial sort."""

    def top_scores(hidden: Hidden) -> Scores:
        scores = hidden @ embeddings[N_SPECIALS:].T
        return -np.sort(np.partition(-scores, k - 1, axis=1)[:, :k], axis=1)

    return top_scores


def with_faiss(embeddings: Embeddings, k: int) -> SearchMethod:
    """The exact inner-product index of faiss."""
    index = importlib.import_module("faiss").IndexFlatIP(embeddings.shape[1])
    index.add(embeddings[N_SPECIALS:])
    return lambda hidden: index.search(hidden, k)[0]


def search_methods(embeddings: Float32[Array, "vocabulary dim"], k: int) -> dict[str, SearchMethod]:
    """The methods that are installed, by name."""
    on_host = np.asarray(embeddings)
    methods = {"segue": with_segue(embeddings, k), "numpy": with_numpy(on_host, k)}
    if find_spec("faiss"):
        methods["faiss"] = with_faiss(on_host, k)
    return methods


def measure(
    embeddings: Float32[Array, "vocabulary dim"], k: int, repeats: int
) -> list[SearchTiming]:
    """Time the read-only sum, then every method with every batch size.

    Args:
        embeddings: output embeddings, special tokens included.
        k: number of items per query.
        repeats: number of runs, of which the fastest is reported.

    Raises:
        RuntimeError: the scores of a method differ from those of NumPy.
    """
    on_host, methods = np.asarray(embeddings), search_methods(embeddings, k)
    rng = np.random.default_rng(1)
    runs: dict[tuple[str, int], Callable[[], object]] = {(READ_ONLY_SUM, 0): lambda: read(on_host)}
    for batch_size in BATCH_SIZES:
        hidden = rng.standard_normal((batch_size, on_host.shape[1]), np.float32)
        expected = methods["numpy"](hidden)
        for name, method in methods.items():
            # The first call also compiles.
            if not np.allclose(method(hidden), expected, atol=1e-3):
                raise RuntimeError(f"the scores of {name} differ from those of numpy")
            runs[name, batch_size] = partial(method, hidden)
    times = np.array([[_milliseconds(run) for run in runs.values()] for _ in range(repeats)])
    return [SearchTiming(*key, *best) for key, best in zip(runs, times.min(axis=0), strict=True)]


def _milliseconds(run: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock time, and processor time of all threads."""
    wall_start, processor_start = time.perf_counter(), time.process_time()
    run()
    return (
        1e3 * (time.perf_counter() - wall_start),
        1e3 * (time.process_time() - processor_start),
    )


def summarise(timings: list[SearchTiming], embedding_bytes: int) -> list[dict[str, Any]]:
    """The rows of the table.

    Args:
        timings: the read-only sum first.
        embedding_bytes: size of the embeddings.

    Returns:
        Values by column. ``of_read_only_sum`` is the time of the read-only sum divided by that of
        the row, and ``of_one_query`` the time of the row divided by that of one query.
    """
    read_only_sum = timings[0]
    times = {(timing.method, timing.queries): timing.ms for timing in timings}
    return [
        {
            "method": timing.method,
            "queries": timing.queries,
            "ms": round(timing.ms, 2),
            "ms_per_query": round(timing.ms / max(timing.queries, 1), 2),
            "core_ms": round(timing.core_ms, 2),
            "gb_per_s": round(embedding_bytes / timing.ms / 1e6, 2),
            "of_read_only_sum": round(read_only_sum.ms / timing.ms, 3),
            "of_one_query": round(timing.ms / times.get((timing.method, 1), timing.ms), 2),
        }
        for timing in timings
    ]


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Exact search over a large catalogue.")
    parser.add_argument(
        "--items", type=int, default=2_262_292, help="by default those of the full MPD"
    )
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    embeddings = random_embeddings(N_SPECIALS + options.items, options.dim)
    results = summarise(measure(embeddings, options.k, options.repeats), embeddings.nbytes)
    title = f"The best {options.k} of {options.items:,} items of {options.dim} dimensions"
    table = Table(title=title)
    for column in results[0]:
        justify = "left" if column == "method" else "right"
        table.add_column(column.replace("_", " "), justify=justify)
    for result in results:
        table.add_row(*map(str, result.values()))
    console = Console(width=100)
    console.print(table)
    record = {"benchmark": "retrieval"} | vars(options) | {"results": results}
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
