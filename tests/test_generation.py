"""Continuations of a known little language: what may come, and how chance decides."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import N_SPECIALS, PAD, Ragged
from segue.generation import Sampling, continue_sequences
from segue.ranking import Ranked, exclude, top_from_scores

N_ITEMS = 12
TABLE = N_SPECIALS + N_ITEMS
LAST = TABLE - 1
BIGRAM = np.random.default_rng(3).normal(size=(TABLE, TABLE)).astype(np.float32)


def next_items(histories: Ragged, excluded: Ragged, k: int) -> Ranked:
    """Scores that depend on the last item; specials have the highest of all."""
    ends = [histories.row(i)[-1] if len(histories.row(i)) else 0 for i in range(histories.n_rows)]
    scores = BIGRAM[[min(end, LAST) for end in ends]]
    scores[:, :N_SPECIALS] = 100
    exclude(scores, excluded)
    return top_from_scores(scores, k)


def continued(rows: list[list[int]], length: int, **sampling) -> Ranked:
    return continue_sequences(next_items, Ragged.of(rows), length, Sampling(**sampling))


histories = st.lists(st.lists(st.integers(N_SPECIALS, LAST + 3), max_size=6), max_size=3)


@given(
    rows=histories,
    length=st.integers(0, N_ITEMS + 3),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 30.0]),
    top_k=st.integers(1, N_ITEMS),
    seed=st.integers(0, 99),
)
def test_no_repeats_no_specials_and_everything_before_the_end(
    rows, length, temperature, top_k, seed
):
    found = continued(rows, length, temperature=temperature, top_k=top_k, seed=seed)
    assert found.items.shape == found.scores.shape == (len(rows), length)
    for row, items, scores in zip(rows, found.items, found.scores, strict=True):
        left = N_ITEMS - len(set(row) & set(range(N_SPECIALS, TABLE)))
        n = min(length, left)
        chosen = items[:n]
        assert ((chosen >= N_SPECIALS) & (chosen < TABLE)).all()
        assert len({*chosen.tolist(), *row}) == n + len(set(row))
        assert np.isfinite(scores[:n]).all()
        assert (items[n:] == PAD).all(), "the catalogue is exhausted"
        assert np.isneginf(scores[n:]).all()


def argmax_chain(row: list[int], length: int) -> list[int]:
    row = list(row)
    for _ in range(length):
        candidates = [item for item in range(N_SPECIALS, TABLE) if item not in row]
        row.append(max(candidates, key=lambda item: BIGRAM[row[-1], item]))
    return row[-length:]


@pytest.mark.parametrize("temperature", [0.0, 1e-12, 1e-320])
def test_greedy_is_a_chain_of_the_best(temperature):
    rows = [[4], [5, 6, 7], [15, 4]]
    found = continued(rows, 5, temperature=temperature)
    np.testing.assert_array_equal(found.items, [argmax_chain(row, 5) for row in rows])


def test_scores_are_those_that_the_choice_was_made_by():
    found = continued([[4]], 4, temperature=1.0, seed=1)
    chain = [4, *found.items[0]]
    np.testing.assert_array_equal(
        found.scores[0], [BIGRAM[one, two] for one, two in itertools.pairwise(chain)]
    )


def test_top_k_of_one_is_greedy():
    found = continued([[4], [9]], 5, top_k=1, temperature=5.0)
    np.testing.assert_array_equal(found.items, continued([[4], [9]], 5, temperature=0.0).items)


@given(top_k=st.integers(1, 5), seed=st.integers(0, 50))
def test_sampling_stays_among_the_top_k(top_k, seed):
    found = continued([[4]], 1, top_k=top_k, seed=seed, temperature=100.0)
    best = next_items(Ragged.of([[4]]), Ragged.of([[4]]), top_k).items[0]
    assert found.items[0, 0] in best


def test_the_seed_decides():
    rows = [[4], [9]]
    first = continued(rows, 6, seed=7)
    np.testing.assert_array_equal(first.items, continued(rows, 6, seed=7).items)
    others = [continued(rows, 6, seed=seed).items for seed in range(5)]
    assert any((other != first.items).any() for other in others)


def test_a_longer_continuation_begins_like_the_shorter():
    short, long = continued([[4], [9]], 3, seed=7), continued([[4], [9]], 8, seed=7)
    np.testing.assert_array_equal(long.items[:, :3], short.items)


def first_choices(temperature: float, n: int = 4000) -> np.ndarray:
    """Shares of the catalogue in the first place after item 4, by item."""
    found = continued([[4]] * n, 1, temperature=temperature, top_k=N_ITEMS)
    return np.bincount(found.items[:, 0], minlength=TABLE)[N_SPECIALS:] / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_follow_the_softmax(temperature):
    logits = BIGRAM[4, N_SPECIALS:].astype(np.float64) / temperature
    logits[0] = -np.inf  # item 4 itself
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(first_choices(temperature), expected, atol=0.025)


def test_the_highest_temperatures_are_uniform_and_still_finite():
    shares = first_choices(1e30)
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:], 1 / (N_ITEMS - 1), atol=0.02)


def test_the_given_histories_are_left_as_they_were():
    given_rows = Ragged.of([[4, 5]])
    continue_sequences(next_items, given_rows, 3, Sampling())
    np.testing.assert_array_equal(given_rows.values, [4, 5])
