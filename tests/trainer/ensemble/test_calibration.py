"""The temperature of probabilities: known answers, the exact optimum, reliability figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.recommender import Ensemble, Recommender
from segue.runs.schema import ReliabilityBin
from segue.trainer.ensemble import calibration
from segue.trainer.ensemble.calibration import (
    Observations,
    calibrate,
    calibration_error,
    error_by_chance,
    maximum_likelihood_temperature,
    observe_requests,
    reliability_bins,
)
from segue.trainer.ensemble.requests import FittingRequests, fitting_requests
from small_ensembles import mixed_copy

N_LISTED = 10


def observations_of(scores: np.ndarray, targets: np.ndarray) -> Observations:
    """What would be observed of requests with these scores of all items."""
    log_temperatures = np.log(2.0) * np.linspace(-1.5, 1.5, 12)
    temperatures = [*np.exp(log_temperatures), 1.0]
    log_sums = np.stack([logsumexp(scores / t, axis=1) for t in temperatures], axis=1)
    order = np.argsort(-scores, axis=1)[:, :N_LISTED]
    return Observations(
        scores[np.arange(len(scores)), targets],
        np.take_along_axis(scores, order, axis=1),
        order == targets[:, None],
        log_temperatures,
        log_sums[:, :-1],
        log_sums[:, -1],
    )


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.2])
def test_the_temperature_of_the_targets_is_recovered(temperature: float) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 30)) * 2
    targets = np.argmax(scores / temperature + random.gumbel(size=scores.shape), axis=1)
    observations = observations_of(scores, targets)
    fitted = maximum_likelihood_temperature(observations)
    assert fitted == pytest.approx(temperature, rel=0.03)
    exact = minimize_scalar(
        lambda t: -log_softmax(scores / t, axis=1)[np.arange(len(targets)), targets].mean(),
        bounds=(0.4, 2.5),
    )
    assert fitted == pytest.approx(exact.x, rel=1e-3)
    log_sums = logsumexp(scores / fitted, axis=1)
    np.testing.assert_allclose(observations.log_sums_at(fitted), log_sums, atol=1e-3)
    bins = reliability_bins(observations.probabilities(fitted)[:, 0], observations.is_target[:, 0])
    assert calibration_error(bins) < 2 * error_by_chance(bins) < 0.02
    if temperature != 1:
        at_1 = reliability_bins(observations.probabilities(1.0)[:, 0], observations.is_target[:, 0])
        assert calibration_error(at_1) > 0.1


def test_bins_have_equal_mass_and_the_error_is_the_mean_difference() -> None:
    probabilities = np.repeat([0.9, 0.1], 30)
    is_target = np.concatenate([np.ones(30), np.zeros(30)]).astype(bool)
    bins = reliability_bins(probabilities, is_target)
    assert [group.n for group in bins] == [4] * calibration.N_BINS
    assert [group.probability for group in bins] == [0.1] * 7 + [0.5] + [0.9] * 7
    assert calibration_error(bins) == pytest.approx(14 / 15 * 0.1, abs=1e-6)
    few = reliability_bins(np.array([0.3, 0.2]), np.array([True, False]))
    assert [(group.probability, group.share, group.n) for group in few] == [
        (0.2, 0, 1),
        (0.3, 1, 1),
    ]


def test_the_error_by_chance_is_that_of_exact_probabilities() -> None:
    random, p = np.random.default_rng(0), np.linspace(0.05, 0.6, 6_000)
    errors = [calibration_error(reliability_bins(p, random.random(len(p)) < p)) for _ in range(200)]
    by_chance = error_by_chance(reliability_bins(p, random.random(len(p)) < p))
    assert np.mean(errors) == pytest.approx(by_chance, rel=0.05)
    assert error_by_chance([ReliabilityBin(0.0, 0.0, 5)]) == 0


@pytest.fixture(scope="module")
def ensemble(
    cycle_run: Path, cycles: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Ensemble:
    copy = mixed_copy(cycle_run, cycles, tmp_path_factory.mktemp("calibrated") / "run")
    return Recommender.load(copy).ensemble


@pytest.fixture(scope="module")
def requests(cycles: Dataset) -> FittingRequests:
    requests = fitting_requests(cycles)
    assert requests is not None
    return requests


def log_probabilities(
    ensemble: Ensemble, requests: FittingRequests, temperature: float
) -> np.ndarray:
    """Log-probabilities of all items from their scores, -inf for those that were seen."""
    items = np.arange(ensemble.vocabulary_size)
    scores = ensemble.scores(requests.query, Ragged.from_rows([items] * len(requests)))
    scores = scores.reshape(len(requests), -1).astype(np.float64)
    scores[:, ~ensemble.is_candidate] = -np.inf
    for row in range(len(requests)):
        scores[row, requests.query.seen.row(row)] = -np.inf
    return log_softmax(scores / temperature, axis=1)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("max_dense_items", [1 << 16, 0], ids=["array", "sparse entries"])
def test_an_ensemble_is_calibrated_at_its_maximum_likelihood(
    ensemble: Ensemble,
    requests: FittingRequests,
    monkeypatch: pytest.MonkeyPatch,
    max_dense_items: int,
) -> None:
    from segue.recommender import shapes

    monkeypatch.setattr(shapes, "MAX_DENSE_BONUS_ITEMS", max_dense_items)
    rows = np.arange(len(requests))

    def loss(log_temperature: float) -> float:
        by_item = log_probabilities(ensemble, requests, float(np.exp(log_temperature)))
        return -by_item[rows, requests.targets].mean()

    shrinkage = calibration.SHRINKAGE / len(requests)
    exact = minimize_scalar(
        lambda log_t: loss(log_t) + shrinkage * log_t**2, bounds=(-4.0, 4.0), method="bounded"
    )
    card = calibrate(ensemble, requests)
    assert card["temperature"] == pytest.approx(np.exp(exact.x), rel=0.01)
    assert card["nats_at_1"] == pytest.approx(loss(0.0), abs=1e-4)
    assert card["requests"] == len(requests)
    best = np.exp(log_probabilities(ensemble, requests, 1.0)).max(axis=1)
    at_1 = observe_requests(ensemble, requests).probabilities(1.0)[:, 0]
    np.testing.assert_allclose(at_1, best, rtol=1e-3)
    assert card["reliability"]["top-1"]["bins"][0]["n"] == len(requests) // calibration.N_BINS
    assert card == calibrate(ensemble, requests)


def test_one_request_is_enough_and_many_items_take_fewer_requests(
    ensemble: Ensemble, requests: FittingRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MAX_SCORES", 1)
    card = calibrate(ensemble, requests)
    assert card["requests"] == 1
    assert card["reliability"]["top-1"]["bins"][0]["n"] == 1
