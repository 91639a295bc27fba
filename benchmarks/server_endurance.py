"""A server at 80 % of what it can answer, for minutes: errors, latency and memory.

    python benchmarks/server_endurance.py [RUN] [--minutes 10] [--share 0.8] [--history 50] [--k 10]

First, connections that each send one request after another show how many requests per second the
server answers at most on the machine as it is. Then requests arrive at random times at a share of
that rate, as in benchmarks/server.py, in windows of a twentieth of the time. Memory counts from the
end of the first quarter on: caches fill before. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from segue.recommender import Recommender
from server import (
    CONNECTIONS,
    Served,
    http_request,
    measure,
    random_bodies,
    running,
    train_briefly,
)

WINDOWS = 20
CAPACITY_S = 10.0
COLUMNS = ("requests", "requests_per_s", "errors", "p50_ms", "p99_ms", "server_core_ms")


async def most_requests_per_s(served: Served, requests: list[bytes], seconds: float) -> float:
    """Requests per second that are answered if every connection always waits for an answer."""
    end_s, n_answers, contents = time.perf_counter() + seconds, 0, cycle(requests)

    async def send_in_turn() -> None:
        nonlocal n_answers
        reader, writer = await asyncio.open_connection(served.host, served.port)
        while time.perf_counter() < end_s:
            writer.write(next(contents))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            n_answers += head.startswith(b"HTTP/1.1 200")
        writer.close()

    start_s = time.perf_counter()
    await asyncio.gather(*(send_in_turn() for _ in range(CONNECTIONS)))
    return n_answers / (time.perf_counter() - start_s)


def endure(
    served: Served, bodies: list[dict[str, Any]], rate: float, minutes: float
) -> list[dict[str, Any]]:
    """The windows of a load in turn."""
    windows = []
    for _ in range(WINDOWS):
        windows.append(measure(served, bodies, rate, 60 * minutes / WINDOWS))
        windows[-1]["resident_bytes"] = served.resident_bytes
    return windows


def summarise(windows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the whole time, the latencies of its windows, and how memory changed."""
    n_requests = sum(window["requests"] for window in windows)
    resident = [window["resident_bytes"] for window in windows[WINDOWS // 4 - 1 :]]
    return {
        "requests": n_requests,
        "errors": sum(window["errors"] for window in windows),
        "p50_ms": sorted(window["p50_ms"] for window in windows)[WINDOWS // 2],
        "worst_p99_ms": max(window["p99_ms"] for window in windows),
        "resident_mb": round(resident[0] / 1e6, 1),
        "memory_change": round(resident[-1] / resident[0] - 1, 5),
        "memory_range": round((max(resident) - min(resident)) / resident[0], 5),
    }


def print_results(console: Console, windows: list[dict[str, Any]], summary: dict) -> None:
    """Print every fourth window, and the whole."""
    table = Table(title="POST /v1/recommend, in turn", title_justify="left")
    for name in ("window", *COLUMNS, "resident_mb"):
        table.add_column(name.replace("_", " "), justify="right")
    for number, window in list(enumerate(windows, start=1))[3::4]:
        shown = [str(window[name]) for name in COLUMNS]
        table.add_row(str(number), *shown, f"{window['resident_bytes'] / 1e6:.1f}")
    console.print(table)
    console.print(summary)


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="A server under load for minutes.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--share", type=float, default=0.8, help="of what the server can answer")
    parser.add_argument("--history", type=int, default=50)
    parser.add_argument("--k", type=int, default=10)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        run = options.run or train_briefly(Path(folder))
        model = Recommender.load(run)
        bodies = random_bodies(model, options.history, options.k)
        with running(run, Path(folder) / "log", "--max-k", str(options.k)) as served:
            requests = [http_request(served, body) for body in bodies]
            asyncio.run(most_requests_per_s(served, requests, 2.0))  # connections and caches
            most = asyncio.run(most_requests_per_s(served, requests, CAPACITY_S))
            windows = endure(served, bodies, options.share * most, options.minutes)
    summary = {
        "minutes": options.minutes,
        "most_requests_per_s": round(most, 1),
        "rate": round(options.share * most, 1),
        **summarise(windows),
    }
    console = Console(width=120)
    print_results(console, windows, summary)
    record = {"benchmark": "server_endurance", "run": model.name, **summary}
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
