"""Prepare a large CSV log under a memory limit: seconds, peak memory, rows per second.

    python benchmarks/large_log.py [--rows 20000000] [--memory-limit 600000000]

Expect at most one minute for 20 million rows on 2 cores, with a peak below the limit (in bytes).
DuckDB generates the log: 100 events per user on average, items with a long-tailed popularity,
rows in random order.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import duckdb
from rich.console import Console
from rich.table import Table

EVENTS_PER_USER = 100
N_ITEMS = 100_000


class PreparationCost(NamedTuple):
    """Time and memory of one run of ``prepare``, and the size of its dataset.

    Attributes:
        rows: number of rows of the log.
        memory_limit: the configured limit, in bytes.
        seconds: wall-clock time.
        peak_bytes: peak resident memory of the process.
        sequences: number of sequences of the dataset.
        items: number of items of the dataset.
    """

    rows: int
    memory_limit: int
    seconds: float
    peak_bytes: int
    sequences: int
    items: int


def write_log(path: Path, rows: int) -> None:
    """Write a CSV log with the columns user_id, item_id, timestamp and rating."""
    with duckdb.connect() as connection:
        connection.execute(f"""
            COPY (
                SELECT
                    'u' || hash(3 * i) % {max(rows // EVENTS_PER_USER, 1)} AS user_id,
                    floor({N_ITEMS} * pow(hash(3 * i + 1) % 1000000 / 1e6, 3))::INT AS item_id,
                    1400000000 + hash(3 * i + 2) % 200000000 AS timestamp,
                    (1 + hash(i) % 10) / 2.0 AS rating
                FROM range({rows}) AS rows(i)
            ) TO '{path}' (HEADER)
        """)


def measure(log: Path, output: Path, rows: int, memory_limit: int) -> PreparationCost:
    """Prepare a log in this process.

    Call it in a new process, whose peak memory is that of this work alone.

    Args:
        log: the CSV file.
        output: folder of the dataset.
        rows: number of rows of the log.
        memory_limit: in bytes.
    """
    from segue.preparation import prepare

    start = time.perf_counter()
    dataset = prepare(log, output, memory_limit=memory_limit)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    counts = dataset.manifest.counts
    return PreparationCost(rows, memory_limit, seconds, peak_bytes, counts.sequences, counts.items)


def show(cost: PreparationCost) -> None:
    """Print a table, then one line of JSON."""
    table = Table(title="prepare a CSV log")
    cells = {
        "rows": f"{cost.rows:,}",
        "limit, MB": f"{cost.memory_limit / 1e6:,.0f}",
        "seconds": f"{cost.seconds:.1f}",
        "peak, MB": f"{cost.peak_bytes / 1e6:,.0f}",
        "rows/s": f"{cost.rows / cost.seconds:,.0f}",
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    console = Console()
    console.print(table)
    console.out(json.dumps({"benchmark": "large_log"} | cost._asdict()), highlight=False)


def main() -> None:
    """Generate the log, prepare it in a new process, and print the cost."""
    parser = argparse.ArgumentParser(description="Prepare a large CSV log.")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--memory-limit", type=int, default=600_000_000, help="bytes")
    options = parser.parse_args()
    # Spawned, because the peak memory of a forked process would include its parent's memory.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="segue-bench-") as folder:
        log = Path(folder, "log.csv")
        write_log(log, options.rows)
        with context.Pool(1) as pool:
            arguments = (log, Path(folder, "dataset"), options.rows, options.memory_limit)
            cost = pool.apply(measure, arguments)
    show(cost)


if __name__ == "__main__":
    main()
