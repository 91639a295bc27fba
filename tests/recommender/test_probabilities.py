"""Next-item probabilities of recommended items: a softmax over all that was not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from segue.dataset import Dataset
from segue.errors import RunError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Recommender
from segue.recommender.probabilities import NOT_CALIBRATED, next_item_probabilities
from segue.runs import RunFolder
from small_ensembles import mixed_copy

CALIBRATION = {
    "temperature": 0.5,
    "requests": 60,
    "nats_at_1": 1.0,
    "nats": 0.5,
    "reliability": {},
}


@pytest.fixture(scope="module")
def run(cycle_run: Path, cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with count-based members and a temperature of 0.5."""
    copy = mixed_copy(cycle_run, cycles, tmp_path_factory.mktemp("probabilities") / "run")
    write_calibration(copy, CALIBRATION)
    return copy


def write_calibration(run: Path, calibration: object) -> None:
    folder = RunFolder(run)
    card = json.loads(folder.card.read_text())
    card["ensemble"]["calibration"] = calibration
    folder.write_json(folder.card, card)


@pytest.mark.parametrize("max_dense_items", [1 << 16, 0], ids=["array", "sparse entries"])
def test_probabilities_are_the_softmax_over_all_that_was_not_seen(
    run: Path, monkeypatch: pytest.MonkeyPatch, max_dense_items: int
) -> None:
    from segue.recommender import shapes

    monkeypatch.setattr(shapes, "MAX_DENSE_BONUS_ITEMS", max_dense_items)
    model = Recommender.load(run)
    answer = model.recommend(["i3", "i4"], k=12, probabilities=True)
    assert len(answer) == 10
    expected = softmax(np.array([item.score for item in answer]) / 0.5)
    np.testing.assert_allclose([item.probability for item in answer], expected, rtol=1e-4)
    assert NOT_CALIBRATED not in answer.notes
    first = model.recommend(["i3", "i4"], k=1, probabilities=True).items[0]
    assert first.probability == pytest.approx(expected[0], rel=1e-4)
    with_seen = model.recommend(["i3", "i4"], k=12, include_seen=True, probabilities=True)
    assert sum(item.probability or 0 for item in with_seen) == pytest.approx(1, rel=1e-4)


def test_exclusions_change_no_probability(run: Path) -> None:
    ensemble = Recommender.load(run).ensemble
    histories = Ragged.from_rows([[5, 6]])
    query = Query(histories, histories, np.array([-1]), k=8)
    excluding = replace(query, excluded=Ragged.from_rows([ensemble.top(query).items[0, :3]]))
    of_query, of_excluding = (
        next_item_probabilities(ensemble, q, ensemble.top(q), 0.5)[0] for q in (query, excluding)
    )
    np.testing.assert_allclose(of_excluding[:5], of_query[3:], rtol=1e-4)
    assert of_excluding[:5].sum() < 0.9


def test_controls_change_no_probability(run: Path) -> None:
    model = Recommender.load(run)
    plain = model.recommend(["i3", "i4"], k=10, probabilities=True)
    by_id = {item.item_id: item.probability for item in plain}
    steered = model.recommend(["i3", "i4"], k=3, popularity=-1.0, unlike=["i5"], probabilities=True)
    assert [item.item_id for item in steered] != list(by_id)[:3]
    for item in steered:
        assert item.probability == pytest.approx(by_id[item.item_id], rel=1e-4)


def test_missing_entries_have_no_probability(run: Path) -> None:
    ensemble = Recommender.load(run).ensemble
    histories = Ragged.from_rows([np.arange(5, 16)])
    query = Query(histories, histories, np.array([-1]), k=3)
    values = next_item_probabilities(ensemble, query, ensemble.top(query), None)
    np.testing.assert_allclose(values, [[1, 0, 0]], rtol=1e-5)


def test_a_run_without_a_temperature_says_so(run: Path, cycle_run: Path) -> None:
    for model in (Recommender.load(cycle_run), Recommender.load(run, without_ensemble=True)):
        assert model.temperature is None
        answer = model.recommend(["i3"], k=12, probabilities=True)
        assert answer.notes[-1] == NOT_CALIBRATED
        assert sum(item.probability or 0 for item in answer) == pytest.approx(1, rel=1e-4)
        assert model.recommend(["i3"], k=2).items[0].probability is None


def test_tables_have_the_columns_that_were_requested(run: Path) -> None:
    model = Recommender.load(run)
    plain = ["item_id", "title", "score", "rank"]
    assert model.recommend(["i3"], k=2).to_arrow().column_names == plain
    many = model.recommend([["i3"], ["i4"]], k=2, probabilities=True)
    assert many.to_arrow().column_names == ["history", *plain, "probability"]
    explained = model.explain(["i3"], k=2, probabilities=True).answer.to_arrow()
    assert explained.column_names == [*plain, "probability", "why"]
    assert explained.column("why").to_pylist()[0] == "because of i3, after which i4 often follows"


@pytest.mark.parametrize("temperature", [0, -1.0, 1e9, "1", None])
def test_an_impossible_temperature_is_refused(
    run: Path, tmp_path: Path, temperature: object
) -> None:
    from shutil import copytree

    copy = copytree(run, tmp_path / "run")
    write_calibration(copy, CALIBRATION | {"temperature": temperature})
    with pytest.raises(RunError, match=r"card\.json is damaged"):
        Recommender.load(copy)
