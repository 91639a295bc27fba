"""The benchmarks ``server_endurance`` and ``server_catalogue``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import server_catalogue
import server_endurance


def window(errors: int, p50_ms: float, resident_bytes: float) -> dict[str, float]:
    return {
        "requests": 10,
        "errors": errors,
        "p50_ms": p50_ms,
        "p99_ms": 2 * p50_ms,
        "resident_bytes": resident_bytes,
    }


def test_memory_counts_from_the_end_of_the_first_quarter() -> None:
    n_first = server_endurance.WINDOWS // 4 - 1
    later = [window(0, 1.0, 100e6) for _ in range(server_endurance.WINDOWS - n_first)]
    later[3] = window(1, 9.0, 103e6)
    later[-1] = window(0, 1.0, 101e6)
    summary = server_endurance.summarise([window(0, 2.0, 10e6)] * n_first + later)
    assert summary == {
        "requests": 10 * server_endurance.WINDOWS,
        "errors": 1,
        "p50_ms": 1.0,
        "worst_p99_ms": 18.0,
        "resident_mb": 100.0,
        "memory_change": 0.01,
        "memory_range": 0.03,
    }


def test_calls_take_turns() -> None:
    made: list[tuple[str, int]] = []
    calls = {name: lambda number, name=name: made.append((name, number)) for name in "ab"}
    times = server_catalogue.measure(calls, 2, os.getpid())
    assert made == [("a", 0), ("b", 0), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert times.keys() == {"a", "b"}


@pytest.mark.slow
def test_a_short_endurance(
    playlist_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_endurance, "CAPACITY_S", 1.0)
    options = ["--minutes", "0.1", "--share", "0.2", "--history", "5", "--k", "3"]
    monkeypatch.setattr(sys, "argv", ["server_endurance.py", str(playlist_run), *options])
    server_endurance.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["errors"] == 0
    assert record["requests"] > 0


@pytest.mark.slow
def test_a_small_catalogue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--items", "500", "--repeats", "3"]
    monkeypatch.setattr(sys, "argv", ["server_catalogue.py", *options])
    server_catalogue.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["times"].keys() == {"request", "recommend", "search"}
