"""The step's benchmark, on a catalogue that takes no time."""

from __future__ import annotations

import json

import catalogue_size as benchmark
import numpy as np

from segue.axes import N_SPECIALS, START

SMALL = ["model.layers=1", "model.width=8", "model.heads=1", "model.context=6", "loss.negatives=8"]


def cell(step_s: float, rows: int = 10) -> dict[str, float]:
    rate = rows / step_s
    return {
        "step_s": step_s,
        "processor_s": step_s,
        "playlists_per_s": rate,
        "peak_gb": 1.0,
        "loss": 2.0,
    }


def test_batches_are_full_rows_with_popular_items_first():
    batch = benchmark.zipf_batch(np.random.default_rng(0), 400, 9, 200)
    assert (batch.tokens[:, 0] == START).all()
    np.testing.assert_array_equal(batch.tokens[:, 1:], batch.labels[:, :-1])
    counts = np.bincount(batch.labels.ravel(), minlength=200)
    assert counts[:N_SPECIALS].sum() == 0
    assert counts[N_SPECIALS] > 5 * counts[N_SPECIALS + 20] > 0


def test_a_cell_takes_the_librarys_own_step():
    found = benchmark.measure("playlist-large", SMALL, n_items=60, n_steps=1)
    assert found["step_s"] > 0
    assert found["peak_gb"] > 0.05
    assert 0.5 * np.log(60) < found["loss"] < 2 * np.log(60)


def test_the_fastest_of_a_cell_counts():
    assert benchmark.best(None, cell(2.0))["step_s"] == 2.0
    assert benchmark.best(cell(1.0), cell(2.0))["step_s"] == 1.0
    assert benchmark.best(cell(2.0), cell(1.0))["step_s"] == 1.0


def test_the_largest_catalogue_is_compared(capsys):
    benchmark.report(
        {
            (benchmark.BASELINE, 10): cell(1.0),
            (benchmark.BASELINE, 20): cell(2.0),
            ("large, sparse", 20): cell(0.1),
        }
    )
    *table, last = capsys.readouterr().out.splitlines()
    assert len(table) == 4
    found = json.loads(last)["at_largest"]
    assert found["large, sparse"]["times_baseline"] == 20
    assert found["large, sparse"]["epoch_minutes"] == 800_000 / 100 / 60
    assert set(found) == {benchmark.BASELINE, "large, sparse"}
