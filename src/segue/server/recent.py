"""The last minutes of a server in slots of ten seconds: requests, latencies, and batch sizes."""

from __future__ import annotations

import bisect
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SLOT_S, SLOTS = 10, 60
"""Ten minutes in all."""
BOUNDS_MS = tuple(0.1 * 1.2**step for step in range(75))
"""Upper bounds of the classes of latencies: up to 72 s, each 20 % wide."""
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SERVER_ERROR = 500


@dataclass
class Slot:
    """What happened within ten seconds.

    Attributes:
        number: the time since the start, in slots.
        n_requests: answered requests.
        n_errors: those of them with a status from 400 up.
        n_failures: those of them with a status from 500 up.
        latencies: number of requests per class of ``BOUNDS_MS``, and beyond.
        batches: number of batches per class of ``BATCH_BOUNDS``, and beyond.
    """

    number: int
    n_requests: int = 0
    n_errors: int = 0
    n_failures: int = 0
    n_batched: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    batches: list[int] = field(default_factory=lambda: [0] * (len(BATCH_BOUNDS) + 1))


class RecentMinutes:
    """Counts of the last ten minutes, in memory that does not grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        Args:
            clock: the time in seconds.
        """
        self._clock = clock
        self._start_s = clock()
        self._slots: deque[Slot] = deque(maxlen=SLOTS)

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start_s

    def count_request(self, status: int, seconds: float) -> None:
        """Count an answered request."""
        slot = self._current()
        slot.n_requests += 1
        slot.n_errors += status >= 400
        slot.n_failures += status >= SERVER_ERROR
        slot.latencies[bisect.bisect_left(BOUNDS_MS, 1e3 * seconds)] += 1

    def count_batch(self, size: int) -> None:
        """Count a call of a model with so many requests."""
        slot = self._current()
        slot.n_batched += size
        slot.batches[bisect.bisect_left(BATCH_BOUNDS, size)] += 1

    def summary(self) -> dict[str, Any]:
        """Totals of the ten minutes, and a row per slot without its empty beginning.

        Latencies are in milliseconds, exact to a fifth; null without requests.
        """
        now = int(self.uptime_s // SLOT_S)
        by_number = {slot.number: slot for slot in self._slots if now - slot.number < SLOTS}
        first = max(0, now - SLOTS + 1)
        slots = [by_number.get(number, Slot(number)) for number in range(first, now + 1)]
        latencies = _sums([slot.latencies for slot in slots])
        batches = _sums([slot.batches for slot in slots])
        n_batches = sum(batches)
        n_requests = sum(slot.n_requests for slot in slots)
        seconds = min(self.uptime_s, SLOTS * SLOT_S)
        return {
            "seconds": round(seconds, 1),
            "n_requests": n_requests,
            "requests_per_minute": round(60 * n_requests / max(seconds, 1), 2),
            "n_errors": sum(slot.n_errors for slot in slots),
            "n_failures": sum(slot.n_failures for slot in slots),
            "latency_ms": {f"p{p}": percentile(latencies, p / 100) for p in (50, 95, 99)},
            "mean_batch": round(sum(slot.n_batched for slot in slots) / n_batches, 2)
            if n_batches
            else None,
            "batches": [
                {"up_to": bound, "n": n}
                for bound, n in zip([*BATCH_BOUNDS, None], batches, strict=True)
            ],
            "slots": [
                {
                    "seconds_ago": (now - slot.number) * SLOT_S,
                    "n_requests": slot.n_requests,
                    "n_errors": slot.n_errors,
                    "p50_ms": percentile(slot.latencies, 0.5),
                    "p95_ms": percentile(slot.latencies, 0.95),
                }
                for slot in slots
            ],
        }

    def _current(self) -> Slot:
        number = int(self.uptime_s // SLOT_S)
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(Slot(number))
        return self._slots[-1]


def percentile(counts: list[int], share: float) -> float | None:
    """The latency in milliseconds that a share of the requests stays below.

    Within a class it is interpolated.

    Args:
        counts: number of requests per class of ``BOUNDS_MS``, and beyond.
        share: from 0 to 1.
    """
    total = sum(counts)
    if not total:
        return None
    n_below, below = share * total, 0
    for number, count in enumerate(counts):
        if count and below + count >= n_below:
            low = BOUNDS_MS[number - 1] if number else 0.0
            high = BOUNDS_MS[min(number, len(BOUNDS_MS) - 1)]
            return round(low + (high - low) * (n_below - below) / count, 3)
        below += count
    return round(BOUNDS_MS[-1], 3)


def _sums(rows: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]
