"""The benchmark of events: every event that it counts is in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
import server_events as benchmark

from segue.event_store import open_event_store


@pytest.mark.slow
def test_events_are_counted_once_they_are_stored(tmp_path: Path) -> None:
    location = str(tmp_path / "events.db")
    with benchmark.running(location) as (process, port):
        result = benchmark.measure(process, port, size=3, seconds=0.5, connections=2)
    store = open_event_store(location)
    stored = [event for block in store.blocks(1_000) for event in block]
    store.close()
    assert result["events_per_call"] == 3
    assert len(stored) >= 3
    assert len(stored) % 3 == 0
    assert 0 < result["p50_ms"] <= result["p99_ms"]
