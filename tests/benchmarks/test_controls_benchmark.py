"""The benchmark of controls: its table on a small model, and the times of a small catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from controls import measure, measure_filter, report

from segue.dataset import Dataset
from segue.recommender import Recommender


def test_each_control_does_what_its_name_says(
    genre_run: Path, genres: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["controls"]: row for row in measure(Recommender.load(genre_run), genres, 40)}
    report("genres", list(rows.values()), {"unfiltered ms": 1.0})
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["rows"][0] == rows["none"]
    dials = ["popularity -1", "popularity -0.5", "none", "popularity 0.5", "popularity 1"]
    counts = [rows[name]["log_count"] for name in dials]
    assert counts == sorted(counts)
    assert rows["diversity 1"]["cosine_within"] < rows["none"]["cosine_within"]
    assert rows["cap year=1"]["most_of_one_value"] == 1
    example = [rows[f"{name} the listed"]["cosine_to_example"] for name in ("unlike", "like")]
    assert example[0] < rows["none"]["cosine_to_example"] <= example[1]


def test_the_time_of_a_filter() -> None:
    times = measure_filter(2_000)
    assert set(times) == {
        f"{name} {unit}"
        for name in ("unfiltered", "filtered", "new filter")
        for unit in ("ms", "core_ms")
    }
    assert min(times.values()) > 0
