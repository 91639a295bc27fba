"""Beyond-accuracy metrics against hand-computed lists, slow references and invariants."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from segue.metrics import (
    ItemStatistics,
    RecommendedLists,
    beyond_accuracy_metrics,
    coverage,
    diversity,
    exposure_counts,
    gini,
    novelty,
    popularity,
    serendipity,
)
from segue.tokens import N_SPECIALS, PAD

A, B, C, D, E = range(N_SPECIALS, N_SPECIALS + 5)
FEATURE_SETS = {A: {"x"}, B: {"x"}, C: {"x", "y"}, D: {"z"}, E: set[str]()}
"""The features of each item; the last has none."""
USER_COUNTS = {A: 8, B: 4, C: 2, D: 1, E: 0}


def item_statistics(
    feature_sets: dict[int, set[str]] = FEATURE_SETS,
    user_counts: dict[int, int] = USER_COUNTS,
    n_sequences: int = 8,
) -> ItemStatistics:
    size = N_SPECIALS + len(feature_sets)
    names = sorted(set().union(*feature_sets.values())) or ["nothing"]
    features = np.zeros((size, len(names)))
    for item, words in feature_sets.items():
        for word in words:
            features[item, names.index(word)] = 1 / math.sqrt(len(words))
    counts = np.array([user_counts.get(item, 0) for item in range(size)])
    ranks = np.maximum(np.arange(size) - N_SPECIALS + 1, 0)
    return ItemStatistics(counts, n_sequences, sparse.csr_array(features), "words", ranks)


def recommended(
    items: list[list[int]],
    relevant: Sequence[Sequence[int | bool]] | None = None,
    popularity_ranks: list[list[int]] | None = None,
) -> RecommendedLists:
    indices = np.array(items, np.int32).reshape(len(items), -1)
    marks = np.zeros(indices.shape, bool) if relevant is None else np.array(relevant, bool)
    ranks = indices.astype(np.int64) if popularity_ranks is None else np.array(popularity_ranks)
    return RecommendedLists(indices, marks, ranks)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([A, B], 0),  # the same set
        ([A, D], 1),  # nothing in common
        ([A, C], 1 - 1 / math.sqrt(2)),
        ([A, E], 1),  # an item without features is not similar to any item
        ([A, B, D], 1 - 1 / 3),  # one similar pair of three
        ([A, B, PAD], 0),  # positions without an item make no pair
        ([A, PAD, PAD], 0),
        ([PAD, PAD], 0),
    ],
)
def test_diversity_by_hand(items: list[int], expected: float) -> None:
    assert diversity(recommended([items]), 5, item_statistics()) == pytest.approx([expected])


def test_diversity_uses_the_first_k_items_only() -> None:
    lists = recommended([[A, B, D, C]])
    assert diversity(lists, 2, item_statistics()) == pytest.approx([0])
    assert diversity(lists, 3, item_statistics()) == pytest.approx([2 / 3])


@pytest.mark.parametrize(
    ("items", "bits", "share"),
    [
        ([A], 0, 1),  # in every sequence
        ([B, C], 1.5, 0.375),
        ([D, E], 3, 0.0625),  # a count of 0 is taken as 1, for novelty only
        ([C, PAD], 2, 0.25),  # the mean is over the items that there are
        ([PAD], 0, 0),
    ],
)
def test_novelty_and_popularity_by_hand(items: list[int], bits: float, share: float) -> None:
    assert novelty(recommended([items]), 3, item_statistics()) == pytest.approx([bits])
    assert popularity(recommended([items]), 3, item_statistics()) == pytest.approx([share])


def test_serendipity_counts_targets_outside_the_most_popular_items() -> None:
    # The target at rank 2 has rank 3 by popularity.
    lists = recommended([[B, C, D]], relevant=[[1, 1, 0]], popularity_ranks=[[1, 3, 9]])
    assert serendipity(lists, 1) == pytest.approx([0])
    assert serendipity(lists, 2) == pytest.approx([1 / 2])
    assert serendipity(lists, 3) == pytest.approx([0])  # among the 3 most popular


def test_coverage_and_gini_by_hand() -> None:
    is_candidate = np.isin(np.arange(N_SPECIALS + 5), [A, B, D, E])
    counts = exposure_counts(np.array([[A, B], [A, PAD]], np.int32), is_candidate)
    np.testing.assert_array_equal(counts, [2, 1, 0, 0])
    assert coverage(counts) == 0.5
    # Ascending 0 0 1 2 with weights -3 -1 1 3, over 3 times the sum of 3.
    assert gini(counts) == pytest.approx(7 / 9)


def test_gini_of_extreme_distributions() -> None:
    assert gini(np.array([5, 5, 5])) == 0
    assert gini(np.array([0, 0, 9])) == 1
    assert gini(np.array([0, 0])) == gini(np.array([3])) == 0


def test_keys_of_beyond_accuracy_metrics_without_diversity_at_1() -> None:
    metrics = beyond_accuracy_metrics(recommended([[A, B, C]]), [1, 3], item_statistics())
    assert list(metrics) == [
        "novelty@1",
        "serendipity@1",
        "popularity@1",
        "diversity@3",
        "novelty@3",
        "serendipity@3",
        "popularity@3",
    ]


RANDOM_SETS = st.lists(st.sets(st.sampled_from("vwxyz")), min_size=2, max_size=12)


@st.composite
def random_lists(draw: st.DrawFn) -> tuple[RecommendedLists, ItemStatistics, int]:
    """Lists over a catalogue of items with random features and counts, and a cut-off."""
    feature_sets = dict(enumerate(draw(RANDOM_SETS), N_SPECIALS))
    n_sequences = draw(st.integers(1, 20))
    user_counts = {item: draw(st.integers(0, n_sequences)) for item in feature_sets}
    length = draw(st.integers(1, len(feature_sets)))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        order = draw(st.permutations(list(feature_sets)))
        n_items = draw(st.integers(0, length))
        rows.append(order[:n_items] + [PAD] * (length - n_items))
    marks = [[draw(st.booleans()) and item != PAD for item in row] for row in rows]
    popularity_ranks = [[item - N_SPECIALS + 1 for item in row] for row in rows]
    statistics = item_statistics(feature_sets, user_counts, n_sequences)
    k = draw(st.integers(1, length + 2))
    return recommended(rows, marks, popularity_ranks), statistics, k


def slow_metrics(
    lists: RecommendedLists, row: int, statistics: ItemStatistics, k: int
) -> tuple[float, float, float, float]:
    """The definitions, pair by pair and item by item."""
    positions = range(min(k, lists.items.shape[1]))
    items = [int(lists.items[row, i]) for i in positions if lists.items[row, i] != PAD]
    dense = statistics.features.toarray()
    distances = [1 - float(dense[a] @ dense[b]) for a, b in itertools.combinations(items, 2)]
    n = statistics.n_sequences
    bits = [-math.log2(max(int(statistics.user_counts[item]), 1) / n) for item in items]
    shares = [statistics.user_counts[item] / n for item in items]
    unexpected = [
        i for i in positions if lists.relevant[row, i] and lists.popularity_ranks[row, i] > k
    ]
    return (
        sum(distances) / len(distances) if distances else 0,
        sum(bits) / len(bits) if bits else 0,
        len(unexpected) / k,
        sum(shares) / len(shares) if shares else 0,
    )


@given(random_lists())
def test_beyond_accuracy_metrics_match_the_slow_reference(example) -> None:
    lists, statistics, k = example
    metrics = [
        diversity(lists, k, statistics),
        novelty(lists, k, statistics),
        serendipity(lists, k),
        popularity(lists, k, statistics),
    ]
    for row in range(len(lists.items)):
        expected = slow_metrics(lists, row, statistics, k)
        assert [values[row] for values in metrics] == pytest.approx(expected, abs=1e-12)


@given(random_lists())
def test_shares_are_within_0_and_1_and_novelty_below_that_of_the_rarest_item(example) -> None:
    lists, statistics, k = example
    for name, values in beyond_accuracy_metrics(lists, [k], statistics).items():
        maximum = math.log2(statistics.n_sequences) if name.startswith("novelty") else 1
        assert ((values >= 0) & (values <= maximum + 1e-12)).all()


@given(random_lists(), st.randoms(use_true_random=False))
def test_the_order_within_a_list_does_not_matter(example, random) -> None:
    lists, statistics, _ = example
    order = list(range(lists.items.shape[1]))
    random.shuffle(order)
    shuffled = RecommendedLists(*(array[:, order] for array in lists))
    k = len(order)
    before = beyond_accuracy_metrics(lists, [k], statistics)
    after = beyond_accuracy_metrics(shuffled, [k], statistics)
    assert all(after[name] == pytest.approx(values) for name, values in before.items())
    is_candidate = statistics.popularity_ranks > 0
    np.testing.assert_array_equal(
        exposure_counts(lists.items, is_candidate), exposure_counts(shuffled.items, is_candidate)
    )


@given(random_lists())
def test_the_values_of_a_list_do_not_depend_on_the_batch_to_the_last_bit(example) -> None:
    lists, statistics, k = example
    batch = beyond_accuracy_metrics(lists, [k], statistics)
    for i in range(len(lists.items)):
        single = beyond_accuracy_metrics(
            RecommendedLists(*(array[i : i + 1] for array in lists)), [k], statistics
        )
        assert all(batch[name][i] == single[name][0] for name in batch)


COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=30)


@given(COUNTS, st.integers(2, 5), st.randoms(use_true_random=False))
def test_gini_depends_on_the_shares_only(counts: list[int], factor: int, random) -> None:
    value = gini(np.array(counts))
    assert 0 <= value <= 1
    assert gini(factor * np.array(counts)) == pytest.approx(value)
    random.shuffle(counts)
    assert gini(np.array(counts)) == pytest.approx(value)


@given(COUNTS.filter(lambda counts: len(counts) > 1 and sum(counts) > 0))
def test_gini_is_the_mean_difference_of_two_items(counts: list[int]) -> None:
    n, mean = len(counts), sum(counts) / len(counts)
    differences = sum(abs(a - b) for a, b in itertools.permutations(counts, 2))
    assert gini(np.array(counts)) == pytest.approx(differences / (n * (n - 1)) / (2 * mean))


@given(st.integers(1, 1000), st.integers(1, 30))
def test_equal_exposure_has_no_inequality(count: int, n: int) -> None:
    assert gini(np.full(n, count)) == 0
    assert coverage(np.full(n, count)) == 1


@given(random_lists(), random_lists())
def test_exposure_counts_of_blocks_add_up(first, second) -> None:
    items = [example[0].items.ravel()[None] for example in (first, second)]
    larger = max((example[1].popularity_ranks for example in (first, second)), key=len)
    added = sum(exposure_counts(block, larger > 0) for block in items)
    in_one_block = exposure_counts(np.concatenate(items, axis=1), larger > 0)
    np.testing.assert_array_equal(in_one_block, added)
