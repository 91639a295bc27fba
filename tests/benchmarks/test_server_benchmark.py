"""The benchmark ``server``: a load over loopback, and the model in batches."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import server as benchmark


@pytest.mark.slow
def test_a_short_load(
    playlist_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--rates", "20,40", "--seconds", "1", "--history", "5", "--k", "3", "--calls", "2"]
    monkeypatch.setattr(sys, "argv", ["server.py", str(playlist_run), *options])
    benchmark.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [load["requests"] for load in record["loads"]] == [20, 40]
    assert [load["errors"] for load in record["loads"]] == [0, 0]
    assert all(load["p50_ms"] <= load["p99_ms"] for load in record["loads"])
    assert record["model"].keys() == {"1", str(benchmark.BATCH)}
