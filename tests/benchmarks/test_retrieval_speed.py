"""The search's benchmark, on a catalogue that takes no time."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import retrieval as benchmark


@pytest.fixture(scope="module")
def table():
    return benchmark.make_table(500, 8)


def test_every_way_finds_the_scores_of_a_full_sort(table) -> None:
    hidden = np.random.default_rng(2).standard_normal((3, 8), np.float32)
    items = np.asarray(table)
    expected = -np.sort(-(hidden @ items[4:].T), axis=1)[:, :5]
    for search in benchmark.searches(table, 5).values():
        np.testing.assert_allclose(search(hidden), expected, atol=1e-5)


def test_a_way_that_finds_something_else_is_no_measurement(table, monkeypatch) -> None:
    monkeypatch.setattr(
        benchmark, "with_segue", lambda table, k: lambda hidden: np.zeros((len(hidden), k))
    )
    with pytest.raises(RuntimeError, match="segue and numpy found different scores"):
        benchmark.measure(table, 5, repeats=1)


def test_figures_follow_from_the_times() -> None:
    measured = [
        benchmark.Measured(benchmark.YARDSTICK, 0, ms=10.0, core_ms=20.0),
        benchmark.Measured("segue", 1, ms=12.5, core_ms=25.0),
        benchmark.Measured("segue", 32, ms=50.0, core_ms=100.0),
    ]
    yardstick, one, many = benchmark.summarise(measured, table_bytes=250_000_000)
    assert yardstick["gb_per_s"] == 25
    assert (one["gb_per_s"], one["of_yardstick"], one["of_one_query"]) == (20, 0.8, 1)
    assert (many["ms_per_query"], many["of_one_query"]) == (1.56, 4)


def test_the_table_ends_with_a_line_of_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--items", "300", "--dim", "4", "--k", "3", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["retrieval.py", *options])
    benchmark.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert any("300 items of 4 numbers" in line for line in table)
    found = json.loads(last)
    assert (found["benchmark"], found["items"], found["k"]) == ("retrieval", 300, 3)
    asked = [result["queries"] for result in found["results"] if result["way"] == "segue"]
    assert asked == list(benchmark.BATCHES)
    assert found["results"][0]["way"] == benchmark.YARDSTICK
