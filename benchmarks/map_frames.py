"""Frames per second of the map of the page while it is dragged, with many points.

    python benchmarks/map_frames.py [RUN] [--points 100000]

The points are drawn at random here and take the place of those of the server. Chromium runs without
a window, hence without a GPU. Prints frames per second, the slowest of 20 frames, and the
core-milliseconds of all processes of the browser per frame, which do not depend on other work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from page import a_run, served

SECONDS = 4
N_GROUPS = 11
DRAG = """async (seconds) => {
  const canvas = document.querySelector(".map-top");
  const send = (type, x, y) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, button: 0, clientX: x, clientY: y, bubbles: true, pointerType: "mouse"}));
  canvas.setPointerCapture = () => {};
  const times = [];
  send("pointerdown", 800, 450);
  const start = performance.now();
  await new Promise((done) => {
    const frame = (now) => {
      times.push(now);
      const turn = (now - start) / 300;
      send("pointermove", 800 + 150 * Math.cos(turn), 450 + 150 * Math.sin(turn));
      if (now - start < 1000 * seconds) requestAnimationFrame(frame);
      else done();
    };
    requestAnimationFrame(frame);
  });
  send("pointerup", 800, 450);
  return times;
}"""


def points(n: int) -> bytes:
    """Random points in clusters, as ``GET /v1/map/points`` sends them."""
    random = np.random.default_rng(0)
    centres = random.uniform(0.1, 0.9, (n // 500 + 1, 2))
    places = centres[random.integers(0, len(centres), n)] + random.normal(scale=0.02, size=(n, 2))
    steps = (np.clip(places, 0, 1) * 65_535).astype("<u2")
    groups = random.integers(0, N_GROUPS, n).astype(np.uint8)
    popularity = np.sort(random.exponential(40, n).clip(0, 255).astype(np.uint8))[::-1]
    arrays = (steps[:, 0], steps[:, 1], groups, popularity)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def core_seconds(root: int) -> float:
    """CPU time of all descendants of a process."""
    times, parents = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        times[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_descendant(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == root:
                return True
        return False

    return sum(seconds for pid, seconds in times.items() if is_descendant(pid))


def main(arguments: Sequence[str] | None = None) -> None:
    """Open the map with many points, drag it, and print how it went."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("run", type=Path, nargs="?", help="none trains one within 90 core-seconds")
    parser.add_argument("--points", type=int, default=100_000)
    given = parser.parse_args(arguments)
    with a_run(given.run) as run, served(run) as url:
        measure(url, given.points)


def measure(url: str, n: int) -> None:
    """Drag the map of a server, with ``n`` points."""
    state: dict[str, Any] = {"status": "ready", "share": 1, "hint": "", "n_items": n, "model": ""}
    state |= {"attribute": "genre", "groups": [f"genre {g}" for g in range(N_GROUPS)]}
    state |= {"kept_neighbours": 0.5}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.route("**/v1/map/points*", lambda route: route.fulfill(body=points(n)))
        page.route("**/v1/map?*", lambda route: route.fulfill(body=json.dumps(state)))
        page.goto(f"{url}/#/map")
        page.wait_for_selector(".map-group")
        page.wait_for_timeout(1_500)
        before_s = core_seconds(os.getpid())
        times = page.evaluate(DRAG, SECONDS)
        core_s = core_seconds(os.getpid()) - before_s
        gaps = sorted(late - early for early, late in pairwise(times))
        slow_ms, core_ms = gaps[int(0.95 * len(gaps))], 1e3 * core_s / len(gaps)
        print(
            f"{n:,} points: {1e3 / statistics.mean(gaps):.0f} frames/s, 19 of 20 frames within "
            f"{slow_ms:.0f} ms, {core_ms:.0f} core-ms per frame"
        )
        browser.close()


if __name__ == "__main__":
    main()
