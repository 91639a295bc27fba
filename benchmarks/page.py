"""The page in a real Chromium: time to be interactive, and from a click to the next list.

    python benchmarks/page.py [RUN] [--clicks 20] [--chromium /usr/bin/chromium]

Serves the run on a free port of loopback in a process of its own, opens the page, begins with an
example sequence and clicks on the first suggestion again and again. Times are wall clock in
milliseconds, as the browser measures them: from the click to the frame after the new list, and
from the start of the navigation to the page with its examples. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from segue.preparation import prepare
from segue.trainer import train

CLICK = """
() => new Promise((resolve) => {
  const list = document.querySelector(".suggestions");
  const first = list.querySelector(".suggestion-add");
  const start = performance.now();
  const observer = new MutationObserver(() => {
    observer.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
  });
  observer.observe(list, { childList: true });
  first.click();
})
"""
"""Clicks on the first suggestion; milliseconds until the changed list was drawn."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("run", type=Path, nargs="?", help="none trains one within 90 core-seconds")
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--chromium", type=Path, default=Path("/usr/bin/chromium"))
    given = parser.parse_args(arguments)
    with a_run(given.run) as run, served(run) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(given.chromium), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        results = {"interactive_ms": loads(page, url, given.loads)}
        results["click_ms"] = clicks(page, given.clicks)
        browser.close()
    report(run.name, results)


@contextmanager
def a_run(path: Path | None) -> Iterator[Path]:
    """The given run, or a new one of the built-in world."""
    if path is not None:
        yield path
        return
    with TemporaryDirectory() as folder:
        data = prepare(None, Path(folder) / "data", format="demo")
        yield train(data, Path(folder) / "run", budget="90s").path


@contextmanager
def served(run: Path) -> Iterator[str]:
    """A server of a run in a process of its own, once it is ready; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "segue", "serve", str(run), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        while not _is_ready(url):
            if process.poll() is not None:
                sys.exit("the server did not start")
            time.sleep(0.5)
        yield url
        process.send_signal(signal.SIGINT)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def loads(page: Any, url: str, n: int) -> list[float]:
    """Milliseconds from the start of the navigation to a page that can be used, per visit."""
    times = []
    for _ in range(n):
        page.goto("about:blank")
        page.goto(url, wait_until="commit")
        page.wait_for_selector(".example")
        times.append(page.evaluate("performance.now()"))
    return times


def clicks(page: Any, n: int) -> list[float]:
    """Milliseconds from a click on a suggestion to the next list, per click."""
    page.locator(".example").first.click()
    page.wait_for_selector(".suggestion")
    times = []
    for _ in range(n):
        page.wait_for_selector(".list[aria-busy=false]")
        page.wait_for_timeout(400)  # the reasons of the list before arrive
        times.append(page.evaluate(CLICK))
    return times


def report(name: str, results: dict[str, list[float]]) -> None:
    """Print the results."""
    table = Table("", "median", "95 %", "largest", title=f"{name}, milliseconds")
    summary = {}
    for key, times in results.items():
        median, high = np.percentile(times, [50, 95])
        table.add_row(key, f"{median:.0f}", f"{high:.0f}", f"{max(times):.0f}")
        summary[key] = {"median": round(median, 1), "p95": round(high, 1), "n": len(times)}
    Console().print(table)
    print(json.dumps({"benchmark": "page", "run": name, **summary}))


if __name__ == "__main__":
    main()
