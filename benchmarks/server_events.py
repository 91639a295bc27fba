"""Events per second that ``segue serve`` acknowledges, by events per call.

    python benchmarks/server_events.py [EVENTS] [--sizes 1,10,100] [--seconds 5] [--connections 32]

``EVENTS`` is the store: a file of SQLite (by default a new one) or ``postgresql://...``. The server
is a process of its own, without a model. Each connection sends its next call when the last one was
answered; an answer means that the events are on disk. Every event is new.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

HOST = "127.0.0.1"
COLUMNS = ("events_per_call", "events_per_s", "calls_per_s", "p50_ms", "p99_ms", "core_us")


def serve(location: str) -> None:
    """Serve events on a free port, which is printed, until the process is terminated."""
    import uvicorn

    from segue.event_store import open_event_store
    from segue.server.app import create_app
    from segue.server.listening import bound_socket
    from segue.server.registry import ModelRegistry
    from segue.server.serving import configuration

    app = create_app(ModelRegistry({}), events=open_event_store(location, creates=True))
    listening = bound_socket(HOST, 0)
    listening.listen(1_024)
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(configuration(app, app.state.service.settings)).run([listening])


@contextmanager
def running(location: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port."""
    command = [sys.executable, __file__, location, "--serve"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.terminate()


def measure(
    process: subprocess.Popen[str], port: int, size: int, seconds: float, connections: int
) -> dict[str, float]:
    """Send calls of one size, and summarise."""
    core_s, start_s = core_seconds(process), time.perf_counter()
    latencies = asyncio.run(send_load(port, size, seconds, connections))
    took_s = time.perf_counter() - start_s
    n_events = size * len(latencies)
    return {
        "events_per_call": size,
        "events_per_s": round(n_events / took_s),
        "calls_per_s": round(len(latencies) / took_s),
        "p50_ms": round(1e3 * float(np.percentile(latencies, 50)), 1),
        "p99_ms": round(1e3 * float(np.percentile(latencies, 99)), 1),
        "core_us": round(1e6 * (core_seconds(process) - core_s) / n_events, 1),
    }


async def send_load(port: int, size: int, seconds: float, connections: int) -> list[float]:
    """The latency of each call, in seconds."""
    latencies: list[float] = []
    end_s = time.perf_counter() + seconds

    async def send(number: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        call = 0
        while (start_s := time.perf_counter()) < end_s:
            writer.write(request(port, f"{size}-{number}-{call}", size))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(head.decode())
            latencies.append(time.perf_counter() - start_s)
            call += 1
        writer.close()

    await asyncio.gather(*map(send, range(connections)))
    return latencies


def request(port: int, name: str, size: int) -> bytes:
    """A call with new events."""
    events = [
        {
            "event_id": f"{time.time_ns()}-{name}-{n}",
            "user_id": f"user-{hash((name, n)) % 10_000}",
            "item_id": f"item-{n}",
            "time": "2025-06-01T12:00:00Z",
            "kind": "view",
        }
        for n in range(size)
    ]
    content = json.dumps({"events": events}).encode()
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def core_seconds(process: subprocess.Popen[str]) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("events", nargs="?")
    parser.add_argument("--sizes", default="1,10,100")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.events)
        return
    with TemporaryDirectory() as folder:
        location = arguments.events or str(Path(folder) / "events.db")
        with running(location) as (process, port):
            results = [
                measure(process, port, int(size), arguments.seconds, arguments.connections)
                for size in arguments.sizes.split(",")
            ]
    kind = "postgresql" if location.startswith("postgres") else "sqlite"
    table = Table(title=f"POST /v1/events, {kind}", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(*(f"{result[name]:,}" for name in COLUMNS))
    Console(stderr=True).print(table)
    print(json.dumps({"store": kind, "connections": arguments.connections, "loads": results}))


if __name__ == "__main__":
    main()
