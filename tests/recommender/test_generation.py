"""Generation with a small bigram model: constraints, greedy decoding, sampling and END."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query, Ranked, mask_items, top_from_scores
from segue.recommender.ensemble import NextItems
from segue.recommender.generation import Decoder, generate_sequences
from segue.recommender.sampling import Sampling
from segue.tokens import END, N_SPECIALS, PAD

N_ITEMS = 12
VOCABULARY_SIZE = N_SPECIALS + N_ITEMS
LAST_ITEM = VOCABULARY_SIZE - 1
BIGRAM = np.random.default_rng(3).normal(size=(VOCABULARY_SIZE, VOCABULARY_SIZE)).astype(np.float32)


def next_scores(rows: list[list[int]]) -> np.ndarray:
    """Bigram scores by the last item."""
    return BIGRAM[[min(row[-1], LAST_ITEM) if row else 0 for row in rows]]


def next_items(rows: list[list[int]], k: int, excluded: Ragged | None = None) -> NextItems:
    """The best items that are not in the rows; special tokens get the highest scores."""
    scores = next_scores(rows)
    end_scores = scores[:, END].copy()
    scores[:, :N_SPECIALS] = 100
    mask_items(scores, Ragged.from_rows(rows))
    if excluded is not None:
        mask_items(scores, excluded)
    return NextItems(top_from_scores(scores, k), end_scores)


class BigramDecoder(Decoder):
    """Generates with ``BIGRAM``."""

    def begin(self, query: Query, end_temperature: float | None) -> NextItems:
        self._rows = [query.histories.row(i).tolist() for i in range(len(query))]
        self._k, self._with_end = query.k, end_temperature is not None
        self._excluded = query.excluded or Ragged.from_rows([[]] * len(query))
        return self._next_items()

    def extend(self, items: np.ndarray, excluded: Ragged | None = None) -> NextItems:
        for row, item in zip(self._rows, items.tolist(), strict=True):
            row.extend([item] if item >= N_SPECIALS else [])
        if excluded is not None:
            self._excluded = self._excluded.join(excluded)
        return self._next_items()

    def scores(self, items: np.ndarray) -> np.ndarray:
        return next_scores(self._rows)[np.arange(len(items)), items]

    def _next_items(self) -> NextItems:
        ranked, end_scores = next_items(self._rows, self._k, self._excluded)
        return NextItems(ranked, end_scores if self._with_end else None)


def generate(
    rows: list[list[int]], length: int, locked=None, exclusions=None, **sampling
) -> Ranked:
    """Generate with independent noise per row."""
    histories, options = Ragged.from_rows(rows), Sampling(**sampling)
    query = Query(histories, histories, np.full(len(rows), -1))
    seeds = [[options.seed, row] for row in range(len(rows))]
    if locked is not None:
        locked = np.array(locked, np.int32).reshape(len(rows), length)
    return generate_sequences(
        BigramDecoder(), query, length, options, seeds, locked=locked, exclusions=exclusions
    )


histories = st.lists(st.lists(st.integers(N_SPECIALS, LAST_ITEM + 3), max_size=6), max_size=3)


@given(
    rows=histories,
    length=st.integers(0, N_ITEMS + 3),
    temperature=st.sampled_from([0.0, 0.5, 1.0, 30.0]),
    top_k=st.integers(1, N_ITEMS),
    seed=st.integers(0, 99),
)
def test_generated_items_are_distinct_catalogue_items_until_none_is_left(
    rows, length, temperature, top_k, seed
):
    generated = generate(rows, length, temperature=temperature, top_k=top_k, seed=seed)
    assert generated.items.shape == generated.scores.shape == (len(rows), length)
    for row, items, scores in zip(rows, generated.items, generated.scores, strict=True):
        n_left = N_ITEMS - len(set(row) & set(range(N_SPECIALS, VOCABULARY_SIZE)))
        n = min(length, n_left)
        valid = items[:n]
        assert ((valid >= N_SPECIALS) & (valid < VOCABULARY_SIZE)).all()
        assert len({*valid.tolist(), *row}) == n + len(set(row))
        assert np.isfinite(scores[:n]).all()
        assert (items[n:] == PAD).all(), "the catalogue is exhausted"
        assert np.isneginf(scores[n:]).all()


def argmax_chain(row: list[int], length: int) -> list[int]:
    row = list(row)
    for _ in range(length):
        candidates = [item for item in range(N_SPECIALS, VOCABULARY_SIZE) if item not in row]
        row.append(max(candidates, key=lambda item: BIGRAM[row[-1], item]))
    return row[-length:]


@pytest.mark.parametrize("temperature", [0.0, 1e-12, 1e-320])
def test_greedy_decoding_takes_the_best_item_every_time(temperature):
    rows = [[4], [5, 6, 7], [15, 4]]
    generated = generate(rows, 5, temperature=temperature)
    np.testing.assert_array_equal(generated.items, [argmax_chain(row, 5) for row in rows])


def test_scores_are_those_of_the_selected_items():
    generated = generate([[4]], 4, temperature=1.0, seed=1)
    chain = [4, *generated.items[0]]
    np.testing.assert_array_equal(
        generated.scores[0],
        [BIGRAM[item, next_item] for item, next_item in itertools.pairwise(chain)],
    )


def test_top_k_of_one_is_greedy():
    generated = generate([[4], [9]], 5, top_k=1, temperature=5.0)
    np.testing.assert_array_equal(generated.items, generate([[4], [9]], 5, temperature=0.0).items)


@given(top_k=st.integers(1, 5), seed=st.integers(0, 50))
def test_samples_are_among_the_top_k(top_k, seed):
    generated = generate([[4]], 1, top_k=top_k, seed=seed, temperature=100.0)
    best = next_items([[4]], top_k).ranked.items[0]
    assert generated.items[0, 0] in best


def test_the_seed_determines_the_sequence():
    rows = [[4], [9]]
    first = generate(rows, 6, seed=7)
    np.testing.assert_array_equal(first.items, generate(rows, 6, seed=7).items)
    with_other_seeds = [generate(rows, 6, seed=seed).items for seed in range(5)]
    assert any((items != first.items).any() for items in with_other_seeds)


def test_a_longer_sequence_starts_like_a_shorter_one():
    short, long = generate([[4], [9]], 3, seed=7), generate([[4], [9]], 8, seed=7)
    np.testing.assert_array_equal(long.items[:, :3], short.items)


def first_item_shares(temperature: float, n: int = 4000) -> np.ndarray:
    """How often each item is generated right after item 4, as a share of ``n`` samples."""
    generated = generate([[4]] * n, 1, temperature=temperature, top_k=N_ITEMS)
    return np.bincount(generated.items[:, 0], minlength=VOCABULARY_SIZE)[N_SPECIALS:] / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_follow_the_softmax(temperature):
    logits = BIGRAM[4, N_SPECIALS:].astype(np.float64) / temperature
    logits[0] = -np.inf  # item 4 itself
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(first_item_shares(temperature), expected, atol=0.025)


def test_the_highest_temperature_samples_uniformly():
    shares = first_item_shares(1e30)
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:], 1 / (N_ITEMS - 1), atol=0.02)


def test_the_input_histories_are_not_changed():
    prompts = Ragged.from_rows([[4, 5]])
    query = Query(prompts, prompts, np.array([-1]))
    generate_sequences(BigramDecoder(), query, 3, Sampling())
    np.testing.assert_array_equal(prompts.values, [4, 5])


def test_by_default_a_row_is_the_same_alone_and_among_others():
    prompts = Ragged.from_rows([[4], [9], [4]])
    query = Query(prompts, prompts, np.full(3, -1))
    together = generate_sequences(BigramDecoder(), query, 6, Sampling(seed=3)).items
    for row in range(3):
        alone = query.slice(row, row + 1)
        items = generate_sequences(BigramDecoder(), alone, 6, Sampling(seed=3)).items
        np.testing.assert_array_equal(items[0], together[row])


# --- END ---


def n_items(generated: Ranked) -> list[int]:
    """Number of items per row before END."""
    return (generated.items >= N_SPECIALS).sum(axis=1).tolist()


@given(rows=histories, temperature=st.sampled_from([0.0, 1.0, 30.0]), seed=st.integers(0, 30))
def test_without_an_end_weight_no_sequence_ends(rows, temperature, seed):
    options = {"temperature": temperature, "seed": seed, "top_k": N_ITEMS}
    generated = generate(rows, 4, **options, end_weight=0.0)
    assert END not in generated.items
    assert n_items(generated) == [4] * len(rows)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_large_end_weight_ends_at_once(temperature):
    generated = generate([[4], [5, 6], []], 5, temperature=temperature, end_weight=1e30)
    assert (generated.items[:, 0] == END).all()
    assert (generated.items[:, 1:] == PAD).all()
    assert np.isneginf(generated.scores[:, 1:]).all()


@given(
    rows=histories,
    weight=st.sampled_from([0.1, 1.0, 4.0]),
    temperature=st.sampled_from([0.0, 1.0, 5.0]),
    seed=st.integers(0, 30),
)
def test_rows_are_padded_after_end(rows, weight, temperature, seed):
    options = {"temperature": temperature, "end_weight": weight, "seed": seed}
    generated = generate(rows, 6, **options)
    for row, items, scores in zip(rows, generated.items.tolist(), generated.scores, strict=True):
        n = items.index(END) if END in items else 6
        assert min(items[:n], default=N_SPECIALS) >= N_SPECIALS
        assert len({*items[:n], *row}) == n + len(set(row))
        assert items[n + 1 :] == [PAD] * len(items[n + 1 :])
        assert np.isfinite(scores[: n + 1]).all()
        assert np.isneginf(scores[n + 1 :]).all()


def test_rows_end_independently():
    """With greedy decoding and weight 1 a row ends when END has the highest score."""
    rows = [[item] for item in range(N_SPECIALS, VOCABULARY_SIZE)]
    generated = generate(rows, 8, temperature=0.0, end_weight=1.0)
    for (first,), items in zip(rows, generated.items.tolist(), strict=True):
        chain, expected = [first], []
        while len(expected) < 8:
            unused = [item for item in range(N_SPECIALS, VOCABULARY_SIZE) if item not in chain]
            best = max(unused, key=lambda item: BIGRAM[chain[-1], item])
            ends = BIGRAM[chain[-1], END] > BIGRAM[chain[-1], best]
            chain.append(best)
            expected.append(END if ends else best)
            if ends:
                break
        assert items == expected + [PAD] * (8 - len(expected))
    assert len(set(n_items(generated))) > 2


def test_an_ended_row_does_not_change_the_others():
    alone = generate([[4]], 6, seed=3, end_weight=1.0, temperature=0.0)
    together = generate(
        [[4], *([row] for row in range(5, VOCABULARY_SIZE))], 6, end_weight=1.0, temperature=0.0
    )
    np.testing.assert_array_equal(together.items[0], alone.items[0])


@pytest.mark.parametrize(
    ("weight", "temperature"), [(0.25, 1.0), (3.0, 1.0), (0.25, 0.5), (3.0, 2.0)]
)
def test_the_weight_multiplies_the_probability_of_end(weight, temperature):
    logits = BIGRAM[9, N_SPECIALS:].astype(np.float64) / temperature
    logits[9 - N_SPECIALS] = -np.inf
    probabilities = np.append(np.exp(logits), weight * np.exp(float(BIGRAM[9, END]) / temperature))
    probabilities /= probabilities.sum()
    n = 4000
    options = {"top_k": N_ITEMS, "end_weight": weight, "temperature": temperature}
    generated = generate([[9]] * n, 1, **options).items[:, 0]
    assert (generated == END).mean() == pytest.approx(probabilities[-1], abs=0.025)
    shares = np.bincount(generated, minlength=VOCABULARY_SIZE)[N_SPECIALS:] / n
    np.testing.assert_allclose(shares, probabilities[:-1], atol=0.025)


@pytest.mark.parametrize("weight", [1.0, 0.5])
@pytest.mark.parametrize("top_k", [2, 4, 8])
def test_end_is_sampled_only_if_it_is_among_the_top_k(top_k, weight):
    """The rank of END is within ``top_k`` after some items and beyond it after others."""
    ended = {}
    for item in range(N_SPECIALS, VOCABULARY_SIZE):
        options = {"temperature": 50.0, "top_k": top_k, "end_weight": weight}
        generated = generate([[item]] * 300, 1, **options).items[:, 0]
        candidates = [
            BIGRAM[item, candidate]
            for candidate in range(N_SPECIALS, VOCABULARY_SIZE)
            if candidate != item
        ]
        is_in_top_k = sorted(candidates, reverse=True)[top_k - 1] <= BIGRAM[item, END]
        assert (END in generated) == is_in_top_k
        ended[item] = is_in_top_k
    assert 0 < sum(ended.values()) < len(ended)


def test_only_end_is_left_when_all_items_are_used():
    all_items = list(range(N_SPECIALS, VOCABULARY_SIZE))
    generated = generate([all_items], 3, end_weight=1.0)
    assert generated.items.tolist() == [[END, PAD, PAD]]


# --- top-p ---


def nucleus_of(logits: np.ndarray, top_p: float) -> set[int]:
    """The fewest best items with probabilities that sum to ``top_p``, one by one."""
    probabilities = np.exp(logits) / np.exp(logits).sum()
    nucleus, total = set(), 0.0
    for item in np.argsort(-probabilities):
        if total >= top_p:
            break
        nucleus.add(int(item))
        total += probabilities[item]
    return nucleus


@pytest.mark.parametrize(("top_p", "temperature"), [(0.3, 1.0), (0.7, 1.0), (0.7, 2.0), (1.0, 1.0)])
def test_samples_follow_the_softmax_over_the_nucleus(top_p, temperature):
    logits = BIGRAM[4].astype(np.float64) / temperature
    logits[: N_SPECIALS + 1] = -np.inf  # specials, and item 4 itself
    nucleus = nucleus_of(logits, top_p)
    n, options = 4000, {"temperature": temperature, "top_k": N_ITEMS, "top_p": top_p}
    items = generate([[4]] * n, 1, **options).items[:, 0]
    assert set(items.tolist()) == nucleus
    expected = np.exp(logits) * [item in nucleus for item in range(VOCABULARY_SIZE)]
    shares = np.bincount(items, minlength=VOCABULARY_SIZE) / n
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.025)


def test_the_smallest_top_p_is_greedy():
    generated = generate([[4], [9]], 5, top_p=1e-9, temperature=5.0)
    np.testing.assert_array_equal(generated.items, generate([[4], [9]], 5, temperature=0.0).items)


def test_top_p_counts_within_the_top_k():
    """Two items of equal share have .5 each, whatever the others have."""
    items = generate([[4]] * 200, 1, top_k=2, top_p=0.5, temperature=1e30).items
    assert (items == items[0]).all()
    items = generate([[4]] * 200, 1, top_k=2, top_p=0.6, temperature=1e30).items
    assert len(np.unique(items)) == 2


# --- locked positions ---


@given(data=st.data(), length=st.integers(1, 6), seed=st.integers(0, 50))
def test_locked_items_are_at_their_positions_only(data, length, seed):
    locked = np.zeros((2, length), np.int32)
    for row in range(2):
        positions = data.draw(st.sets(st.integers(0, length - 1), max_size=3))
        its_items = data.draw(st.permutations(range(N_SPECIALS, VOCABULARY_SIZE)))
        locked[row, sorted(positions)] = its_items[: len(positions)]
    rows = [[4], [9, 5]]
    items, scores = generate(rows, length, locked, seed=seed, end_weight=0.5)
    for row, row_locked, its_items in zip(rows, locked.tolist(), items.tolist(), strict=True):
        for item, its_lock in zip(its_items, row_locked, strict=True):
            assert its_lock in (PAD, item)
        generated = [i for i in its_items if i >= N_SPECIALS]
        assert len(set(generated)) == len(generated)
        filled = [i for i, lock in zip(its_items, row_locked, strict=True) if lock == PAD]
        assert not set(filled) & set(row)
    assert np.isfinite(scores[items >= N_SPECIALS]).all()


def test_positions_before_a_lock_are_those_without_it():
    free = generate([[4]], 6, temperature=0.0)
    unused = next(i for i in range(N_SPECIALS, VOCABULARY_SIZE) if i not in [4, *free.items[0]])
    locked = generate([[4]], 6, [[0, 0, 0, unused, 0, 0]], temperature=0.0)
    np.testing.assert_array_equal(locked.items[0, :3], free.items[0, :3])
    np.testing.assert_array_equal(
        locked.items[0, 4:], argmax_chain([4, *locked.items[0, :4].tolist()], 2)
    )


def test_the_score_of_a_locked_item_is_that_at_its_position():
    generated = generate([[4], [6]], 2, [[0, 9], [9, 0]], temperature=0.0)
    first = generated.items[0, 0]
    assert generated.scores[0, 1] == BIGRAM[first, 9]
    assert generated.scores[1, 0] == BIGRAM[6, 9]
    assert generated.items[1, 1] == argmax_chain([6, 9], 1)[0]


def test_a_locked_item_may_be_in_the_history():
    assert generate([[4, 5]], 2, [[0, 4]]).items[0, 1] == 4


def test_no_sequence_ends_before_its_last_locked_position():
    generated = generate([[4], [4]], 4, [[0, 0, 9, 0], [0] * 4], end_weight=1e30)
    assert (generated.items[0, :3] >= N_SPECIALS).all()
    assert generated.items[0, 3] == END
    assert generated.items[1].tolist() == [END, PAD, PAD, PAD]


def test_no_item_left_before_a_locked_position_is_refused():
    history = list(range(N_SPECIALS, LAST_ITEM - 1))
    with pytest.raises(RequestError, match="no item is left for position 1, before the locked"):
        generate([history], 4, [[0, 0, 0, LAST_ITEM]])


# --- exclusions that depend on the items so far ---


def test_exclusions_hold_from_the_next_position_on():
    """After an even item, no other even item."""
    evens = [item for item in range(N_SPECIALS, VOCABULARY_SIZE) if item % 2 == 0]
    seen: list[np.ndarray] = []

    def exclusions(items: np.ndarray) -> Ragged:
        seen.append(items)
        return Ragged.from_rows([evens if item % 2 == 0 else [] for item in items.tolist()])

    generated = generate([[4], [9]], 5, exclusions=exclusions, seed=3)
    assert ((generated.items % 2 == 0).sum(axis=1) <= 1).all()
    free = generate([[4], [9]], 5, seed=3)
    assert ((free.items % 2 == 0).sum(axis=1) > 1).any()
    np.testing.assert_array_equal(np.stack(seen, axis=1), generated.items[:, :4])


# --- refused options ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k is 0, expected 1 or more"),
        ({"temperature": -0.5}, "temperature is -0.5, expected a number from 0 to 1e"),
        ({"temperature": float("nan")}, "temperature is nan, expected"),
        ({"top_p": 0.0}, "top_p is 0.0, expected a number above 0 and up to 1"),
        ({"top_p": 1.5}, "top_p is 1.5, expected a number above 0 and up to 1"),
        ({"top_p": float("nan")}, "top_p is nan, expected a number above 0"),
        ({"end_weight": -1.0}, "end_weight is -1.0, expected a number from 0 to 1e"),
        ({"end_weight": float("inf")}, "end_weight is inf, expected"),
        ({"seed": -1}, "seed is -1, expected 0 or more"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(RequestError, match=message) as caught:
        Sampling(**options).check_ranges()
    assert caught.value.hint


def test_an_end_weight_needs_a_model_with_end():
    with pytest.raises(
        RequestError, match=r"end_weight is 0\.5, but the model does not predict END"
    ) as caught:
        Sampling(end_weight=0.5).check(has_end=False)
    assert "model.end=true" in caught.value.hint
    Sampling(end_weight=0.0).check(has_end=False)
    Sampling(end_weight=0.5).check(has_end=True)
