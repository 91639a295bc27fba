"""Continuations of a known little language: what may come, and how chance decides."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import END, N_SPECIALS, PAD, Ragged
from segue.errors import RequestError
from segue.generation import Sampling, continue_sequences
from segue.ranking import Ranked, exclude, top_from_scores

N_ITEMS = 12
TABLE = N_SPECIALS + N_ITEMS
LAST = TABLE - 1
BIGRAM = np.random.default_rng(3).normal(size=(TABLE, TABLE)).astype(np.float32)


def next_items(histories: Ragged, k: int) -> tuple[Ranked, np.ndarray]:
    """Scores that depend on the last item; specials have the highest of all."""
    ends = [histories.row(i)[-1] if len(histories.row(i)) else 0 for i in range(histories.n_rows)]
    scores = BIGRAM[[min(end, LAST) for end in ends]]
    score_of_end = scores[:, END].copy()
    scores[:, :N_SPECIALS] = 100
    exclude(scores, histories)
    return top_from_scores(scores, k), score_of_end


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
    best = next_items(Ragged.of([[4]]), top_k)[0].items[0]
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


# --- the end ---


def n_items(found: Ranked) -> list[int]:
    """How many items each row has before its end."""
    return (found.items >= N_SPECIALS).sum(axis=1).tolist()


@given(rows=histories, temperature=st.sampled_from([0.0, 1.0, 30.0]), seed=st.integers(0, 30))
def test_without_a_weight_nothing_ends(rows, temperature, seed):
    options = {"temperature": temperature, "seed": seed, "top_k": N_ITEMS}
    found = continued(rows, 4, **options, end_weight=0.0)
    assert END not in found.items
    assert n_items(found) == [4] * len(rows)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_large_weight_ends_at_once(temperature):
    found = continued([[4], [5, 6], []], 5, temperature=temperature, end_weight=1e30)
    assert (found.items[:, 0] == END).all()
    assert (found.items[:, 1:] == PAD).all()
    assert np.isneginf(found.scores[:, 1:]).all()


@given(
    rows=histories,
    weight=st.sampled_from([0.1, 1.0, 4.0]),
    temperature=st.sampled_from([0.0, 1.0, 5.0]),
    seed=st.integers(0, 30),
)
def test_after_its_end_a_row_gets_nothing_more(rows, weight, temperature, seed):
    options = {"temperature": temperature, "end_weight": weight, "seed": seed}
    found = continued(rows, 6, **options)
    for row, items, scores in zip(rows, found.items.tolist(), found.scores, strict=True):
        n = items.index(END) if END in items else 6
        assert min(items[:n], default=N_SPECIALS) >= N_SPECIALS
        assert len({*items[:n], *row}) == n + len(set(row))
        assert items[n + 1 :] == [PAD] * len(items[n + 1 :])
        assert np.isfinite(scores[: n + 1]).all()
        assert np.isneginf(scores[n + 1 :]).all()


def test_rows_end_each_in_its_own_time():
    """Greedily with a weight of one, a row ends where its end is the best of all."""
    rows = [[item] for item in range(N_SPECIALS, TABLE)]
    found = continued(rows, 8, temperature=0.0, end_weight=1.0)
    for (first,), items in zip(rows, found.items.tolist(), strict=True):
        chain, expected = [first], []
        while len(expected) < 8:
            left = [item for item in range(N_SPECIALS, TABLE) if item not in chain]
            best = max(left, key=lambda item: BIGRAM[chain[-1], item])
            ends = BIGRAM[chain[-1], END] > BIGRAM[chain[-1], best]
            chain.append(best)
            expected.append(END if ends else best)
            if ends:
                break
        assert items == expected + [PAD] * (8 - len(expected))
    assert len(set(n_items(found))) > 2


def test_a_row_that_ended_leaves_the_others_as_they_were():
    alone = continued([[4]], 6, seed=3, end_weight=1.0, temperature=0.0)
    together = continued(
        [[4], *([row] for row in range(5, TABLE))], 6, end_weight=1.0, temperature=0.0
    )
    np.testing.assert_array_equal(together.items[0], alone.items[0])


@pytest.mark.parametrize(
    ("weight", "temperature"), [(0.25, 1.0), (3.0, 1.0), (0.25, 0.5), (3.0, 2.0)]
)
def test_the_weight_multiplies_the_chance_of_the_end(weight, temperature):
    logits = BIGRAM[9, N_SPECIALS:].astype(np.float64) / temperature
    logits[9 - N_SPECIALS] = -np.inf
    chances = np.append(np.exp(logits), weight * np.exp(float(BIGRAM[9, END]) / temperature))
    chances /= chances.sum()
    n = 4000
    options = {"top_k": N_ITEMS, "end_weight": weight, "temperature": temperature}
    found = continued([[9]] * n, 1, **options).items[:, 0]
    assert (found == END).mean() == pytest.approx(chances[-1], abs=0.025)
    shares = np.bincount(found, minlength=TABLE)[N_SPECIALS:] / n
    np.testing.assert_allclose(shares, chances[:-1], atol=0.025)


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("top_k", [2, 4, 8])
def test_the_end_competes_only_where_it_is_among_the_best(top_k, weight):
    """Its rank at some items is within ``top_k``, at others beyond, whatever its weight."""
    ended = {}
    for item in range(N_SPECIALS, TABLE):
        options = {"temperature": 50.0, "top_k": top_k, "end_weight": weight}
        found = continued([[item]] * 300, 1, **options).items[:, 0]
        others = [BIGRAM[item, other] for other in range(N_SPECIALS, TABLE) if other != item]
        is_among = sorted(others, reverse=True)[top_k - 1] <= BIGRAM[item, END]
        assert (END in found) == is_among
        ended[item] = is_among
    assert 0 < sum(ended.values()) < len(ended)


def test_the_end_is_all_that_is_left_when_the_catalogue_is_exhausted():
    everything = list(range(N_SPECIALS, TABLE))
    found = continued([everything], 3, end_weight=1.0)
    assert found.items.tolist() == [[END, PAD, PAD]]


# --- what cannot be sampled ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0, expected 1 or more"),
        ({"temperature": -0.5}, "temperature is -0.5, expected a number from 0 to 1e"),
        ({"temperature": float("nan")}, "temperature is nan, expected"),
        ({"end_weight": -1.0}, "end_weight is -1.0, expected a number from 0 to 1e"),
        ({"end_weight": float("inf")}, "end_weight is inf, expected"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(RequestError, match=message) as caught:
        Sampling(**options).check(has_end=True)
    assert caught.value.hint


def test_a_model_without_an_end_cannot_weigh_it():
    with pytest.raises(
        RequestError, match=r"end_weight is 0\.5, but the model has no END"
    ) as caught:
        Sampling(end_weight=0.5).check(has_end=False)
    assert "model.end=true" in caught.value.hint
    Sampling(end_weight=0.0).check(has_end=False)
    Sampling(end_weight=0.5).check(has_end=True)
