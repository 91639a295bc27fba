"""The benchmark ``retrieval``, with a small catalogue."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import retrieval as benchmark


@pytest.fixture(scope="module")
def embeddings():
    return benchmark.random_embeddings(500, 8)


def test_every_method_returns_the_scores_of_a_full_sort(embeddings) -> None:
    hidden = np.random.default_rng(2).standard_normal((3, 8), np.float32)
    items = np.asarray(embeddings)
    expected = -np.sort(-(hidden @ items[4:].T), axis=1)[:, :5]
    for method in benchmark.search_methods(embeddings, 5).values():
        np.testing.assert_allclose(method(hidden), expected, atol=1e-5)


def test_different_scores_are_an_error(embeddings, monkeypatch) -> None:
    monkeypatch.setattr(
        benchmark, "with_segue", lambda embeddings, k: lambda hidden: np.zeros((len(hidden), k))
    )
    with pytest.raises(RuntimeError, match="the scores of segue differ from those of numpy"):
        benchmark.measure(embeddings, 5, repeats=1)


def test_columns_are_computed_from_the_times() -> None:
    timings = [
        benchmark.SearchTiming(benchmark.READ_ONLY_SUM, 0, ms=10.0, core_ms=20.0),
        benchmark.SearchTiming("segue", 1, ms=12.5, core_ms=25.0),
        benchmark.SearchTiming("segue", 32, ms=50.0, core_ms=100.0),
    ]
    read_only_sum, one, many = benchmark.summarise(timings, embedding_bytes=250_000_000)
    assert read_only_sum["gb_per_s"] == 25
    assert (one["gb_per_s"], one["of_read_only_sum"], one["of_one_query"]) == (20, 0.8, 1)
    assert (many["ms_per_query"], many["of_one_query"]) == (1.56, 4)


def test_the_last_line_is_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--items", "300", "--dim", "4", "--k", "3", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["retrieval.py", *options])
    benchmark.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert any("300 items of 4 dimensions" in line for line in table)
    record = json.loads(last)
    assert (record["benchmark"], record["items"], record["k"]) == ("retrieval", 300, 3)
    results = record["results"]
    batch_sizes = [result["queries"] for result in results if result["method"] == "segue"]
    assert batch_sizes == list(benchmark.BATCH_SIZES)
    assert results[0]["method"] == benchmark.READ_ONLY_SUM
