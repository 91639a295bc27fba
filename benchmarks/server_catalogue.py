"""A request to a server with a large catalogue, beside the same search inside the process.

    python benchmarks/server_catalogue.py [--items 2262292] [--repeats 40] [--k 10]

An untrained transformer of width 128 with ``--items`` items, searched exactly. The server is a
process of its own that gets one request at a time over loopback; this process searches the same
catalogue with the same histories: the whole request without HTTP (``recommend``), and the exact
search alone. The three alternate; reported are medians, and the means of the processor time of both
processes, which other programs change less. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import uvicorn
from controls import untrained
from rich.console import Console
from rich.table import Table

from segue.ranking import Ranked
from segue.recommender import Recommender, search
from segue.recommender.requests import query_of
from segue.runs import RunFolder
from segue.server.app import create_app
from segue.server.listening import bound_socket, url_of
from segue.server.registry import ModelRegistry, ServedModel
from segue.server.serving import configuration
from segue.server.settings import ServerSettings

HISTORY = 50
START_S = 600


def serve(n_items: int, k: int) -> None:
    """Serve the untrained model on a free port, whose address is the first line of stdout."""

    def load(name: str, path: Path) -> ServedModel:
        return ServedModel(name, "untrained", "", untrained(n_items), {}, RunFolder(path))

    settings = ServerSettings(max_k=k, max_batch=1, warms_controls=False)
    app = create_app(ModelRegistry({"untrained": Path()}, load), settings=settings)
    with bound_socket("127.0.0.1", 0) as listening:
        print(url_of(listening), flush=True)
        uvicorn.Server(configuration(app, settings)).run([listening])


@contextmanager
def running(n_items: int, k: int) -> Iterator[tuple[str, int]]:
    """The address and process id of a server in a process of its own, once it is ready."""
    command = [sys.executable, __file__, "--serve", "--items", str(n_items), "--k", str(k)]
    with (
        TemporaryDirectory() as folder,
        (Path(folder) / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            end_s = time.monotonic() + START_S
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > end_s:
                    raise SystemExit("the server did not become ready")
                time.sleep(0.5)
            yield url, process.pid
        finally:
            process.terminate()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def searches(
    model: Recommender, histories: list[list[str]], k: int
) -> dict[str, Callable[[int], Any]]:
    """What is compared with a request over HTTP, by the number of the history.

    The whole request, and the exact search alone, of states that were encoded before.
    """
    queries = [query_of([model.look_up(history)], k, include_seen=False) for history in histories]
    encoded = [model.ensemble.encode(query) for query in queries]

    def find(number: int) -> Ranked:
        return search.top(encoded[number], model.ensemble.vectors_of(queries[number]), k)

    return {"recommend": lambda number: model.recommend(histories[number], k), "search": find}


def core_seconds(server: int) -> float:
    """Processor time of this process and of the server so far."""
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure(
    calls: dict[str, Callable[[int], Any]], repeats: int, server: int
) -> dict[str, dict[str, float]]:
    """Median milliseconds and mean core-milliseconds of each call, in turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for number in [0, *range(repeats)]:  # the first one compiles
        for name, call in calls.items():
            start_s, core_s = time.perf_counter(), core_seconds(server)
            call(number)
            times[name].append((time.perf_counter() - start_s, core_seconds(server) - core_s))
    return {
        name: {
            "p50_ms": round(1e3 * float(np.median([wall for wall, _ in values[1:]])), 2),
            "core_ms": round(1e3 * float(np.mean([core for _, core in values[1:]])), 2),
        }
        for name, values in times.items()
    }


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="A server with a large catalogue.")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--serve", action="store_true", help="only serve, for this benchmark")
    options = parser.parse_args()
    if options.serve:
        serve(options.items, options.k)
        return
    model, random = untrained(options.items), np.random.default_rng(0)
    histories = [
        [str(item) for item in random.integers(0, options.items, HISTORY)]
        for _ in range(options.repeats)
    ]
    with (
        running(options.items, options.k) as (url, server),
        httpx.Client(base_url=url, timeout=60) as http,
    ):

        def request(number: int) -> None:
            body = {"items": histories[number], "k": options.k}
            http.post("/v1/recommend", json=body).raise_for_status()

        inside = searches(model, histories, options.k)
        times = measure({"request": request, **inside}, options.repeats, server)
    ratios = {
        f"request / {name}": round(times["request"]["p50_ms"] / times[name]["p50_ms"], 3)
        for name in ("recommend", "search")
    }
    console, table = Console(width=120), Table(title=f"{options.items:,} items, one at a time")
    for name in ("call", "p50 ms", "core ms"):
        table.add_column(name, justify="right")
    for name, value in times.items():
        table.add_row(name, *(f"{number:.2f}" for number in value.values()))
    console.print(table)
    console.print(ratios)
    record = {"benchmark": "server_catalogue", "items": options.items, "times": times} | ratios
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
