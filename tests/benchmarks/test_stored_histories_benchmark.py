"""The benchmark of stored histories: the users that it reads have the events that it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import stored_histories as benchmark


def test_both_ways_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "OTHER_USERS", 2)
    location = str(tmp_path / "events.db")
    options = ["--users", "3", "--events", "5", "--repeats", "1"]
    monkeypatch.setattr("sys.argv", ["stored_histories.py", location, *options])
    benchmark.main()
    printed = json.loads(capsys.readouterr().out)
    assert (printed["store"], printed["users"], printed["events"]) == ("sqlite", 3, 5)
    assert printed["at_once_ms"] > 0
    assert printed["one_by_one_ms"] > 0


def test_users_have_their_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "OTHER_USERS", 2)
    store = benchmark.open_event_store(tmp_path / "events.db", creates=True)
    users = benchmark.fill(store, 3, 5)
    latest, rejected = benchmark.read(store, users)
    assert [len(events) for events in latest] == [5, 5, 5]
    assert len(rejected) == 3
    store.close()
