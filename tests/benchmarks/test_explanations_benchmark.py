"""The benchmark of explanations: its reference, and what it reports for a small run."""

from __future__ import annotations

from pathlib import Path

import explanations
import numpy as np
import pytest

from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.recommender import Recommender
from segue.trainer.ensemble.requests import fitting_requests
from small_ensembles import mixed_copy


@pytest.mark.slow
def test_the_named_reasons_agree(cycle_run: Path, cycles: Dataset, tmp_path: Path) -> None:
    ensemble = Recommender.load(mixed_copy(cycle_run, cycles, tmp_path / "run")).ensemble
    result = explanations.measure(ensemble, cycles, n_requests=6, n_timed=2, k=3)
    assert result["requests"] == 6
    assert result[f"{explanations.AGREED} of best items"] == 1
    assert result["largest difference, nats"] < 1e-4
    assert result["cost of separate passes"] > 0


def test_the_reference_is_the_same_one_after_the_other(cycle_run: Path, cycles: Dataset) -> None:
    ensemble, requests = Recommender.load(cycle_run).ensemble, fitting_requests(cycles)
    assert requests is not None
    request, items = requests.query.slice(0, 1), np.array([5, 9], np.int32)
    at_once, in_turn = (
        explanations.by_removal(ensemble, request, items, at_once=way) for way in (True, False)
    )
    np.testing.assert_allclose(at_once, in_turn, atol=1e-5)
    assert at_once.shape == (2, len(request.histories.values))
    without_first = Ragged.from_rows([request.histories.row(0)[1:]])
    shortened = request.__class__(without_first, request.seen, request.rows)
    listed = Ragged.from_rows([items])
    expected = ensemble.scores(request, listed) - ensemble.scores(shortened, listed)
    np.testing.assert_allclose(at_once[:, 0], expected, atol=1e-5)
