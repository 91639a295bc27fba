"""The benchmark ``catalogue_size``, with a small model and catalogue."""

from __future__ import annotations

import json

import catalogue_size as benchmark
import numpy as np
import pytest

from segue.tokens import N_SPECIALS, START

SMALL = {"layers": 1, "width": 8, "heads": 1, "context": 6, "negatives": 8}


def cell_of(step_s: float, rows: int = 10) -> dict[str, float]:
    """A measurement with this step time."""
    rate = rows / step_s
    return {
        "step_s": step_s,
        "processor_s": step_s,
        "playlists_per_s": rate,
        "peak_gb": 1.0,
        "loss": 2.0,
    }


def test_batches_are_full_rows_in_which_popular_items_are_frequent():
    (batch,) = benchmark.zipf_batch(np.random.default_rng(0), 400, 9, 200)
    assert (batch.tokens[:, 0] == START).all()
    np.testing.assert_array_equal(batch.tokens[:, 1:], batch.labels[:, :-1])
    counts = np.bincount(batch.labels.ravel(), minlength=200)
    assert counts[:N_SPECIALS].sum() == 0
    assert counts[N_SPECIALS] > 5 * counts[N_SPECIALS + 20] > 0


@pytest.mark.slow
def test_a_measurement_runs_the_step_of_the_library():
    measured = benchmark.measure("playlist-large", SMALL, n_items=60, n_steps=1)
    assert measured["step_s"] > 0
    assert measured["peak_gb"] > 0.05
    assert 0.5 * np.log(60) < measured["loss"] < 2 * np.log(60)


def test_the_faster_of_two_measurements_is_kept():
    assert benchmark.faster(None, cell_of(2.0))["step_s"] == 2.0
    assert benchmark.faster(cell_of(1.0), cell_of(2.0))["step_s"] == 1.0
    assert benchmark.faster(cell_of(2.0), cell_of(1.0))["step_s"] == 1.0


def test_recipes_are_compared_with_the_baseline_at_the_largest_catalogue(capsys):
    benchmark.report(
        {
            (benchmark.BASELINE, 10): cell_of(1.0),
            (benchmark.BASELINE, 20): cell_of(2.0),
            ("large, sparse", 20): cell_of(0.1),
        }
    )
    *table, last = capsys.readouterr().out.splitlines()
    assert len(table) == 4
    summary = json.loads(last)["at_largest"]
    assert summary["large, sparse"]["times_baseline"] == 20
    assert summary["large, sparse"]["epoch_minutes"] == 800_000 / 100 / 60
    assert set(summary) == {benchmark.BASELINE, "large, sparse"}
