"""Requests per second and latency of ``segue serve``, and what micro-batching saves at the model.

    python benchmarks/server.py [RUN] [--rates 50,200] [--seconds 5] [--history 50] [--k 10]

The server is a process of its own; this process sends the load over loopback. Requests arrive at
random times of a fixed mean rate, whether earlier ones were answered or not, and a latency counts
from that time on: so a server that is too slow cannot hide it. Core-milliseconds per request are
those of the server process, of this process (which shares the cores) and, apart, those of the model
alone in batches of one and of many. The load of the machine before each rate says what else ran.
Without a run, a model is trained for a few steps on the built-in world.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
from rich.console import Console
from rich.table import Table

from segue.preparation import prepare
from segue.recommender import Recommender
from segue.trainer import train

CONNECTIONS = 64
"""Connections that the load is spread over; they stay open."""
BODIES = 500
"""Different requests, repeated in turn."""
START_S = 600
"""Seconds that a server may take to become ready."""
BATCH = 32
"""Requests per call in the comparison at the model."""


class Served(NamedTuple):
    """A running server."""

    process: subprocess.Popen[bytes]
    host: str
    port: int

    @property
    def core_seconds(self) -> float:
        """Processor time of the server so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def resident_bytes(self) -> int:
        """Memory of the server now."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def batches(self) -> int:
        """Calls of the model so far."""
        with urlopen(f"http://{self.host}:{self.port}/metrics") as response:
            lines = response.read().decode().splitlines()
        counts = [line for line in lines if line.startswith("segue_batch_requests_count")]
        return round(sum(float(line.rpartition(" ")[2]) for line in counts))


@contextmanager
def running(run: Path, log: Path, *options: str) -> Iterator[Served]:
    """A server of a run on a free port of loopback, once it is ready."""
    command = [sys.executable, "-m", "segue", "serve", str(run), "--port", "0", *options]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        url = _wait_until_ready(process, log)
        yield Served(process, url.hostname or "", url.port or 0)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> Any:
    end_s, url = time.monotonic() + START_S, None
    while time.monotonic() < end_s:
        for line in log.read_text().splitlines():
            if not line.startswith("{"):
                raise SystemExit(line)
            event = json.loads(line)
            url = urlsplit(event["url"]) if event["event"] == "listening" else url
            if event["event"] == "ready":
                return url
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        time.sleep(0.1)
    raise SystemExit("the server did not become ready")


async def send_load(
    served: Served, requests: list[bytes], rate: float, seconds: float, seed: int = 0
) -> list[tuple[float, int]]:
    """Send requests at random times.

    Returns:
        The latency in seconds and the status of each.
    """
    times_s = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds)))
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(served.host, served.port))
    results: list[tuple[float, int]] = []

    async def send(request: bytes, due_s: float) -> None:
        reader, writer = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        results.append((time.perf_counter() - due_s, int(head[9:12])))
        free.put_nowait((reader, writer))

    start_s, tasks = time.perf_counter(), []
    for number, time_s in enumerate(times_s):
        due_s = start_s + float(time_s)
        if (wait_s := due_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.create_task(send(requests[number % len(requests)], due_s)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return results


def http_request(served: Served, body: dict[str, Any]) -> bytes:
    """The bytes of a request for recommendations."""
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/recommend HTTP/1.1\r\nHost: {served.host}:{served.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def measure(served: Served, bodies: list[dict[str, Any]], rate: float, seconds: float) -> dict:
    """Send a load, and summarise."""
    requests = [http_request(served, body) for body in bodies]
    n_batches, machine_load = served.batches, os.getloadavg()[0]
    core_s, client_s, start_s = served.core_seconds, time.process_time(), time.perf_counter()
    results = asyncio.run(send_load(served, requests, rate, seconds))
    took_s = time.perf_counter() - start_s
    latencies = 1e3 * np.array([latency for latency, _ in results])
    return {
        "rate": rate,
        "requests": len(results),
        "requests_per_s": round(len(results) / took_s, 1),
        "errors": sum(status != 200 for _, status in results),
        "p50_ms": round(float(np.percentile(latencies, 50)), 2),
        "p99_ms": round(float(np.percentile(latencies, 99)), 2),
        "server_core_ms": round(1e3 * (served.core_seconds - core_s) / len(results), 3),
        "client_core_ms": round(1e3 * (time.process_time() - client_s) / len(results), 3),
        "batch": round(len(results) / max(1, served.batches - n_batches), 1),
        "resident_mb": round(served.resident_bytes / 1e6),
        "machine_load": round(machine_load, 1),
    }


def core_ms_at_the_model(model: Recommender, bodies: list[dict[str, Any]], n_calls: int) -> dict:
    """Core-milliseconds per request of the model, one at a time and in batches, in turns."""
    histories, k = [body["items"] for body in bodies], bodies[0]["k"]
    core_s = {1: 0.0, BATCH: 0.0}
    for size in core_s:
        model.recommend(histories[:size], k)
    for number in range(n_calls):
        for size in core_s:
            start_s = time.process_time()
            first = number * size % (len(histories) - size)
            model.recommend(histories[first : first + size], k)
            core_s[size] += time.process_time() - start_s
    return {str(size): round(1e3 * seconds / n_calls / size, 3) for size, seconds in core_s.items()}


def random_bodies(model: Recommender, history: int, k: int, seed: int = 0) -> list[dict[str, Any]]:
    """Requests with histories of items drawn by their training count."""
    random, ids = np.random.default_rng(seed), np.array(model.item_ids)
    counts = model.items.training_counts[4 : 4 + len(ids)] + 1.0
    shares = counts / counts.sum()
    return [
        {"items": random.choice(ids, history, p=shares).tolist(), "k": k} for _ in range(BODIES)
    ]


def train_briefly(folder: Path) -> Path:
    """A model of the preset sasrec with a few steps: it costs what a good one costs."""
    data = prepare(None, folder / "world", items=3_400)
    return train(data, folder / "run", preset="sasrec", max_steps=3).path


def print_results(console: Console, loads: list[dict], at_the_model: dict[str, float]) -> None:
    """Print a table, and what batches save."""
    columns = ("rate", "requests_per_s", "p50_ms", "p99_ms", "errors", "server_core_ms")
    columns += ("client_core_ms", "batch", "resident_mb", "machine_load")
    table = Table(title="POST /v1/recommend over loopback", title_justify="left")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for load in loads:
        table.add_row(*(str(load[name]) for name in columns))
    console.print(table)
    ratio = at_the_model["1"] / at_the_model[str(BATCH)]
    console.print(f"core ms per request at the model: {at_the_model}, ratio {ratio:.1f}")


def main() -> None:
    """Measure, print the table, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Requests per second of the server.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--rates", default="50,200", help="mean requests per second, in turn")
    parser.add_argument("--seconds", type=float, default=5.0, help="per rate")
    parser.add_argument("--history", type=int, default=50)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--calls", type=int, default=20, help="calls of the model, per size")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        run = options.run or train_briefly(Path(folder))
        model = Recommender.load(run)
        bodies = random_bodies(model, options.history, options.k)
        with running(run, Path(folder) / "log", "--max-k", str(options.k)) as served:
            measure(served, bodies, 20, 2)  # connections and caches
            loads = [
                measure(served, bodies, float(rate), options.seconds)
                for rate in options.rates.split(",")
            ]
        at_the_model = core_ms_at_the_model(model, bodies, options.calls)
    console = Console(width=120)
    print_results(console, loads, at_the_model)
    record = {"benchmark": "server", "run": model.name, "loads": loads, "model": at_the_model}
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
