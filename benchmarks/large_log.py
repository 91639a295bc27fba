"""Prepare a large CSV log under a memory limit: seconds, peak memory, rows a second.

    python benchmarks/large_log.py [--rows 20000000] [--memory-limit 600000000]

Expect a minute at most for 20 million rows on 2 cores, within the limit. The log is drawn
by DuckDB: 100 events a user, items by a long-tailed popularity, rows in no order.
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

from segue.config import PrepareConfig, SourceConfig

EVENTS_PER_USER = 100
N_ITEMS = 100_000


class Measured(NamedTuple):
    """What one run of ``prepare`` took, and what came out."""

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


def measure(log: Path, output: Path, rows: int, memory_limit: int) -> Measured:
    """Prepare a log in this process, whose peak memory must not be an earlier task's."""
    from segue.dataset import prepare

    config = PrepareConfig(source=SourceConfig(memory_limit=memory_limit))
    started = time.perf_counter()
    dataset = prepare(log, output, config)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    counts = dataset.manifest.counts
    return Measured(rows, memory_limit, seconds, peak_bytes, counts.sequences, counts.items)


def show(measured: Measured) -> None:
    """Print a table for a person, then one JSON line for a program."""
    table = Table(title="prepare a CSV log")
    cells = {
        "rows": f"{measured.rows:,}",
        "limit, MB": f"{measured.memory_limit / 1e6:,.0f}",
        "seconds": f"{measured.seconds:.1f}",
        "peak, MB": f"{measured.peak_bytes / 1e6:,.0f}",
        "rows/s": f"{measured.rows / measured.seconds:,.0f}",
    }
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    console = Console()
    console.print(table)
    console.out(json.dumps({"benchmark": "large_log"} | measured._asdict()), highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="prepare a large CSV log")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--memory-limit", type=int, default=600_000_000, help="bytes")
    options = parser.parse_args()
    # A fresh process: a forked one would begin with the parent's memory.
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="segue-bench-") as folder:
        log = Path(folder, "log.csv")
        write_log(log, options.rows)
        with fresh.Pool(1) as pool:
            arguments = (log, Path(folder, "dataset"), options.rows, options.memory_limit)
            measured = pool.apply(measure, arguments)
    show(measured)


if __name__ == "__main__":
    main()
