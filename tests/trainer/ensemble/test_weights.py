"""Mixture weights: likelihood against a slow reference, and the choice between combinations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from segue.trainer.ensemble.weights import (
    SHRINKAGE,
    Candidates,
    choose_mixture,
    halves,
    maximum_likelihood,
)

N_ITEMS = 30
USUAL = np.array([0.4, 0.3, 0.2, 0.1])


def world(true_weights: list[float], n: int, seed: int = 0) -> Candidates:
    """Targets drawn from the softmax of a known mixture of random scores."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(len(true_weights), n, N_ITEMS)).astype(np.float32)
    is_item = random.random((n, N_ITEMS)) < 0.8
    is_item[:, 0] = True
    sums = np.tensordot(np.array(true_weights), scores, axes=1)
    noisy = np.where(is_item, sums + random.gumbel(size=sums.shape), -np.inf)
    return Candidates(scores, is_item, noisy.argmax(axis=1), np.ones(n, bool), np.arange(n))


def penalised_likelihood(candidates: Candidates, weights: np.ndarray) -> float:
    """The objective, request by request."""
    total = -SHRINKAGE * float(np.square(weights - USUAL[: len(weights)]).sum())
    for row in range(len(candidates)):
        items = np.flatnonzero(candidates.is_item[row])
        sums = weights @ candidates.scores[:, row, items].astype(np.float64)
        total += log_softmax(sums)[items.tolist().index(candidates.target[row])]
    return total


def test_recovers_the_weights_of_the_world():
    weights = maximum_likelihood(world([1.0, 2.0, 0.0], 3000), np.ones(3, bool), USUAL[:3])
    np.testing.assert_allclose(weights, [1.0, 2.0, 0.0], atol=0.1)


def test_no_other_weights_are_more_likely():
    candidates = world([0.5, 1.5, 0.0, 0.3], 60)
    weights = maximum_likelihood(candidates, np.ones(4, bool), USUAL)
    best = penalised_likelihood(candidates, weights)
    random = np.random.default_rng(0)
    for scale in (0.001, 0.01, 0.1, 1.0):
        near = np.maximum(weights + scale * random.normal(size=4), 0)
        assert penalised_likelihood(candidates, near) <= best + 1e-6


def test_fixed_weights_are_zero_and_the_rest_is_fitted_without_them():
    candidates = world([1.0, 2.0, 1.0], 500)
    weights = maximum_likelihood(candidates, np.array([False, True, True]), USUAL[:3])
    smaller = replace(candidates, scores=candidates.scores[1:])
    np.testing.assert_allclose(
        weights, [0, *maximum_likelihood(smaller, np.ones(2, bool), USUAL[1:3])]
    )


def test_a_mixture_is_chosen_where_it_is_better():
    mixture = choose_mixture(world([1.0, 1.5], 1000), ["transformer", "counts"], USUAL[:2])
    assert mixture.choice == "all members"
    assert mixture.values["all members"] > mixture.values["counts"] > mixture.values["transformer"]
    np.testing.assert_allclose(mixture.weights, [1.0, 1.5], atol=0.2)


def test_a_useless_transformer_is_left_out():
    mixture = choose_mixture(world([0.0, 1.5, 1.5], 1000), ["transformer", "a", "b"], USUAL[:3])
    assert mixture.weights[0] == pytest.approx(0, abs=0.05)
    assert mixture.values["all but transformer"] > mixture.values["a"]


@pytest.mark.slow
def test_a_member_that_cannot_answer_every_request_is_not_chosen_alone():
    candidates, names = world([0.0, 3.0, 0.0], 1000), ["transformer", "second", "counts"]
    assert choose_mixture(candidates, names, USUAL[:3], not_alone=()).values["second"] > 0
    mixture = choose_mixture(candidates, names, USUAL[:3], not_alone=("second",))
    assert "second" not in mixture.values
    assert mixture.weights[1] > 1


def test_without_requests_the_weights_are_the_usual_ones():
    candidates = world([1.0, 2.0, 0.0], 10).rows(np.zeros(0, np.int64))
    weights = maximum_likelihood(candidates, np.ones(3, bool), USUAL[:3])
    np.testing.assert_allclose(weights, USUAL[:3], atol=1e-6)


def test_few_requests_keep_all_members():
    mixture = choose_mixture(world([0.0, 3.0], 20), ["transformer", "counts"], USUAL[:2])
    assert mixture.choice == "all members"
    assert not mixture.values
    assert 0 < mixture.weights[0] < mixture.weights[1]


def test_ndcg_counts_ties_like_the_evaluation():
    scores = np.array([[[1.0, 1.0, 1.0, 9.0]]], np.float32)
    is_item = np.array([[True, True, True, False]])
    candidates = Candidates(scores, is_item, np.array([0]), np.array([True]), np.array([0]))
    assert candidates.ndcg(np.ones(1)).tolist() == [1 / np.log2(3)]  # ranks 1 to 3, mean 2


def test_halves_are_of_different_sequences():
    sequences = np.repeat(np.arange(40), 5)
    for first, second in halves(sequences, 0):
        assert not set(sequences[first]) & set(sequences[second])
        assert len(first) == len(second) == 100


def test_targets_that_no_member_reaches_have_no_influence():
    reached = world([1.0, 2.0], 300)
    n = 2 * len(reached)
    lowest = np.where(reached.is_item, reached.scores.sum(axis=0), np.inf).argmin(axis=1)
    candidates = Candidates(
        np.concatenate([reached.scores] * 2, axis=1),
        np.concatenate([reached.is_item] * 2),
        np.concatenate([reached.target, lowest]),
        np.arange(n) < len(reached),
        np.arange(n),
    )
    is_free, usual = np.ones(2, bool), USUAL[:2]
    expected = maximum_likelihood(reached, is_free, usual)
    np.testing.assert_allclose(maximum_likelihood(candidates, is_free, usual), expected)
