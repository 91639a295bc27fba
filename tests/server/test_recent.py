"""The last minutes of a server: counts, percentiles and batches, by a clock of the test."""

from __future__ import annotations

import numpy as np
import pytest

from segue.server.recent import BOUNDS_MS, SLOTS, RecentMinutes, percentile


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_happened_yet() -> None:
    summary = RecentMinutes(Clock()).summary()
    assert summary["n_requests"] == 0
    assert summary["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert summary["mean_batch"] is None
    assert len(summary["slots"]) == 1


def test_requests_are_counted_by_slot() -> None:
    clock = Clock()
    recent = RecentMinutes(clock)
    recent.count_request(200, 0.01)
    clock.now = 25.0
    recent.count_request(422, 0.01)
    recent.count_request(500, 0.01)
    summary = recent.summary()
    assert [slot["n_requests"] for slot in summary["slots"]] == [1, 0, 2]
    assert [slot["seconds_ago"] for slot in summary["slots"]] == [20, 10, 0]
    assert (summary["n_requests"], summary["n_errors"], summary["n_failures"]) == (3, 2, 1)
    assert summary["requests_per_minute"] == pytest.approx(60 * 3 / 25, abs=0.01)


def test_what_is_older_than_ten_minutes_is_forgotten() -> None:
    clock = Clock()
    recent = RecentMinutes(clock)
    recent.count_request(200, 0.01)
    clock.now = 601.0
    assert recent.summary()["n_requests"] == 0
    for second in range(700, 3_000, 7):
        clock.now = float(second)
        recent.count_request(200, 0.01)
    assert len(recent.summary()["slots"]) == SLOTS
    assert recent.summary()["n_requests"] == pytest.approx(600 / 7, abs=2)


def test_percentiles_are_exact_to_a_class() -> None:
    random = np.random.default_rng(0)
    seconds = random.lognormal(-4, 1, 3_000)
    recent = RecentMinutes(Clock())
    for value in seconds.tolist():
        recent.count_request(200, value)
    latencies = recent.summary()["latency_ms"]
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert latencies[name] == pytest.approx(1e3 * np.percentile(seconds, share), rel=0.2)


def test_latencies_beyond_the_last_class_have_its_bound() -> None:
    counts = [0] * (len(BOUNDS_MS) + 1)
    counts[-1] = 3
    assert percentile(counts, 0.5) == pytest.approx(BOUNDS_MS[-1], abs=0.001)


def test_batches_are_counted_by_size() -> None:
    recent = RecentMinutes(Clock())
    for size in (1, 2, 3, 4, 300):
        recent.count_batch(size)
    summary = recent.summary()
    assert summary["mean_batch"] == 62
    assert {row["up_to"]: row["n"] for row in summary["batches"] if row["n"]} == {
        1: 1,
        2: 1,
        4: 2,
        None: 1,
    }
